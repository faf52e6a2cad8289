package secp256k1

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

var orderInt = integer(order)

func scalar(n *big.Int) (s Scalar) {
	var b [32]byte
	new(big.Int).Mod(n, orderInt).FillBytes(b[:])
	s.SetBytes(&b)
	return s
}

func (h Half) integer() *big.Int {
	n := integer([4]uint64{h.Lo, h.Hi})
	if h.Negative {
		n.Neg(n)
	}
	return n
}

// edgyScalar draws near zero, near the order, or anywhere.
func edgyScalar(r *rand.Rand) Scalar {
	n := integer(edgy(r))
	switch r.IntN(8) {
	case 0:
		n.SetInt64(int64(r.IntN(5)) - 2)
	case 1:
		n.Rsh(n, uint(r.IntN(256)))
	}
	return scalar(n)
}

func edgyHalf(r *rand.Rand) Half {
	limbs := edgy(r)
	return Half{limbs[0], limbs[1], r.IntN(2) == 0}
}

// oracle is btcec's k·p, p = nil for the base point.
func oracle(k *big.Int, p *btcec.JacobianPoint) (z btcec.JacobianPoint) {
	var s btcec.ModNScalar
	s.SetByteSlice(new(big.Int).Mod(k, orderInt).FillBytes(make([]byte, 32)))
	if p == nil {
		btcec.ScalarBaseMultNonConst(&s, &z)
	} else {
		btcec.ScalarMultNonConst(&s, p, &z)
	}
	z.ToAffine()
	return z
}

// affine reads a point of btcec.
func affine(p *btcec.JacobianPoint) (z Affine) {
	if p.Z.IsZero() || p.X.IsZero() && p.Y.IsZero() {
		return Affine{}
	}
	z.X.SetBytes(p.X.Bytes())
	z.Y.SetBytes(p.Y.Bytes())
	return z
}

func sumOracle(points []btcec.JacobianPoint, scalars []Half) Affine {
	var total btcec.JacobianPoint
	for i := range points {
		if points[i].Z.IsZero() {
			continue
		}
		p := oracle(scalars[i].integer(), &points[i])
		btcec.AddNonConst(&total, &p, &total)
	}
	total.ToAffine()
	return affine(&total)
}

func TestScalarAgreesWithIntegers(t *testing.T) {
	r := source(t)
	for range 20_000 {
		x, y, a := edgyScalar(r), edgyScalar(r), edgyHalf(r)
		bx, by := integer(x), integer(y)
		var z Scalar
		for _, c := range []struct {
			name string
			do   func()
			want *big.Int
		}{
			{"add", func() { z.Add(&x, &y) }, new(big.Int).Add(bx, by)},
			{"neg", func() { z.Neg(&x) }, new(big.Int).Neg(bx)},
			{"mul", func() { z.MulHalf(a, &x) }, new(big.Int).Mul(a.integer(), bx)},
		} {
			if c.do(); integer(z).Cmp(c.want.Mod(c.want, orderInt)) != 0 {
				t.Fatalf("%s of %x, %x, %v is %x, want %x", c.name, x, y, a, z, c.want)
			}
		}
	}
}

func TestScalarBytes(t *testing.T) {
	r := source(t)
	for range 5_000 {
		n := integer(edgy(r))
		if r.IntN(2) == 0 {
			n.Add(orderInt, big.NewInt(int64(r.IntN(5))-2))
		}
		var b [32]byte
		n.FillBytes(b[:])
		var s Scalar
		below := s.SetBytes(&b)
		if want := n.Cmp(orderInt) < 0; below != want || integer(s).Cmp(new(big.Int).Mod(n, orderInt)) != 0 {
			t.Fatalf("%x read as %x, below the order: %v", b, s, below)
		}
	}
}

func TestEndomorphism(t *testing.T) {
	r := source(t)
	lambda, _ := new(big.Int).SetString("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72", 16)
	for range 20_000 {
		s := edgyScalar(r)
		k1, k2 := s.Split()
		got := new(big.Int).Mul(k2.integer(), lambda)
		got.Add(got, k1.integer()).Mod(got, orderInt)
		if got.Cmp(integer(s)) != 0 {
			t.Fatalf("%x split into %v and %v", s, k1, k2)
		}
	}
	var p Affine
	p.Endomorphism(&Generator)
	want := oracle(lambda, nil)
	if w := affine(&want); !w.X.Equal(&p.X) || !w.Y.Equal(&p.Y) {
		t.Fatalf("φ(G) is %x, want %x", p, w)
	}
}

func TestJacobianAgreesWithBtcec(t *testing.T) {
	r := source(t)
	for range 300 {
		k, l := integer(edgyScalar(r)), integer(edgyScalar(r))
		switch r.IntN(4) {
		case 0:
			l.Set(k)
		case 1:
			l.Neg(k)
		}
		kg, lg := oracle(k, nil), oracle(l, nil)
		want := oracle(new(big.Int).Add(k, l), nil)
		ka, la, wa := affine(&kg), affine(&lg), affine(&want)
		var kj, lj, got Jacobian
		kj.SetAffine(&ka)
		lj.SetAffine(&la)
		// Give one of them a denominator that is not one.
		lj.Double(&lj)
		var minus Affine
		minus.Neg(&la)
		lj.AddAffine(&lj, &minus)

		if got.Add(&kj, &lj); !got.EqualAffine(&wa) {
			t.Fatalf("%x·G + %x·G", k, l)
		}
		if got.AddAffine(&lj, &ka); !got.EqualAffine(&wa) {
			t.Fatalf("%x·G + %x·G in affine form", k, l)
		}
		if got.IsInfinity() != wa.IsInfinity() || !wa.IsInfinity() && got.EqualAffine(&Affine{}) {
			t.Fatalf("%x·G + %x·G at infinity", k, l)
		}
		if got.Neg(&got); !wa.IsInfinity() && got.EqualAffine(&wa) {
			t.Fatal("a point equals its negative")
		}
		wa.Neg(&wa)
		if !got.EqualAffine(&wa) {
			t.Fatal("negatives differ")
		}
	}
}

// TestLift lifts x coordinates alone and four at once, a quarter of them not
// below p or near its ends.
func TestLift(t *testing.T) {
	r := source(t)
	for range 500 {
		var xs [4][32]byte
		var points [4]Affine
		var px [4]*[32]byte
		var pp [4]*Affine
		for i := range xs {
			integer(edgy(r)).FillBytes(xs[i][:])
			px[i], pp[i] = &xs[i], &points[i]
		}
		ok := LiftFour(pp, px)
		for i := range xs {
			var want, alone Affine
			pub, err := schnorr.ParsePubKey(xs[i][:])
			if err == nil {
				var j btcec.JacobianPoint
				pub.AsJacobian(&j)
				want = affine(&j)
			}
			aloneOK := alone.Lift(&xs[i])
			for _, got := range []struct {
				p  Affine
				ok bool
			}{{points[i], ok[i]}, {alone, aloneOK}} {
				if got.ok {
					got.p = affineCanonical(got.p)
				}
				if got.ok != (err == nil) || got.p != want {
					t.Fatalf("%x lifted to %x, %v, want %x", xs[i], got.p, got.ok, want)
				}
			}
		}
	}
}

func affineCanonical(p Affine) Affine {
	p.X.Normalize()
	p.Y.Normalize()
	return p
}

func TestMultiplyBase(t *testing.T) {
	r := source(t)
	for range 300 {
		s, k, d := edgyScalar(r), edgyScalar(r), integer(edgyScalar(r))
		pg := oracle(d, nil)
		p := affine(&pg)
		want := oracle(new(big.Int).Add(integer(s), new(big.Int).Mul(integer(k), d)), nil)
		wa := affine(&want)
		got := MultiplyBase(&s, &k, &p)
		if !got.EqualAffine(&wa) {
			t.Fatalf("%x·G + %x·(%x·G)", s, k, d)
		}
	}
}

// TestSum has batches with repeated and opposite points, points at infinity, and
// scalars at the ends of their range, at every width.
func TestSum(t *testing.T) {
	r := source(t)
	var m Multiplier
	for _, n := range []int{0, 1, 2, 3, 5, 8, 17, 40} {
		for width := 2; width <= 13; width++ {
			t.Run(fmt.Sprintf("%d/%d", n, width), func(t *testing.T) {
				oracles := make([]btcec.JacobianPoint, n)
				points, scalars := make([]Affine, n), make([]Half, n)
				for i := range points {
					oracles[i] = oracle(big.NewInt(int64(r.IntN(9))-4), nil)
					if r.IntN(2) == 0 {
						oracles[i] = oracle(integer(edgyScalar(r)), nil)
					}
					points[i], scalars[i] = affine(&oracles[i]), edgyHalf(r)
					if i > 0 && r.IntN(3) == 0 {
						points[i], oracles[i], scalars[i] = points[i-1], oracles[i-1], scalars[i-1]
						scalars[i].Negative = r.IntN(2) == 0
					}
				}
				want := sumOracle(oracles, scalars)
				got := m.sum(points, scalars, width)
				if !got.EqualAffine(&want) {
					t.Fatalf("sum of %v times %v", scalars, points)
				}
			})
		}
	}
}

func BenchmarkMultiplyBase(b *testing.B) {
	r := source(b)
	s, k := edgyScalar(r), scalar(integer([4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}))
	for range b.N {
		MultiplyBase(&s, &k, &Generator)
	}
}

func BenchmarkScalar(b *testing.B) {
	r := source(b)
	s, a := edgyScalar(r), edgyHalf(r)
	b.Run("mul", func(b *testing.B) {
		for range b.N {
			s.MulHalf(a, &s)
		}
	})
	b.Run("split", func(b *testing.B) {
		for range b.N {
			s.Split()
		}
	})
}

// BenchmarkSum is for choosing windowWidth and gathered.
func BenchmarkSum(b *testing.B) {
	r := source(b)
	points, scalars := make([]Affine, 3*8192), make([]Half, 3*8192)
	var p Jacobian
	p.SetAffine(&Generator)
	jacobians := make([]Jacobian, len(points))
	for i := range points {
		p.Double(&p)
		jacobians[i] = p
		scalars[i] = Half{r.Uint64(), r.Uint64(), r.IntN(2) == 0}
	}
	normalize(points, jacobians)
	for n := 4; n <= 8192; n *= 2 {
		best := windowWidth(3 * n)
		for width := max(2, best-1); width <= min(13, best+1); width++ {
			b.Run(fmt.Sprintf("%d/%d", n, width), func(b *testing.B) {
				var m Multiplier
				for range b.N {
					m.sum(points[:3*n], scalars[:3*n], width)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/signature")
			})
		}
	}
}
