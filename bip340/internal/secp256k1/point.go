package secp256k1

// An Affine is a point of the curve y² = x³ + 7, or the point at infinity, which
// is the zero value. (No point has y = 0: the order of the group is odd.)
type Affine struct{ X, Y Element }

// A Jacobian is the point (X/Z², Y/Z³), or the point at infinity if Z is zero,
// as it is in the zero value.
type Jacobian struct{ X, Y, Z Element }

// Generator is the base point G (SEC 2, section 2.4.1).
var Generator = Affine{
	X: Element{0x59F2815B16F81798, 0x029BFCDB2DCE28D9, 0x55A06295CE870B07, 0x79BE667EF9DCBBAC},
	Y: Element{0x9C47D08FFB10D4B8, 0xFD17B448A6855419, 0x5DA4FBFC0E1108A8, 0x483ADA7726A3C465},
}

var seven = Element{7}

// Lift sets p to the point with an even y and the given x, as lift_x of BIP-340
// does, and tells whether there is one: x is below p and on the curve. If there
// is none, p is the point at infinity.
func (p *Affine) Lift(x *[32]byte) bool {
	var square Element
	below := p.square(x, &square)
	p.Y.root(&square)
	return p.lifted(below, &square)
}

// LiftFour lifts four at once, for less than four times as much.
func LiftFour(points [4]*Affine, xs [4]*[32]byte) (ok [4]bool) {
	var squares, roots [4]Element
	for i, p := range points {
		ok[i] = p.square(xs[i], &squares[i])
	}
	roots = squares
	rootFour(&roots)
	for i, p := range points {
		p.Y = roots[i]
		ok[i] = p.lifted(ok[i], &squares[i])
	}
	return ok
}

// LiftTo sets p to the point of x if y is its even y, and tells whether it is. Else
// p is the point at infinity.
func (p *Affine) LiftTo(x *[32]byte, y *Element) bool {
	var square Element
	below := p.square(x, &square)
	if p.Y = *y; below && p.Y.isRootOf(&square) && !p.Y.IsOdd() {
		return true
	}
	*p = Affine{}
	return false
}

// square sets p.X and tells whether it is below p, and y2 to what y² should be.
func (p *Affine) square(x *[32]byte, y2 *Element) bool {
	below := p.X.SetBytes(x)
	y2.Square(&p.X)
	y2.Mul(y2, &p.X)
	y2.Add(y2, &seven)
	return below
}

// lifted makes p.Y even, if it is a root of y2 and x was below p, and the point
// at infinity of p if not.
func (p *Affine) lifted(below bool, y2 *Element) bool {
	if !below || !p.Y.isRootOf(y2) {
		*p = Affine{}
		return false
	}
	if p.Y.IsOdd() {
		p.Y.Neg(&p.Y)
	}
	return true
}

// IsInfinity tells whether p is the point at infinity.
func (p *Affine) IsInfinity() bool { return p.Y == Element{} }

// Neg sets p to -q.
func (p *Affine) Neg(q *Affine) {
	p.X = q.X
	if q.IsInfinity() {
		p.Y = Element{}
		return
	}
	p.Y.Neg(&q.Y)
}

// IsInfinity tells whether p is the point at infinity.
func (p *Jacobian) IsInfinity() bool { return p.Z.IsZero() }

// SetAffine sets p to q.
func (p *Jacobian) SetAffine(q *Affine) {
	if q.IsInfinity() {
		*p = Jacobian{}
		return
	}
	p.X, p.Y, p.Z = q.X, q.Y, one
}

// Neg sets p to -q.
func (p *Jacobian) Neg(q *Jacobian) {
	p.X, p.Z = q.X, q.Z
	p.Y.Neg(&q.Y)
}

// EqualAffine tells whether both are the same point.
func (p *Jacobian) EqualAffine(q *Affine) bool {
	if p.IsInfinity() || q.IsInfinity() {
		return p.IsInfinity() && q.IsInfinity()
	}
	var zz, t Element
	zz.Square(&p.Z)
	t.Mul(&q.X, &zz)
	if !t.Equal(&p.X) {
		return false
	}
	zz.Mul(&zz, &p.Z)
	t.Mul(&q.Y, &zz)
	return t.Equal(&p.Y)
}

// Double sets p to 2q. With L = 3X²/2 and T = XY² it is (L² - 2T, L(T - X') - Y⁴,
// YZ), which is the textbook's point for a curve with a = 0 (Guide to ECC, section
// 3.2.2) with Z halved: 3M + 4S and few additions.
func (p *Jacobian) Double(q *Jacobian) {
	var l, s, t Element
	t.Square(&q.X)
	l.Add(&t, &t)
	l.Add(&l, &t)
	l.Half(&l)
	s.Square(&q.Y)
	t.Mul(&q.X, &s)
	p.Z.Mul(&q.Y, &q.Z)
	p.X.Square(&l)
	p.X.Sub(&p.X, &t)
	p.X.Sub(&p.X, &t)
	t.Sub(&t, &p.X)
	s.Square(&s)
	p.Y.Mul(&l, &t)
	p.Y.Sub(&p.Y, &s)
}

// Add sets p to q + r ("add-2007-bl": 11M + 5S).
func (p *Jacobian) Add(q, r *Jacobian) {
	if q.IsInfinity() {
		*p = *r
		return
	}
	if r.IsInfinity() {
		*p = *q
		return
	}
	var zq, zr, u, v, s, t Element
	zq.Square(&q.Z)
	zr.Square(&r.Z)
	u.Mul(&q.X, &zr)
	v.Mul(&r.X, &zq)
	s.Mul(&q.Y, &r.Z)
	s.Mul(&s, &zr)
	t.Mul(&r.Y, &q.Z)
	t.Mul(&t, &zq)
	var z Element
	z.Mul(&q.Z, &r.Z)
	p.chord(q, &u, &s, &v, &t, &z)
}

// AddAffine sets p to q + r, r in affine form ("madd": 8M + 3S).
func (p *Jacobian) AddAffine(q *Jacobian, r *Affine) {
	if q.IsInfinity() {
		p.SetAffine(r)
		return
	}
	if r.IsInfinity() {
		*p = *q
		return
	}
	var zz, v, t Element
	zz.Square(&q.Z)
	v.Mul(&r.X, &zz)
	t.Mul(&r.Y, &q.Z)
	t.Mul(&t, &zz)
	z := q.Z
	p.chord(q, &q.X, &q.Y, &v, &t, &z)
}

// chord sets p to the sum of (u, s) and (v, t), coordinates over the common
// denominators z² and z³. If the points are the same, it doubles q.
func (p *Jacobian) chord(q *Jacobian, u, s, v, t, z *Element) {
	var h, r, hh, hhh, w Element
	h.Sub(v, u)
	r.Sub(t, s)
	if h.IsZero() {
		if r.IsZero() {
			p.Double(q)
		} else {
			*p = Jacobian{}
		}
		return
	}
	hh.Square(&h)
	hhh.Mul(&hh, &h)
	w.Mul(u, &hh)
	y := *s
	p.Z.Mul(z, &h)
	p.X.Square(&r)
	p.X.Sub(&p.X, &hhh)
	p.X.Sub(&p.X, &w)
	p.X.Sub(&p.X, &w)
	w.Sub(&w, &p.X)
	p.Y.Mul(&r, &w)
	y.Mul(&y, &hhh)
	p.Y.Sub(&p.Y, &y)
}
