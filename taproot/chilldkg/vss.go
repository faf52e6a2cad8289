package chilldkg

import (
	"errors"

	"github.com/daobank/daobank/taproot/frost"
)

// polynomial is Shamir's, of degree t−1, the constant term first. Participant id
// gets the value at id+1.
type polynomial []scalar

// errUnlucky: a hash gave a scalar that no hash gives. The run is begun again.
var errUnlucky = errors.New("chilldkg: unusable randomness")

func newPolynomial(seed []byte, t int) (polynomial, error) {
	f := make(polynomial, t)
	for k := range f {
		var ok bool
		if f[k], ok = hashScalarChecked(tagCoefficient, seed, uint32Bytes(uint32(k))); !ok {
			return nil, errUnlucky
		}
	}
	if f[0].IsZero() {
		return nil, errUnlucky
	}
	return f, nil
}

// share is the value for a participant, by Horner's rule.
func (f polynomial) share(id frost.ID) (value scalar) {
	var x scalar
	x.SetInt(uint32(id) + 1)
	for k := len(f) - 1; k >= 0; k-- {
		value.Mul(&x).Add(&f[k])
	}
	return value
}

func (f polynomial) commit() commitment {
	c := make(commitment, len(f))
	for k := range f {
		c[k] = mulBase(&f[k])
	}
	return c
}

func (f polynomial) wipe() { clear(f) }

// commitment is a polynomial's coefficients times G. Infinity is allowed, lest
// one participant could make the sum of valid commitments invalid.
type commitment []point

// publicShare is the share of a participant times G, by Horner's rule.
func (c commitment) publicShare(id frost.ID) point {
	var value point
	for k := len(c) - 1; k >= 0; k-- {
		value = mulSmall(uint32(id)+1, &value)
		accumulate(&value, &c[k])
	}
	return affine(value)
}

// withUnspendableScriptPath adds to the constant term the tweak by which BIP-341
// advises to commit to no script, and returns the tweak for the secret shares. A
// participant that hid a script path of its own in the key has then lost it.
// The error is ErrDegenerate.
func (c commitment) withUnspendableScriptPath() (commitment, scalar, error) {
	if isInfinity(&c[0]) {
		return nil, scalar{}, ErrDegenerate
	}
	tweak, ok := hashScalarChecked(tagTapTweak, c[0].X.Bytes()[:])
	tweaked := append(commitment{sum(c[0], mulBase(&tweak))}, c[1:]...)
	if !ok || isInfinity(&tweaked[0]) {
		return nil, scalar{}, ErrDegenerate
	}
	return tweaked, tweak, nil
}

// info is the group of which c is the commitment. The error is ErrDegenerate:
// one public share is infinity, which a participant that colludes with the
// coordinator can bring about for itself.
func (c commitment) info(n int) (frost.ThresholdInfo, error) {
	info := frost.ThresholdInfo{
		Threshold:    len(c),
		GroupKey:     encodePoint(&c[0]),
		PublicShares: make([]*frost.PublicShare, n),
	}
	for i := range info.PublicShares {
		p := c.publicShare(frost.ID(i))
		if isInfinity(&p) {
			return frost.ThresholdInfo{}, ErrDegenerate
		}
		share := frost.PublicShare(encodePoint(&p))
		info.PublicShares[i] = &share
	}
	return info, nil
}
