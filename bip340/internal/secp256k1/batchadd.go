package secp256k1

// A sum is one addition of a round: points[into] += points[from].
type sum struct{ into, from int32 }

// An adder does many additions of affine points for one inversion (Montgomery's
// trick: Montgomery, "Speeding the Pollard and elliptic curve methods of
// factorization", 1987, section 10.3.1), which makes an addition 5M + 1S. It
// keeps its memory for the next round.
type adder struct {
	sums     []sum
	denom    []Element // of the slope of each sum
	products []Element // of the denominators before it
}

// add plans points[into] += points[from]. Within a round no sum may read or
// write what another one writes.
func (a *adder) add(into, from int) {
	a.sums = append(a.sums, sum{int32(into), int32(from)})
}

// round does the sums that were planned.
func (a *adder) round(points []Affine) {
	product := a.denominators(points)
	product.Inverse(&product)
	for i := len(a.sums) - 1; i >= 0; i-- {
		p, q := &points[a.sums[i].into], &points[a.sums[i].from]
		var slope, x, t Element
		t.Mul(&product, &a.products[i])
		product.Mul(&product, &a.denom[i])
		if p == q {
			slope.Square(&p.X)
			x.Add(&slope, &slope)
			slope.Add(&slope, &x)
		} else {
			slope.Sub(&q.Y, &p.Y)
		}
		slope.Mul(&slope, &t)
		x.Square(&slope)
		x.Sub(&x, &p.X)
		x.Sub(&x, &q.X)
		t.Sub(&p.X, &x)
		t.Mul(&t, &slope)
		p.Y.Sub(&t, &p.Y)
		p.X = x
	}
	a.sums = a.sums[:0]
}

// denominators fills denom and products and returns the product of all. Sums
// that need no slope are done at once and taken off the plan; a sum of equal
// points becomes one of a point with itself.
func (a *adder) denominators(points []Affine) Element {
	a.denom = grow(a.denom, len(a.sums))
	a.products = grow(a.products, len(a.sums))
	product, kept := one, 0
	for _, s := range a.sums {
		p, q := &points[s.into], &points[s.from]
		if q.IsInfinity() {
			continue
		}
		if p.IsInfinity() {
			*p = *q
			continue
		}
		d := &a.denom[kept]
		d.Sub(&q.X, &p.X)
		if d.IsZero() {
			if !p.Y.Equal(&q.Y) {
				*p = Affine{}
				continue
			}
			s.from = s.into
			d.Add(&p.Y, &p.Y)
		}
		a.sums[kept] = s
		a.products[kept] = product
		product.Mul(&product, d)
		kept++
	}
	a.sums = a.sums[:kept]
	return product
}

// grow returns a slice of n elements of any value, with the memory of s if it is
// enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
