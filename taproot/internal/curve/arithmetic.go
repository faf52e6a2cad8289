package curve

import "github.com/btcsuite/btcd/btcec/v2"

// Mul returns k·p, not affine. Variable time.
func Mul(k *Scalar, p *Point) (product Point) {
	if IsInfinity(p) || k.IsZero() {
		return Point{}
	}
	btcec.ScalarMultNonConst(k, p, &product)
	return product
}

// MulSmall returns k·p, not affine, by doubling and adding: for the small numbers
// at which polynomials of shares are evaluated that is a few additions. Variable
// time.
func MulSmall(k uint32, p *Point) (product Point) {
	for bit := uint32(1) << 31; bit > 0; bit >>= 1 {
		Double(&product)
		if k&bit != 0 {
			Accumulate(&product, p)
		}
	}
	return product
}

// MulBase returns k·G, affine. Variable time.
func MulBase(k *Scalar) Point {
	var product Point
	btcec.ScalarBaseMultNonConst(k, &product)
	return Affine(product)
}

// Sum returns the sum of points, affine.
func Sum(points ...Point) Point {
	var total Point
	for i := range points {
		Accumulate(&total, &points[i])
	}
	return Affine(total)
}

// Accumulate sets total to total + p, not affine.
func Accumulate(total, p *Point) {
	var next Point
	btcec.AddNonConst(total, p, &next)
	*total = next
}

// Double sets p to 2·p, not affine.
func Double(p *Point) {
	if IsInfinity(p) {
		return
	}
	var doubled Point
	btcec.DoubleNonConst(p, &doubled)
	*p = doubled
}

// Negate returns −p in the form that p has.
func Negate(p Point) Point {
	p.Y.Negate(1).Normalize()
	return p
}

// Affine returns p in affine form.
func Affine(p Point) Point {
	if IsInfinity(&p) {
		return Point{}
	}
	p.ToAffine()
	return p
}

// NormalizeAll makes all points affine with one field inversion (Montgomery's
// trick).
func NormalizeAll(points []Point) {
	var product btcec.FieldVal
	product.SetInt(1)
	before := make([]btcec.FieldVal, len(points)) // product of all Z before each
	for i := range points {
		if IsInfinity(&points[i]) {
			points[i] = Point{}
			continue
		}
		before[i].Set(&product)
		product.Mul(&points[i].Z)
	}
	product.Inverse()
	for i := len(points) - 1; i >= 0; i-- {
		p := &points[i]
		if p.Z.IsZero() {
			continue
		}
		var inverse, square btcec.FieldVal
		inverse.Mul2(&product, &before[i])
		product.Mul(&p.Z)
		square.SquareVal(&inverse)
		p.X.Mul(&square).Normalize()
		p.Y.Mul(&square).Mul(&inverse).Normalize()
		p.Z.SetInt(1)
	}
}
