package secp256k1

import (
	"encoding/binary"
	"math/bits"
)

// An Element is an integer modulo p = 2^256 - 2^32 - 977 (SEC 2, section
// 2.4.1), in four limbs of 64 bits, the lowest first. Every value below 2^256
// stands for its residue, so that 2^256 - p of the residues have two forms:
// compare with [Element.Equal], never with ==. Because 2^256 = fold modulo p,
// a product is reduced with five more multiplications of words.
type Element [4]uint64

// fold is 2^256 - p.
const fold = 0x1000003D1

var one = Element{1}

// SetBytes sets z to a big-endian number and tells whether it is below p. If it
// is not, z is the number's residue.
func (z *Element) SetBytes(b *[32]byte) bool {
	for i := range z {
		z[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return !z.aboveModulus()
}

// Bytes is the canonical big-endian form.
func (z *Element) Bytes() (b [32]byte) {
	n := *z
	n.Normalize()
	for i := range n {
		binary.BigEndian.PutUint64(b[24-8*i:], n[i])
	}
	return b
}

// aboveModulus tells whether the limbs hold p or more.
func (z *Element) aboveModulus() bool {
	const top = 1<<64 - 1
	return z[3] == top && z[2] == top && z[1] == top && z[0] >= 1<<64-fold
}

// Normalize makes the limbs the canonical form, which is below p.
func (z *Element) Normalize() {
	if z.aboveModulus() {
		*z = Element{z[0] + fold}
	}
}

// IsZero tells whether the residue is zero.
func (z *Element) IsZero() bool {
	if z[1] == 0 {
		return z[0]|z[2]|z[3] == 0
	}
	return z[0] == 1<<64-fold && z[1]&z[2]&z[3] == 1<<64-1
}

// Equal tells whether both are the same residue.
func (z *Element) Equal(x *Element) bool {
	var d Element
	d.Sub(z, x)
	return d.IsZero()
}

// IsOdd tells whether the canonical form is odd.
func (z *Element) IsOdd() bool {
	n := *z
	n.Normalize()
	return n[0]&1 == 1
}

// Add sets z to x + y.
func (z *Element) Add(x, y *Element) {
	z0, c := bits.Add64(x[0], y[0], 0)
	z1, c := bits.Add64(x[1], y[1], c)
	z2, c := bits.Add64(x[2], y[2], c)
	z3, c := bits.Add64(x[3], y[3], c)
	z0, c = bits.Add64(z0, -c&fold, 0)
	z1, c = bits.Add64(z1, 0, c)
	z2, c = bits.Add64(z2, 0, c)
	z3, c = bits.Add64(z3, 0, c)
	if c != 0 {
		z0 += fold // less than fold was left
	}
	z[0], z[1], z[2], z[3] = z0, z1, z2, z3
}

// Sub sets z to x - y.
func (z *Element) Sub(x, y *Element) {
	z0, b := bits.Sub64(x[0], y[0], 0)
	z1, b := bits.Sub64(x[1], y[1], b)
	z2, b := bits.Sub64(x[2], y[2], b)
	z3, b := bits.Sub64(x[3], y[3], b)
	z0, b = bits.Sub64(z0, -b&fold, 0)
	z1, b = bits.Sub64(z1, 0, b)
	z2, b = bits.Sub64(z2, 0, b)
	z3, b = bits.Sub64(z3, 0, b)
	if b != 0 {
		z0 -= fold // 2^256 - fold or more was left
	}
	z[0], z[1], z[2], z[3] = z0, z1, z2, z3
}

// Neg sets z to -x.
func (z *Element) Neg(x *Element) { z.Sub(&Element{}, x) }

// Half sets z to x/2.
func (z *Element) Half(x *Element) {
	// An odd number becomes even by p = 2^256 - fold.
	odd := -(x[0] & 1)
	z0, b := bits.Sub64(x[0], odd&fold, 0)
	z1, b := bits.Sub64(x[1], 0, b)
	z2, b := bits.Sub64(x[2], 0, b)
	z3, b := bits.Sub64(x[3], 0, b)
	top := odd&1 - b
	z[0], z[1], z[2], z[3] = z0>>1|z1<<63, z1>>1|z2<<63, z2>>1|z3<<63, z3>>1|top<<63
}
