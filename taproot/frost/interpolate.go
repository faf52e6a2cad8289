package frost

import (
	"sync"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// secretAt is where the secret lies on the polynomial, on the scale of IDs:
// participant id holds the value at id+1, the secret is the value at 0.
const secretAt = -1

// basis is a set of participants through whose shares a polynomial is laid. The
// ids are public, so all of this is variable time.
type basis struct {
	ids []ID
	// weights[i] is 1 / prod over k != i of (ids[i]−ids[k]), the part of the
	// Lagrange coefficient that does not depend on where it is evaluated.
	weights []curve.Scalar
}

// newBasis takes ids that differ.
func newBasis(ids []ID) *basis {
	b := &basis{ids: ids, weights: make([]curve.Scalar, len(ids))}
	for i, id := range ids {
		var p smallProduct
		for _, k := range ids {
			if k != id {
				p.multiply(int(id) - int(k))
			}
		}
		b.weights[i] = p.value()
	}
	invertAll(b.weights)
	return b
}

// at returns for each id the Lagrange coefficient at x, which is no id of the
// basis: prod over k != id of (x−k)/(id−k).
func (b *basis) at(x int) []curve.Scalar {
	var p smallProduct
	for _, id := range b.ids {
		p.multiply(x - int(id))
	}
	numerator := p.value()
	coefficients := make([]curve.Scalar, len(b.ids))
	for i, id := range b.ids {
		inverse := smallInverse(x - int(id))
		coefficients[i].Mul2(&numerator, &b.weights[i]).Mul(&inverse)
	}
	return coefficients
}

// smallProduct multiplies numbers below 256 in machine words, eight for each
// multiplication modulo the group order.
type smallProduct struct {
	scalar   curve.Scalar
	started  bool
	word     uint64
	negative bool
}

func (p *smallProduct) multiply(v int) {
	if v < 0 {
		v, p.negative = -v, !p.negative
	}
	switch {
	case p.word == 0: // nothing yet
		p.word = uint64(v)
	case p.word >= 1<<56:
		p.flush()
		p.word = uint64(v)
	default:
		p.word *= uint64(v)
	}
}

func (p *smallProduct) flush() {
	word := wordScalar(p.word)
	if !p.started {
		p.scalar, p.started = word, true
		return
	}
	p.scalar.Mul(&word)
}

// value is one when nothing was multiplied.
func (p *smallProduct) value() curve.Scalar {
	if p.word == 0 {
		p.word = 1
	}
	p.flush()
	value := p.scalar
	if p.negative {
		value.Negate()
	}
	return value
}

func wordScalar(word uint64) (s curve.Scalar) {
	s.SetByteSlice(uint64Bytes(word))
	return s
}

// invertAll inverts scalars, none of them zero, with one inversion (Montgomery's
// trick).
func invertAll(scalars []curve.Scalar) {
	before := make([]curve.Scalar, len(scalars)) // product of all scalars before each
	var product curve.Scalar
	product.SetInt(1)
	for i := range scalars {
		before[i] = product
		product.Mul(&scalars[i])
	}
	product.InverseNonConst()
	for i := len(scalars) - 1; i >= 0; i-- {
		value := scalars[i]
		scalars[i].Mul2(&product, &before[i])
		product.Mul(&value)
	}
}

// smallInverses holds 1/v at v; the largest distance is from the secret, at −1,
// to the last participant.
var smallInverses = sync.OnceValue(func() *[MaxParticipants + 1]curve.Scalar {
	var inverses [MaxParticipants + 1]curve.Scalar
	for v := range inverses {
		inverses[v].SetInt(uint32(max(v, 1)))
	}
	invertAll(inverses[:])
	return &inverses
})

// smallInverse is 1/v for 0 < |v| <= MaxParticipants.
func smallInverse(v int) curve.Scalar {
	if v > 0 {
		return smallInverses()[v]
	}
	inverse := smallInverses()[-v]
	inverse.Negate()
	return inverse
}
