package secp256k1

import (
	"encoding/binary"
	"math/bits"
)

// A Scalar is an integer modulo the group's order n (SEC 2, section 2.4.1), in
// four limbs of 64 bits, the lowest first, always below n.
type Scalar [4]uint64

// A Half is a whole number of at most 128 bits and a sign: what a scalar is
// split into, and what a random coefficient is.
type Half struct {
	Lo, Hi   uint64
	Negative bool
}

// order is n.
var order = [4]uint64{0xBFD25E8CD0364141, 0xBAAEDCE6AF48A03B, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF}

// 2^256 - n = 2^128 + complement1·2^64 + complement0.
const complement0, complement1 = 0x402DA1732FC9BEBF, 0x4551231950B75FC4

// SetBytes sets s to a big-endian number modulo n and tells whether the number
// is below n.
func (s *Scalar) SetBytes(b *[32]byte) bool {
	var t [4]uint64
	for i := range t {
		t[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return s.subtractOrder(t) == 0
}

// subtractOrder sets s to t - n if t is not below n, else to t, and returns how
// often it subtracted.
func (s *Scalar) subtractOrder(t [4]uint64) uint64 {
	d0, b := bits.Sub64(t[0], order[0], 0)
	d1, b := bits.Sub64(t[1], order[1], b)
	d2, b := bits.Sub64(t[2], order[2], b)
	d3, b := bits.Sub64(t[3], order[3], b)
	*s = t
	if b == 0 {
		*s = Scalar{d0, d1, d2, d3}
	}
	return 1 - b
}

// IsZero tells whether s is zero.
func (s *Scalar) IsZero() bool { return *s == Scalar{} }

// Add sets s to x + y.
func (s *Scalar) Add(x, y *Scalar) {
	var t [4]uint64
	var c uint64
	for i := range t {
		t[i], c = bits.Add64(x[i], y[i], c)
	}
	if c == 0 {
		s.subtractOrder(t)
		return
	}
	t[0], c = bits.Add64(t[0], complement0, 0)
	t[1], c = bits.Add64(t[1], complement1, c)
	t[2], c = bits.Add64(t[2], 1, c)
	t[3] += c
	*s = t
}

// Neg sets s to -x.
func (s *Scalar) Neg(x *Scalar) {
	if x.IsZero() {
		*s = Scalar{}
		return
	}
	var b uint64
	for i, limb := range *x {
		s[i], b = bits.Sub64(order[i], limb, b)
	}
}

// MulHalf sets s to a·x.
func (s *Scalar) MulHalf(a Half, x *Scalar) {
	t := mulWide(*x, [4]uint64{a.Lo, a.Hi})
	// What is above 2^256 is folded in, since 2^256 is the complement modulo n:
	// first two limbs, then the few bits that this leaves, then at most one.
	r := [4]uint64(t[:4])
	for high := [4]uint64{t[4], t[5]}; high != [4]uint64{}; {
		f := mulWide([4]uint64{complement0, complement1, 1}, high)
		var c uint64
		for i := range r {
			r[i], c = bits.Add64(r[i], f[i], c)
		}
		high = [4]uint64{f[4] + c}
	}
	s.subtractOrder(r)
	if a.Negative {
		s.Neg(s)
	}
}

// mulWide is the product of two numbers of four limbs.
func mulWide(x, y [4]uint64) (t [8]uint64) {
	for i, f := range y {
		if f == 0 {
			continue // many numbers here are short
		}
		h0, l0 := bits.Mul64(x[0], f)
		h1, l1 := bits.Mul64(x[1], f)
		h2, l2 := bits.Mul64(x[2], f)
		h3, l3 := bits.Mul64(x[3], f)
		l1, c := bits.Add64(l1, h0, 0)
		l2, c = bits.Add64(l2, h1, c)
		l3, c = bits.Add64(l3, h2, c)
		h3 += c
		row := t[i : i+5 : i+5]
		row[0], c = bits.Add64(row[0], l0, 0)
		row[1], c = bits.Add64(row[1], l1, c)
		row[2], c = bits.Add64(row[2], l2, c)
		row[3], c = bits.Add64(row[3], l3, c)
		row[4] = h3 + c
	}
	return t
}
