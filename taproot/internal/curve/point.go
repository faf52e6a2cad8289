package curve

import "github.com/btcsuite/btcd/btcec/v2"

// PointSize is the length of a compressed point in bytes.
const PointSize = 33

// Point is a curve point, the zero value infinity.
type Point = btcec.JacobianPoint

// ParsePoint reads a 33-byte compressed point, affine. It refuses infinity, the
// uncompressed and hybrid forms, an x at or above the field size and an x that
// is on no point.
func ParsePoint(b []byte) (p Point, ok bool) {
	if len(b) != PointSize || (b[0] != 0x02 && b[0] != 0x03) {
		return Point{}, false
	}
	if overflow := p.X.SetByteSlice(b[1:]); overflow {
		return Point{}, false
	}
	if !btcec.DecompressY(&p.X, b[0] == 0x03, &p.Y) {
		return Point{}, false
	}
	p.Y.Normalize()
	p.Z.SetInt(1)
	return p, true
}

// ParsePointOrInfinity is ParsePoint that also reads 33 zero bytes as infinity
// (cpoint_ext in BIP-445).
func ParsePointOrInfinity(b []byte) (p Point, ok bool) {
	if len(b) == PointSize && [PointSize]byte(b) == ([PointSize]byte{}) {
		return Point{}, true
	}
	return ParsePoint(b)
}

// EncodePoint writes the compressed form of an affine point, 33 zero bytes for
// infinity (cbytes_ext in BIP-445).
func EncodePoint(p *Point) (b [PointSize]byte) {
	if IsInfinity(p) {
		return b
	}
	b[0] = 0x02
	if p.Y.IsOdd() {
		b[0] = 0x03
	}
	p.X.PutBytesUnchecked(b[1:])
	return b
}

// XBytes is the x coordinate of an affine point in 32 bytes, xbytes in BIP-340.
func XBytes(p *Point) [32]byte { return *p.X.Bytes() }

// IsOdd tells the parity of the y coordinate of an affine point.
func IsOdd(p *Point) bool { return p.Y.IsOdd() }

// IsInfinity takes a point in either form.
func IsInfinity(p *Point) bool {
	return p.Z.IsZero() || (p.X.IsZero() && p.Y.IsZero())
}

// Equal compares affine points.
func Equal(a, b *Point) bool {
	if IsInfinity(a) || IsInfinity(b) {
		return IsInfinity(a) && IsInfinity(b)
	}
	return a.X.Equals(&b.X) && a.Y.Equals(&b.Y)
}

// Wipe overwrites a point that is secret, as that of a Diffie-Hellman exchange.
func Wipe(p *Point) {
	p.X.Zero()
	p.Y.Zero()
	p.Z.Zero()
}
