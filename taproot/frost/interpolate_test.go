package frost

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// The coefficients against the formula, factor by factor.
func TestBasisIsLagrange(t *testing.T) {
	random := rand.New(seeded(31))
	for range 30 {
		ids := randomIDs(random, 1+random.IntN(MaxParticipants))
		b := newBasis(ids)
		for _, x := range []int{secretAt, 0, 127, random.IntN(MaxParticipants)} {
			if slices.Contains(ids, ID(max(x, 0))) && x >= 0 {
				continue
			}
			for i, coefficient := range b.at(x) {
				left, right := coefficient, intScalar(1) // coefficient·prod(id−k) = prod(x−k)
				for _, k := range ids {
					if k != ids[i] {
						below, above := intScalar(int(ids[i])-int(k)), intScalar(x-int(k))
						left.Mul(&below)
						right.Mul(&above)
					}
				}
				if !left.Equals(&right) {
					t.Fatalf("ids %v at %d: coefficient %d is wrong", ids, x, i)
				}
			}
		}
	}
}

func randomIDs(random *rand.Rand, n int) []ID {
	ids := make([]ID, n)
	for i, id := range random.Perm(MaxParticipants)[:n] {
		ids[i] = ID(id)
	}
	return ids
}

func intScalar(v int) (s curve.Scalar) {
	s.SetInt(uint32(max(v, -v)))
	if v < 0 {
		s.Negate()
	}
	return s
}

// multiExp against one multiplication after the other, with the scalars and
// points at which the recoding and the additions have their edges.
func TestMultiExp(t *testing.T) {
	random := rand.New(seeded(32))
	draw := func() (s curve.Scalar) {
		switch random.IntN(6) {
		case 0:
			return intScalar(random.IntN(40) - 20)
		case 1: // long runs of ones
			var b [32]byte
			for i := random.IntN(32); i < 32; i++ {
				b[i] = 0xff
			}
			s.SetBytes(&b)
			return s
		}
		var b [32]byte
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		s.SetBytes(&b)
		return s
	}
	for round := range 200 {
		n := random.IntN(8)
		scalars, points := make([]curve.Scalar, n), make([]curve.Point, n)
		var want curve.Point
		for i := range n {
			scalars[i] = draw()
			k := draw()
			points[i] = curve.MulBase(&k)
			if i > 0 && random.IntN(4) == 0 { // the same point and its negative
				points[i] = points[i-1]
				if !curve.IsInfinity(&points[i]) && random.IntN(2) == 0 {
					points[i] = curve.Negate(points[i])
				}
			}
			term := curve.Mul(&scalars[i], &points[i])
			want = curve.Sum(want, term)
		}
		if got := multiExp(scalars, points); !curve.Equal(&got, &want) {
			t.Fatalf("round %d: sum of %d products is wrong", round, n)
		}
	}
}

func TestSignedDigits(t *testing.T) {
	random := rand.New(seeded(33))
	for range 200 {
		var b [32]byte
		for i := range b {
			b[i] = byte(random.Uint32()) | byte(-(random.Uint32() & 1))
		}
		var k, sum, power curve.Scalar
		k.SetBytes(&b)
		power.SetInt(1)
		last := -windowBits
		for i, d := range signedDigits(&k) {
			if d != 0 {
				if d%2 == 0 || d > 15 || d < -15 || i-last < windowBits {
					t.Fatalf("digit %d at %d, the one before at %d", d, i, last)
				}
				last = i
				term := intScalar(int(d))
				term.Mul(&power)
				sum.Add(&term)
			}
			power.Add(&power)
		}
		if !sum.Equals(&k) {
			t.Fatalf("%x is not the sum of its digits", b)
		}
	}
}

// Two wrong shares whose errors cancel in the key, and in any fixed
// combination, are found and named.
func TestCancellingSharesAreFound(t *testing.T) {
	group, _ := deal(t, 3, 6, 34)
	var g curve.Point
	btcec.GeneratorJacobian(&g)
	g = curve.Affine(g)
	minus := curve.Negate(g)
	for _, pair := range [][2]ID{{3, 4}, {4, 5}, {0, 5}, {0, 1}} {
		info := group.Info()
		for i, delta := range []*curve.Point{&g, &minus} {
			wrong := curve.Sum(*group.share(pair[i]), *delta)
			share := PublicShare(curve.EncodePoint(&wrong))
			info.PublicShares[pair[i]] = &share
		}
		if err := info.Validate(); !errors.Is(err, ErrPolynomial) {
			t.Errorf("shares %v: error %v, want %v", pair, err, ErrPolynomial)
		}
	}
}
