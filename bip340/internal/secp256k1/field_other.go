//go:build !amd64 || purego

package secp256k1

// Mul sets z to x·y.
func (z *Element) Mul(x, y *Element) { mul(z, x, y) }

// Square sets z to x².
func (z *Element) Square(x *Element) { square(z, x) }

// squareTimes sets z to x^(2^n), n above zero.
func (z *Element) squareTimes(x *Element, n int) { squareTimes(z, x, n) }

// add does one sum of different points, as the function add does.
func (p *Affine) add(q *Affine, product, denom, before *Element) {
	add(p, q, product, denom, before)
}
