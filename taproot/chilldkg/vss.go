package chilldkg

import (
	"errors"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// polynomial is Shamir's, of degree t−1, the constant term first. Participant id
// gets the value at id+1.
type polynomial []curve.Scalar

// errUnlucky: a hash gave a scalar that no hash gives. The run is begun again.
var errUnlucky = errors.New("chilldkg: unusable randomness")

func newPolynomial(seed []byte, t int) (polynomial, error) {
	f := make(polynomial, t)
	for k := range f {
		var ok bool
		if f[k], ok = curve.HashScalarChecked(tagCoefficient, seed, curve.Uint32Bytes(uint32(k))); !ok {
			f.wipe()
			return nil, errUnlucky
		}
	}
	if f[0].IsZero() {
		f.wipe()
		return nil, errUnlucky
	}
	return f, nil
}

// share is the value for a participant, by Horner's rule.
func (f polynomial) share(id frost.ID) (value curve.Scalar) {
	var x curve.Scalar
	x.SetInt(uint32(id) + 1)
	for k := len(f) - 1; k >= 0; k-- {
		value.Mul(&x).Add(&f[k])
	}
	return value
}

func (f polynomial) commit() commitment {
	c := make(commitment, len(f))
	for k := range f {
		c[k] = curve.MulBase(&f[k])
	}
	return c
}

func (f polynomial) wipe() { clear(f) }

// commitment is a polynomial's coefficients times G. Infinity is allowed, lest
// one participant could make the sum of valid commitments invalid.
type commitment []curve.Point

// publicShare is the share of a participant times G, affine.
func (c commitment) publicShare(id frost.ID) curve.Point { return curve.Affine(c.at(id)) }

// at is publicShare by Horner's rule, not affine.
func (c commitment) at(id frost.ID) curve.Point {
	var value curve.Point
	for k := len(c) - 1; k >= 0; k-- {
		value = curve.MulSmall(uint32(id)+1, &value)
		curve.Accumulate(&value, &c[k])
	}
	return value
}

// withUnspendableScriptPath adds to the constant term the tweak by which BIP-341
// advises to commit to no script, and returns the tweak for the secret shares. A
// participant that hid a script path of its own in the key has then lost it.
// The error is ErrDegenerate.
func (c commitment) withUnspendableScriptPath() (commitment, curve.Scalar, error) {
	if curve.IsInfinity(&c[0]) {
		return nil, curve.Scalar{}, ErrDegenerate
	}
	tweak, ok := curve.HashScalarChecked(tagTapTweak, c[0].X.Bytes()[:])
	tweaked := append(commitment{curve.Sum(c[0], curve.MulBase(&tweak))}, c[1:]...)
	if !ok || curve.IsInfinity(&tweaked[0]) {
		return nil, curve.Scalar{}, ErrDegenerate
	}
	return tweaked, tweak, nil
}

// info is the group of which c is the commitment. The error is ErrDegenerate:
// one public share is infinity, which a participant that colludes with the
// coordinator can bring about for itself.
func (c commitment) info(n int) (frost.ThresholdInfo, error) {
	info := frost.ThresholdInfo{
		Threshold:    len(c),
		GroupKey:     curve.EncodePoint(&c[0]),
		PublicShares: make([]*frost.PublicShare, n),
	}
	shares := make([]curve.Point, n)
	for i := range shares {
		shares[i] = c.at(frost.ID(i))
	}
	curve.NormalizeAll(shares)
	for i := range shares {
		if curve.IsInfinity(&shares[i]) {
			return frost.ThresholdInfo{}, ErrDegenerate
		}
		share := frost.PublicShare(curve.EncodePoint(&shares[i]))
		info.PublicShares[i] = &share
	}
	return info, nil
}
