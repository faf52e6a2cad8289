package secp256k1

// ones returns x to the powers 2^2 - 1, 2^22 - 1 and 2^223 - 1, whose exponents
// are runs of ones: a run of a + b ones is a run of a, squared b times, times a
// run of b.
func (x *Element) ones() (x2, x22, x223 Element) {
	join := func(a, b *Element, n int) (z Element) {
		z.squareTimes(a, n)
		z.Mul(&z, b)
		return z
	}
	x2 = join(x, x, 1)
	x3 := join(&x2, x, 1)
	x6 := join(&x3, &x3, 3)
	x9 := join(&x6, &x3, 3)
	x11 := join(&x9, &x2, 2)
	x22 = join(&x11, &x11, 11)
	x44 := join(&x22, &x22, 22)
	x88 := join(&x44, &x44, 44)
	x176 := join(&x88, &x88, 88)
	x220 := join(&x176, &x44, 44)
	x223 = join(&x220, &x3, 3)
	return x2, x22, x223
}

// Inverse sets z to 1/x, or to zero if x is zero: x^(p-2) (Fermat). In binary
// p - 2 is 223 ones, a zero, 22 ones and 0000101101.
func (z *Element) Inverse(x *Element) {
	base := *x
	x2, x22, t := base.ones()
	t.squareTimes(&t, 23)
	t.Mul(&t, &x22)
	t.squareTimes(&t, 5)
	t.Mul(&t, &base)
	t.squareTimes(&t, 3)
	t.Mul(&t, &x2)
	t.squareTimes(&t, 2)
	z.Mul(&t, &base)
}

// Sqrt sets z to a square root of x and tells whether there is one. Since
// p = 3 (mod 4) it is x^((p+1)/4). In binary (p+1)/4 is 223 ones, a zero, 22
// ones, 000011 and 00. If there is none, z is left meaningless.
func (z *Element) Sqrt(x *Element) bool {
	base := *x
	x2, x22, t := base.ones()
	t.squareTimes(&t, 23)
	t.Mul(&t, &x22)
	t.squareTimes(&t, 6)
	t.Mul(&t, &x2)
	t.squareTimes(&t, 2)
	*z = t
	t.Square(&t)
	return t.Equal(&base)
}
