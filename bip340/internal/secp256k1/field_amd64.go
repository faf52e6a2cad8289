//go:build !purego

package secp256k1

import "golang.org/x/sys/cpu"

// assembly says that the processor has what field_amd64.s needs: Intel's since
// Broadwell, AMD's since Zen.
var assembly = cpu.X86.HasBMI2 && cpu.X86.HasADX

//go:noescape
func mulADX(z, x, y *Element)

//go:noescape
func squareADX(z, x *Element, n int)

//go:noescape
func addADX(p, q *Affine, product, denom, before *Element)

// Mul sets z to x·y.
func (z *Element) Mul(x, y *Element) {
	if assembly {
		mulADX(z, x, y)
		return
	}
	mul(z, x, y)
}

// Square sets z to x².
func (z *Element) Square(x *Element) {
	if assembly {
		squareADX(z, x, 1)
		return
	}
	square(z, x)
}

// squareTimes sets z to x^(2^n), n above zero.
func (z *Element) squareTimes(x *Element, n int) {
	if assembly {
		squareADX(z, x, n)
		return
	}
	squareTimes(z, x, n)
}

// add does one sum of different points, as the function add does.
func (p *Affine) add(q *Affine, product, denom, before *Element) {
	if assembly {
		addADX(p, q, product, denom, before)
		return
	}
	add(p, q, product, denom, before)
}
