package secp256k1

import "sync"

// Widths of the digits of G's and of other points' scalars: odd and below
// 2^(width-1) in magnitude.
const (
	baseWidth  = 9
	pointWidth = 5
)

// An odds holds odd multiples P, 3P, 5P, … of a point.
type odds []Affine

// baseOdds are the odd multiples of G and of φ(G).
var baseOdds = sync.OnceValue(func() [2]odds {
	table := make(odds, 1<<(baseWidth-2))
	table.set(&Generator, make([]Jacobian, len(table)))
	other := make(odds, len(table))
	other.endomorphism(table)
	return [2]odds{table, other}
})

// MultiplyBase returns s·G + k·p: the interleaved method of Straus and Shamir
// over digits in non-adjacent form (Hankerson, Menezes, Vanstone, "Guide to
// Elliptic Curve Cryptography", algorithms 3.35 and 3.51), with both scalars
// split in two.
func MultiplyBase(s, k *Scalar, p *Affine) (total Jacobian) {
	var memory [2][1 << (pointWidth - 2)]Affine
	var scratch [1 << (pointWidth - 2)]Jacobian
	table, other := odds(memory[0][:]), odds(memory[1][:])
	table.set(p, scratch[:])
	other.endomorphism(table)
	base := baseOdds()

	terms := [4]struct {
		table  odds
		digits nafDigits
	}{{table: base[0]}, {table: base[1]}, {table: table}, {table: other}}
	s1, s2 := s.Split()
	k1, k2 := k.Split()
	terms[0].digits.set(s1, baseWidth)
	terms[1].digits.set(s2, baseWidth)
	terms[2].digits.set(k1, pointWidth)
	terms[3].digits.set(k2, pointWidth)

	for i := len(nafDigits{}) - 1; i >= 0; i-- {
		total.Double(&total)
		for t := range terms {
			switch d := terms[t].digits[i]; {
			case d > 0:
				total.AddAffine(&total, &terms[t].table[d>>1])
			case d < 0:
				var minus Affine
				minus.Neg(&terms[t].table[-d>>1])
				total.AddAffine(&total, &minus)
			}
		}
	}
	return total
}

// set fills the table with p, 3p, 5p, … by way of as many points of scratch.
func (o odds) set(p *Affine, scratch []Jacobian) {
	clear(o)
	if p.IsInfinity() {
		return
	}
	jacobians := scratch[:len(o)]
	var twice Jacobian
	jacobians[0].SetAffine(p)
	twice.Double(&jacobians[0])
	for i := 1; i < len(o); i++ {
		jacobians[i].Add(&jacobians[i-1], &twice)
	}
	normalize(o, jacobians)
}

// normalize sets each point, none of them at infinity, with one inversion.
func normalize(points []Affine, from []Jacobian) {
	product := one
	for i := range from {
		points[i].X = product
		product.Mul(&product, &from[i].Z)
	}
	product.Inverse(&product)
	for i := len(from) - 1; i >= 0; i-- {
		var z, zz Element
		z.Mul(&product, &points[i].X)
		product.Mul(&product, &from[i].Z)
		zz.Square(&z)
		points[i].X.Mul(&from[i].X, &zz)
		zz.Mul(&zz, &z)
		points[i].Y.Mul(&from[i].Y, &zz)
	}
}

// endomorphism fills the table with φ of the other's points.
func (o odds) endomorphism(of odds) {
	for i := range o {
		o[i].Endomorphism(&of[i])
	}
}

// nafDigits are the digits of a number below 2^128, the lowest first: each is
// zero or odd, and of any width in a row at most one is not zero.
type nafDigits [130]int16

func (d *nafDigits) set(k Half, width int) {
	lo, hi := k.Lo, k.Hi
	carry := uint64(0)
	for i := 0; i < len(d); i++ {
		if lo&1 == carry {
			lo, hi = lo>>1|hi<<63, hi>>1
			continue
		}
		word := lo&(1<<width-1) + carry
		carry = word >> (width - 1)
		digit := int16(word) - int16(carry<<width)
		if k.Negative {
			digit = -digit
		}
		d[i] = digit
		lo, hi = lo>>width|hi<<(64-width), hi>>width
		i += width - 1
	}
}
