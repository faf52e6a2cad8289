package frost

import (
	"github.com/btcsuite/btcd/btcec/v2"
)

// point is a curve point. Every point held in a field of this package is
// affine (Z = 1, coordinates normalised) or the point at infinity.
type point = btcec.JacobianPoint

// scalar is an integer modulo the group order.
type scalar = btcec.ModNScalar

// parsePoint reads a 33-byte compressed point. It refuses infinity, the
// uncompressed and hybrid forms, an x at or above the field size and an x that
// is on no point.
func parsePoint(b []byte) (point, bool) {
	var p point
	if len(b) != PublicKeySize || (b[0] != 0x02 && b[0] != 0x03) {
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

// parsePointOrInfinity is parsePoint that also reads 33 zero bytes as infinity
// (cpoint_ext in BIP-445).
func parsePointOrInfinity(b []byte) (point, bool) {
	if [PublicKeySize]byte(b) == ([PublicKeySize]byte{}) {
		return point{}, true
	}
	return parsePoint(b)
}

// encodePoint writes the compressed form, 33 zero bytes for infinity
// (cbytes_ext in BIP-445).
func encodePoint(p *point) (b [PublicKeySize]byte) {
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

func isOdd(p *point) bool { return p.Y.IsOdd() }

// xBytes is the 32-byte x coordinate, xbytes in BIP-340.
func xBytes(p *point) [32]byte { return *p.X.Bytes() }

// add returns a + b in affine form. Variable time.
func add(a, b *point) point {
	var sum point
	btcec.AddNonConst(a, b, &sum)
	return affine(sum)
}

// mul returns k·p in affine form. Variable time.
func mul(k *scalar, p *point) point {
	if isInfinity(p) || k.IsZero() {
		return point{}
	}
	var product point
	btcec.ScalarMultNonConst(k, p, &product)
	return affine(product)
}

// mulBase returns k·G in affine form. Variable time.
func mulBase(k *scalar) point {
	var product point
	btcec.ScalarBaseMultNonConst(k, &product)
	return affine(product)
}

func negate(p *point) point {
	n := *p
	n.Y.Negate(1).Normalize()
	return n
}

func affine(p point) point {
	if isInfinity(&p) {
		return point{}
	}
	p.ToAffine()
	return p
}

func equal(a, b *point) bool {
	if isInfinity(a) || isInfinity(b) {
		return isInfinity(a) && isInfinity(b)
	}
	return a.X.Equals(&b.X) && a.Y.Equals(&b.Y)
}

// parseScalar reads 32 bytes big endian and refuses the group order and above.
func parseScalar(b []byte) (s scalar, ok bool) {
	if len(b) != 32 {
		return s, false
	}
	overflow := s.SetByteSlice(b)
	return s, !overflow
}
