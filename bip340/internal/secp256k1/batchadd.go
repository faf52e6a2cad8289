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
		if p == q {
			double(p, &product, &a.denom[i], &a.products[i])
		} else {
			p.add(q, &product, &a.denom[i], &a.products[i])
		}
	}
	a.sums = a.sums[:0]
}

// add sets p to p + q, two points with different x, given the product of the
// denominators so far and of those before: product·before is the inverse of
// denom, which is q.X - p.X, and product becomes what the next addition needs.
func add(p, q *Affine, product, denom, before *Element) {
	var slope, inverse Element
	inverse.Mul(product, before)
	product.Mul(product, denom)
	slope.Sub(&q.Y, &p.Y)
	slope.Mul(&slope, &inverse)
	p.follow(&slope, &q.X)
}

// double is add for q = p and a denominator of 2·p.Y.
func double(p *Affine, product, denom, before *Element) {
	var slope, square, inverse Element
	inverse.Mul(product, before)
	product.Mul(product, denom)
	square.Square(&p.X)
	slope.Add(&square, &square)
	slope.Add(&slope, &square)
	slope.Mul(&slope, &inverse)
	p.follow(&slope, &p.X)
}

// follow sets p to the opposite of where the line through p with this slope, and
// through a point at the other x, meets the curve again.
func (p *Affine) follow(slope, other *Element) {
	var x, run Element
	x.Square(slope)
	x.Sub(&x, &p.X)
	x.Sub(&x, other)
	run.Sub(&p.X, &x)
	run.Mul(&run, slope)
	p.Y.Sub(&run, &p.Y)
	p.X = x
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
