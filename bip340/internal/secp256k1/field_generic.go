package secp256k1

import "math/bits"

// mul sets z to x·y: the product by rows, then two folds of what is above 2^256.
func mul(z, x, y *Element) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	var c, h0, h1, h2, h3, l0, l1, l2, l3 uint64

	f := y[0]
	h0, t0 := bits.Mul64(x0, f)
	h1, l1 = bits.Mul64(x1, f)
	h2, l2 = bits.Mul64(x2, f)
	h3, l3 = bits.Mul64(x3, f)
	t1, c := bits.Add64(l1, h0, 0)
	t2, c := bits.Add64(l2, h1, c)
	t3, c := bits.Add64(l3, h2, c)
	t4 := h3 + c

	f = y[1]
	h0, l0 = bits.Mul64(x0, f)
	h1, l1 = bits.Mul64(x1, f)
	h2, l2 = bits.Mul64(x2, f)
	h3, l3 = bits.Mul64(x3, f)
	l1, c = bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	t1, c = bits.Add64(t1, l0, 0)
	t2, c = bits.Add64(t2, l1, c)
	t3, c = bits.Add64(t3, l2, c)
	t4, c = bits.Add64(t4, l3, c)
	t5 := h3 + c

	f = y[2]
	h0, l0 = bits.Mul64(x0, f)
	h1, l1 = bits.Mul64(x1, f)
	h2, l2 = bits.Mul64(x2, f)
	h3, l3 = bits.Mul64(x3, f)
	l1, c = bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	t2, c = bits.Add64(t2, l0, 0)
	t3, c = bits.Add64(t3, l1, c)
	t4, c = bits.Add64(t4, l2, c)
	t5, c = bits.Add64(t5, l3, c)
	t6 := h3 + c

	f = y[3]
	h0, l0 = bits.Mul64(x0, f)
	h1, l1 = bits.Mul64(x1, f)
	h2, l2 = bits.Mul64(x2, f)
	h3, l3 = bits.Mul64(x3, f)
	l1, c = bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	t3, c = bits.Add64(t3, l0, 0)
	t4, c = bits.Add64(t4, l1, c)
	t5, c = bits.Add64(t5, l2, c)
	t6, c = bits.Add64(t6, l3, c)
	t7 := h3 + c

	reduce(z, t0, t1, t2, t3, t4, t5, t6, t7)
}

// square sets z to x².
func square(z, x *Element) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	var c uint64

	// The mixed products, once.
	h01, t1 := bits.Mul64(x0, x1)
	h02, l02 := bits.Mul64(x0, x2)
	h03, l03 := bits.Mul64(x0, x3)
	h12, l12 := bits.Mul64(x1, x2)
	h13, l13 := bits.Mul64(x1, x3)
	h23, l23 := bits.Mul64(x2, x3)
	t2, c := bits.Add64(l02, h01, 0)
	t3, c := bits.Add64(l03, h02, c)
	t4, c := bits.Add64(l13, h03, c)
	t5, c := bits.Add64(l23, h13, c)
	t6 := h23 + c
	t3, c = bits.Add64(t3, l12, 0)
	t4, c = bits.Add64(t4, h12, c)
	t5, c = bits.Add64(t5, 0, c)
	t6 += c

	// Twice the mixed products.
	t1, c = bits.Add64(t1, t1, 0)
	t2, c = bits.Add64(t2, t2, c)
	t3, c = bits.Add64(t3, t3, c)
	t4, c = bits.Add64(t4, t4, c)
	t5, c = bits.Add64(t5, t5, c)
	t6, c = bits.Add64(t6, t6, c)
	t7 := c

	// And the squares.
	h0, t0 := bits.Mul64(x0, x0)
	h1, l1 := bits.Mul64(x1, x1)
	h2, l2 := bits.Mul64(x2, x2)
	h3, l3 := bits.Mul64(x3, x3)
	t1, c = bits.Add64(t1, h0, 0)
	t2, c = bits.Add64(t2, l1, c)
	t3, c = bits.Add64(t3, h1, c)
	t4, c = bits.Add64(t4, l2, c)
	t5, c = bits.Add64(t5, h2, c)
	t6, c = bits.Add64(t6, l3, c)
	t7 += h3 + c

	reduce(z, t0, t1, t2, t3, t4, t5, t6, t7)
}

// squareTimes sets z to x^(2^n), n above zero.
func squareTimes(z, x *Element, n int) {
	square(z, x)
	for range n - 1 {
		square(z, z)
	}
}

// reduce sets z to the residue of eight limbs.
func reduce(z *Element, t0, t1, t2, t3, t4, t5, t6, t7 uint64) {
	h0, l0 := bits.Mul64(t4, fold)
	h1, l1 := bits.Mul64(t5, fold)
	h2, l2 := bits.Mul64(t6, fold)
	h3, l3 := bits.Mul64(t7, fold)
	l1, c := bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	t0, c = bits.Add64(t0, l0, 0)
	t1, c = bits.Add64(t1, l1, c)
	t2, c = bits.Add64(t2, l2, c)
	t3, c = bits.Add64(t3, l3, c)
	h3 += c

	// h3 is below 2^34 now, its fold below 2^67.
	h0, l0 = bits.Mul64(h3, fold)
	t0, c = bits.Add64(t0, l0, 0)
	t1, c = bits.Add64(t1, h0, c)
	t2, c = bits.Add64(t2, 0, c)
	t3, c = bits.Add64(t3, 0, c)
	if c != 0 {
		// Less than 2^67 is left. It happens to hardly any numbers.
		t0, c = bits.Add64(t0, fold, 0)
		t1 += c
	}
	z[0], z[1], z[2], z[3] = t0, t1, t2, t3
}
