package frost

import "github.com/btcsuite/btcd/btcec/v2"

// Signed digits of multiExp: odd, below 16 in absolute value.
const (
	windowBits  = 5
	windowTable = 1 << (windowBits - 2) // odd multiples 1, 3, … 15
	scalarBits  = 256
)

// multiExp returns the sum of scalars[i]·points[i]: Straus's interleaving, which
// shares the doublings, over signed windows. Variable time, for public values.
func multiExp(scalars []scalar, points []point) point {
	tables := make([][windowTable]point, len(points))
	digits := make([][scalarBits + 1]int8, len(points))
	for i := range points {
		if isInfinity(&points[i]) {
			continue // all its digits stay zero
		}
		oddMultiples(&points[i], &tables[i])
		digits[i] = signedDigits(&scalars[i])
	}
	affineAll(tables)
	var sum point
	for bit := scalarBits; bit >= 0; bit-- {
		if !isInfinity(&sum) {
			var double point
			btcec.DoubleNonConst(&sum, &double)
			sum = double
		}
		for i := range digits {
			if d := digits[i][bit]; d != 0 {
				addDigit(&sum, &tables[i], d)
			}
		}
	}
	return affine(sum)
}

// addDigit adds d times the table's point to sum.
func addDigit(sum *point, table *[windowTable]point, d int8) {
	var term point
	if d > 0 {
		term = table[d>>1]
	} else {
		term = table[-d>>1]
		term.Y.Negate(1).Normalize()
	}
	addTo(sum, &term)
}

// addTo adds p to sum and leaves it in Jacobian form: normalising costs an
// inversion, many times the addition.
func addTo(sum, p *point) {
	var result point
	btcec.AddNonConst(sum, p, &result)
	*sum = result
}

// oddMultiples fills in p, 3p, … 15p.
func oddMultiples(p *point, table *[windowTable]point) {
	var double point
	btcec.DoubleNonConst(p, &double)
	table[0] = *p
	for i := 1; i < windowTable; i++ {
		btcec.AddNonConst(&table[i-1], &double, &table[i])
	}
}

// affineAll normalises all tables with one field inversion, so that additions
// from them are of the cheaper, mixed kind.
func affineAll(tables [][windowTable]point) {
	var product btcec.FieldVal
	product.SetInt(1)
	before := make([][windowTable]btcec.FieldVal, len(tables)) // product of all Z before each
	for i := range tables {
		for j := range tables[i] {
			if p := &tables[i][j]; !p.Z.IsZero() {
				before[i][j].Set(&product)
				product.Mul(&p.Z)
			}
		}
	}
	product.Inverse()
	for i := len(tables) - 1; i >= 0; i-- {
		for j := windowTable - 1; j >= 0; j-- {
			p := &tables[i][j]
			if p.Z.IsZero() {
				continue
			}
			var inverse, square btcec.FieldVal
			inverse.Mul2(&product, &before[i][j])
			product.Mul(&p.Z)
			square.SquareVal(&inverse)
			p.X.Mul(&square).Normalize()
			p.Y.Mul(&square).Mul(&inverse).Normalize()
			p.Z.SetInt(1)
		}
	}
}

// signedDigits writes k as the sum of digits[i]·2^i, where nonzero digits are
// odd, below 2^(windowBits−1) in absolute value, and windowBits apart.
func signedDigits(k *scalar) (digits [scalarBits + 1]int8) {
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
