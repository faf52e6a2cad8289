package secp256k1

import "math/bits"

// The curve has an endomorphism φ(x, y) = (βx, y) = λ(x, y), with β a cube root
// of one modulo p and λ one modulo n. A scalar k is split into k = k1 + λ·k2 with
// both parts below 2^128 (Gallant, Lambert, Vanstone, "Faster point
// multiplication on elliptic curves with efficient endomorphisms", CRYPTO 2001;
// Hankerson, Menezes, Vanstone, "Guide to Elliptic Curve Cryptography",
// algorithm 3.74): one multiplication by 256 bits becomes two by 128.

// beta is β.
var beta = Element{0xC1396C28719501EE, 0x9CF0497512F58995, 0x6E64479EAC3434E9, 0x7AE96A2B657C0710}

// The short vectors (a1, -b1) and (a2, a1) of the lattice of pairs (x, y) with
// x + λy = 0 modulo n; round1 and round2 are 2^384·a1/n and 2^384·b1/n, rounded.
var (
	a1     = [4]uint64{0xE86C90E49284EB15, 0x3086D221A7D46BCD}
	b1     = [4]uint64{0x6F547FA90ABFE4C3, 0xE4437ED6010E8828}
	a2     = [4]uint64{0x57C1108D9D44CFD8, 0x14CA50F7A8E2F3F6, 1}
	round1 = [4]uint64{0xE893209A45DBB031, 0x3DAA8A1471E8CA7F, 0xE86C90E49284EB15, 0x3086D221A7D46BCD}
	round2 = [4]uint64{0x1571B4AE8AC47F71, 0x221208AC9DF506C6, 0x6F547FA90ABFE4C4, 0xE4437ED6010E8828}
)

// Split returns k1 and k2 with s = k1 + λ·k2.
func (s *Scalar) Split() (k1, k2 Half) {
	c1, c2 := shiftRound(mulWide(*s, round1)), shiftRound(mulWide(*s, round2))
	// (k1, k2) = (s, 0) - c1·(a1, -b1) - c2·(a2, a1). All of it is small, so
	// 256 bits of two's complement hold it.
	k1 = half(subtract(subtract(*s, low(mulWide(a1, c1))), low(mulWide(a2, c2))))
	k2 = half(subtract(low(mulWide(b1, c1)), low(mulWide(a1, c2))))
	return k1, k2
}

// shiftRound is t/2^384, rounded.
func shiftRound(t [8]uint64) [4]uint64 {
	lo, c := bits.Add64(t[6], t[5]>>63, 0)
	return [4]uint64{lo, t[7] + c}
}

func low(t [8]uint64) [4]uint64 { return [4]uint64(t[:4]) }

// subtract is x - y modulo 2^256.
func subtract(x, y [4]uint64) (z [4]uint64) {
	var b uint64
	for i := range z {
		z[i], b = bits.Sub64(x[i], y[i], b)
	}
	return z
}

// half reads a two's complement of at most 128 bits and a sign.
func half(t [4]uint64) Half {
	if t[3]>>63 == 0 {
		return Half{Lo: t[0], Hi: t[1]}
	}
	t = subtract([4]uint64{}, t)
	return Half{Lo: t[0], Hi: t[1], Negative: true}
}

// Endomorphism sets p to φ(q) = λ·q.
func (p *Affine) Endomorphism(q *Affine) {
	p.X.Mul(&q.X, &beta)
	p.Y = q.Y
}
