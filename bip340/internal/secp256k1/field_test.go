package secp256k1

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

var prime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(fold))

// source is a random source whose seed a failing test prints.
func source(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// edgy draws numbers near zero and near 2^256, and limbs that are all zeros, all
// ones, near them, or anything, so that carries run through.
func edgy(r *rand.Rand) (limbs [4]uint64) {
	switch near := r.Uint64N(3 * fold); r.IntN(8) {
	case 0:
		return [4]uint64{near}
	case 1:
		return [4]uint64{^near, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1}
	}
	for i := range limbs {
		switch r.IntN(6) {
		case 0:
		case 1:
			limbs[i] = 1<<64 - 1
		case 2:
			limbs[i] = uint64(r.IntN(3))
		case 3:
			limbs[i] = -uint64(r.IntN(3)) - fold
		default:
			limbs[i] = r.Uint64()
		}
	}
	return limbs
}

func integer(limbs [4]uint64) *big.Int {
	n := new(big.Int)
	for i := 3; i >= 0; i-- {
		n.Or(n.Lsh(n, 64), new(big.Int).SetUint64(limbs[i]))
	}
	return n
}

func residue(x Element) *big.Int { return new(big.Int).Mod(integer(x), prime) }

func TestFieldAgreesWithIntegers(t *testing.T) {
	r := source(t)
	half := new(big.Int).ModInverse(big.NewInt(2), prime)
	for range 50_000 {
		x, y := Element(edgy(r)), Element(edgy(r))
		if r.IntN(8) == 0 {
			y = x
		}
		bx, by := residue(x), residue(y)
		for _, c := range []struct {
			name string
			got  func(z *Element)
			want *big.Int
		}{
			{"add", func(z *Element) { z.Add(&x, &y) }, new(big.Int).Add(bx, by)},
			{"sub", func(z *Element) { z.Sub(&x, &y) }, new(big.Int).Sub(bx, by)},
			{"neg", func(z *Element) { z.Neg(&x) }, new(big.Int).Neg(bx)},
			{"half", func(z *Element) { z.Half(&x) }, new(big.Int).Mul(bx, half)},
			{"mul", func(z *Element) { z.Mul(&x, &y) }, new(big.Int).Mul(bx, by)},
			{"square", func(z *Element) { z.Square(&x) }, new(big.Int).Mul(bx, bx)},
			{"generic mul", func(z *Element) { mul(z, &x, &y) }, new(big.Int).Mul(bx, by)},
			{"generic square", func(z *Element) { square(z, &x) }, new(big.Int).Mul(bx, bx)},
			{"mul in place", func(z *Element) { *z = x; z.Mul(z, &y) }, new(big.Int).Mul(bx, by)},
			{"sub in place", func(z *Element) { *z = y; z.Sub(&x, z) }, new(big.Int).Sub(bx, by)},
		} {
			var z Element
			c.got(&z)
			if residue(z).Cmp(c.want.Mod(c.want, prime)) != 0 {
				t.Fatalf("%s of %x and %x is %x, want %x", c.name, x, y, z, c.want)
			}
		}
		if x.Equal(&y) != (bx.Cmp(by) == 0) || x.IsZero() != (bx.Sign() == 0) || x.IsOdd() != (bx.Bit(0) == 1) {
			t.Fatalf("comparing %x and %x", x, y)
		}
	}
}

// TestFoldThrice has products of which the second fold carries once more, which
// no random ones do: x·2^232 with low + high·fold just below 2^257.
func TestFoldThrice(t *testing.T) {
	r := source(t)
	f := big.NewInt(fold)
	for range 100 {
		low := new(big.Int).Lsh(big.NewInt(int64(r.Uint32N(1<<24))), 232)
		high := new(big.Int).Lsh(big.NewInt(1), 257)
		high.Sub(high, low).Sub(high, big.NewInt(1)).Div(high, f)
		product := new(big.Int).Lsh(high, 256)
		product.Add(product, low)
		var x, z, generic Element
		y := Element{3: 1 << 40}
		x.SetBytes((*[32]byte)(new(big.Int).Rsh(product, 232).FillBytes(make([]byte, 32))))
		z.Mul(&x, &y)
		mul(&generic, &x, &y)
		want := product.Mod(product, prime)
		if residue(z).Cmp(want) != 0 || residue(generic).Cmp(want) != 0 {
			t.Fatalf("product of %x and %x is %x and %x, want %x", x, y, z, generic, want)
		}
	}
}

// TestAddOfAnyElements compares the two ways to add points, on numbers that need
// not be on the curve: both are the same polynomials.
func TestAddOfAnyElements(t *testing.T) {
	r := source(t)
	for range 20_000 {
		p, q := Affine{edgy(r), edgy(r)}, Affine{edgy(r), edgy(r)}
		product, denom, before := Element(edgy(r)), Element(edgy(r)), Element(edgy(r))
		got, want, gotProduct, wantProduct := p, p, product, product
		got.add(&q, &gotProduct, &denom, &before)
		add(&want, &q, &wantProduct, &denom, &before)
		if !got.X.Equal(&want.X) || !got.Y.Equal(&want.Y) || !gotProduct.Equal(&wantProduct) {
			t.Fatalf("%x plus %x with %x, %x, %x is %x and leaves %x, want %x and %x",
				p, q, product, denom, before, got, gotProduct, want, wantProduct)
		}
	}
}

func TestFieldPowers(t *testing.T) {
	r := source(t)
	for range 500 {
		x := Element(edgy(r))
		bx := residue(x)
		var z Element
		z.Inverse(&x)
		want := new(big.Int)
		if bx.Sign() != 0 {
			want.ModInverse(bx, prime)
		}
		if residue(z).Cmp(want) != 0 {
			t.Fatalf("inverse of %x is %x, want %x", x, z, want)
		}
		z.root(&x)
		ok := z.isRootOf(&x)
		if want := big.Jacobi(bx, prime) != -1; ok != want {
			t.Fatalf("%x has a square root: %v, want %v", x, ok, want)
		}
		if z.Square(&z); ok && !z.Equal(&x) {
			t.Fatalf("the square root of %x squared is %x", x, z)
		}
	}
}

// TestRootFour compares four roots taken at once with each.
func TestRootFour(t *testing.T) {
	r := source(t)
	for range 1_000 {
		x := [4]Element{edgy(r), edgy(r), edgy(r), edgy(r)}
		got := x
		rootFour(&got)
		for i := range x {
			var want Element
			if want.root(&x[i]); !got[i].Equal(&want) {
				t.Fatalf("the root of %x is %x, want %x", x[i], got[i], want)
			}
		}
	}
}

func TestFieldBytes(t *testing.T) {
	r := source(t)
	for range 2_000 {
		x := Element(edgy(r))
		var b [32]byte
		integer(x).FillBytes(b[:])
		var z Element
		if below := z.SetBytes(&b); below != (integer(x).Cmp(prime) < 0) || z != x {
			t.Fatalf("%x read as %x, below p: %v", b, z, below)
		}
		residue(x).FillBytes(b[:])
		if got := x.Bytes(); got != b {
			t.Fatalf("%x written as %x", x, got)
		}
	}
}

var sink Element

func BenchmarkField(b *testing.B) {
	x, y := Element(edgy(source(b))), Element{1, 2, 3, 4}
	b.Run("mul", func(b *testing.B) {
		for range b.N {
			x.Mul(&x, &y)
		}
	})
	b.Run("mul apart", func(b *testing.B) {
		for range b.N {
			sink.Mul(&x, &y)
		}
	})
	b.Run("square", func(b *testing.B) {
		for range b.N {
			x.Square(&x)
		}
	})
	b.Run("square apart", func(b *testing.B) {
		for range b.N {
			sink.Square(&x)
		}
	})
	b.Run("add", func(b *testing.B) {
		for range b.N {
			x.Add(&x, &y)
		}
	})
	b.Run("sub", func(b *testing.B) {
		for range b.N {
			x.Sub(&x, &y)
		}
	})
	b.Run("inverse", func(b *testing.B) {
		for range b.N {
			x.Inverse(&x)
		}
	})
	b.Run("sqrt", func(b *testing.B) {
		for range b.N {
			sink.root(&x)
		}
	})
	b.Run("four sqrt", func(b *testing.B) {
		y := [4]Element{x, x, x, x}
		for range b.N {
			rootFour(&y)
		}
	})
}
