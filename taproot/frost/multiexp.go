package frost

import (
	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Signed digits of multiExp: odd, below 16 in absolute value.
const (
	windowBits  = 5
	windowTable = 1 << (windowBits - 2) // odd multiples 1, 3, … 15
	scalarBits  = 256
)

// multiExp returns the sum of scalars[i]·points[i]: Straus's interleaving, which
// shares the doublings, over signed windows. Variable time, for public values.
func multiExp(scalars []curve.Scalar, points []curve.Point) curve.Point {
	multiples := make([]curve.Point, windowTable*len(points)) // a table for each point
	table := func(i int) []curve.Point { return multiples[windowTable*i:][:windowTable] }
	digits := make([][scalarBits + 1]int8, len(points))
	for i := range points {
		if curve.IsInfinity(&points[i]) {
			continue // all its digits stay zero
		}
		oddMultiples(&points[i], table(i))
		digits[i] = signedDigits(&scalars[i])
	}
	curve.NormalizeAll(multiples) // so that additions are of the cheaper, mixed kind
	var sum curve.Point
	for bit := scalarBits; bit >= 0; bit-- {
		curve.Double(&sum)
		for i := range digits {
			if d := digits[i][bit]; d != 0 {
				addDigit(&sum, table(i), d)
			}
		}
	}
	return curve.Affine(sum)
}

// addDigit adds d times the table's point to sum.
func addDigit(sum *curve.Point, table []curve.Point, d int8) {
	var term curve.Point
	if d > 0 {
		term = table[d>>1]
	} else {
		term = curve.Negate(table[-d>>1])
	}
	curve.Accumulate(sum, &term)
}

// oddMultiples fills in p, 3p, … 15p.
func oddMultiples(p *curve.Point, table []curve.Point) {
	double := *p
	curve.Double(&double)
	table[0] = *p
	for i := 1; i < windowTable; i++ {
		btcec.AddNonConst(&table[i-1], &double, &table[i])
	}
}

// signedDigits writes k as the sum of digits[i]·2^i, where nonzero digits are
// odd, below 2^(windowBits−1) in absolute value, and windowBits apart.
func signedDigits(k *curve.Scalar) (digits [scalarBits + 1]int8) {
	b := k.Bytes()
	bit := func(i int) int { return int(b[31-i/8]>>(i%8)) & 1 }
	carry := 0
	for i := 0; i < scalarBits; {
		if bit(i) == carry {
			i++
			continue
		}
		width := min(windowBits, scalarBits-i)
		word := carry
		for j := range width {
			word += bit(i+j) << j
		}
		carry = word >> (windowBits - 1) & 1
		digits[i] = int8(word - carry<<windowBits)
		i += width
	}
	digits[scalarBits] = int8(carry)
	return digits
}
