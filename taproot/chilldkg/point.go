package chilldkg

import (
	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/taproot/frost"
)

// pointSize is the length of a compressed point in bytes.
const pointSize = frost.PublicKeySize

// scalarSize is the length of a scalar in bytes.
const scalarSize = 32

// point is a curve point, the zero value infinity. Where it is kept in a field,
// a slice or a message it is affine (Z = 1, coordinates normalised).
type point = btcec.JacobianPoint

// scalar is an integer modulo the group order.
type scalar = btcec.ModNScalar

// parsePoint reads a 33-byte compressed point. It refuses infinity, the
// uncompressed and hybrid forms, an x at or above the field size and an x that
// is on no point.
func parsePoint(b []byte) (point, bool) {
	var p point
	if len(b) != pointSize || (b[0] != 0x02 && b[0] != 0x03) {
		return point{}, false
	}
	if overflow := p.X.SetByteSlice(b[1:]); overflow {
		return point{}, false
	}
	if !btcec.DecompressY(&p.X, b[0] == 0x03, &p.Y) {
		return point{}, false
	}
	p.Y.Normalize()
	p.Z.SetInt(1)
	return p, true
}

// parsePointOrInfinity is parsePoint that also reads 33 zero bytes as infinity.
func parsePointOrInfinity(b []byte) (point, bool) {
	if len(b) == pointSize && [pointSize]byte(b) == ([pointSize]byte{}) {
		return point{}, true
	}
	return parsePoint(b)
}

// encodePoint writes the compressed form of an affine point, 33 zero bytes for
// infinity.
func encodePoint(p *point) (b [pointSize]byte) {
	if isInfinity(p) {
		return b
	}
	b[0] = 0x02
	if p.Y.IsOdd() {
		b[0] = 0x03
	}
	p.X.PutBytesUnchecked(b[1:])
	return b
}

func isInfinity(p *point) bool {
	return p.Z.IsZero() || (p.X.IsZero() && p.Y.IsZero())
}

// evenY is p or −p, whichever has an even y: the point that BIP-340 takes the x
// coordinate to mean.
func evenY(p point) point {
	if p.Y.IsOdd() {
		return negate(p)
	}
	return p
}

func negate(p point) point {
	p.Y.Negate(1).Normalize()
	return p
}

// sum returns the sum of points in affine form.
func sum(points ...point) point {
	var total point
	for i := range points {
		accumulate(&total, &points[i])
	}
	return affine(total)
}

// accumulate sets total to total + p, not in affine form.
func accumulate(total, p *point) {
	var next point
	btcec.AddNonConst(total, p, &next)
	*total = next
}

// mul returns k·p, not in affine form. Variable time.
func mul(k *scalar, p *point) (product point) {
	if isInfinity(p) || k.IsZero() {
		return point{}
	}
	btcec.ScalarMultNonConst(k, p, &product)
	return product
}

// mulSmall returns k·p, not in affine form, by doubling and adding: for an x
// coordinate of a share that is a few additions. Variable time.
func mulSmall(k uint32, p *point) (product point) {
	for bit := uint32(1) << 31; bit > 0; bit >>= 1 {
		if !isInfinity(&product) {
			var doubled point
			btcec.DoubleNonConst(&product, &doubled)
			product = doubled
		}
		if k&bit != 0 {
			accumulate(&product, p)
		}
	}
	return product
}

// mulBase returns k·G in affine form. Variable time.
func mulBase(k *scalar) point {
	var product point
	btcec.ScalarBaseMultNonConst(k, &product)
	return affine(product)
}

func affine(p point) point {
	if isInfinity(&p) {
		return point{}
	}
	p.ToAffine()
	return p
}

// equal compares affine points.
func equal(a, b *point) bool {
	if isInfinity(a) || isInfinity(b) {
		return isInfinity(a) && isInfinity(b)
	}
	return a.X.Equals(&b.X) && a.Y.Equals(&b.Y)
}

// parseScalar reads 32 bytes big endian and refuses the group order and above.
func parseScalar(b []byte) (s scalar, ok bool) {
	if len(b) != scalarSize {
		return s, false
	}
	overflow := s.SetByteSlice(b)
	return s, !overflow
}

// sumScalars adds modulo the group order, in constant time.
func sumScalars(values []scalar) (total scalar) {
	for i := range values {
		total.Add(&values[i])
	}
	return total
}
