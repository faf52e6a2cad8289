package bip340

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/daobank/daobank/bip340/internal/secp256k1"
)

// equationMin is the fewest signatures that are cheaper to check by one equation
// than one by one.
const equationMin = 4

// randomize gives each claim its random factor, 128 bits from crypto/rand.
func (b *batch) randomize() {
	b.random = grow(b.random, 16*len(b.claims))
	rand.Read(b.random) // it never fails: crypto/rand ends the program instead
	for i := range b.claims {
		a := b.random[16*i:]
		b.claims[i].randomize(secp256k1.Half{
			Lo: binary.LittleEndian.Uint64(a),
			Hi: binary.LittleEndian.Uint64(a[8:]),
		})
	}
}

// together checks claims by one equation and, if it fails, finds the bad ones.
func (b *batch) together(claims []claim) {
	defect := b.defect(claims)
	if !defect.IsInfinity() && b.manyBad(claims) {
		b.oneByOne(claims)
		return
	}
	b.search(claims, &defect)
}

// search accepts the true ones among claims, of which the defect is known: all
// if it is at infinity, else those of each half. Only the left half's defect is
// computed, so each level of the search costs an equation over half of what it
// looks at.
func (b *batch) search(claims []claim, defect *secp256k1.Jacobian) {
	if defect.IsInfinity() {
		b.acceptAll(claims)
		return
	}
	if len(claims) < 2*equationMin {
		b.oneByOne(claims)
		return
	}
	left, right := claims[:len(claims)/2], claims[len(claims)/2:]
	inLeft, inRight := b.parts(left, defect)
	b.search(left, &inLeft)
	b.search(right, &inRight)
}

// parts returns the defect of some claims and that of the others, of all of which
// it is known.
func (b *batch) parts(some []claim, defect *secp256k1.Jacobian) (inSome, inOthers secp256k1.Jacobian) {
	inSome = b.defect(some)
	inOthers.Neg(&inSome)
	inOthers.Add(&inOthers, defect)
	return inSome, inOthers
}

// searchMin is the fewest signatures among which a search for bad ones pays.
const searchMin = 32

// manyBad guesses whether so many claims are bad that to search for them would
// cost more than to check each, which is so from about one in 40. It looks for one
// in a random sample: large enough to show most mixtures that would cost much, and
// small enough to cost little itself.
func (b *batch) manyBad(claims []claim) bool {
	n := len(claims)
	if n < searchMin {
		return true
	}
	for i := range max(min(n/4, 16), n/32) {
		c := &claims[claims[i].a.Lo%uint64(n)] // a is random
		if !c.holds(&b.signers[c.signer]) {
			return true
		}
	}
	return false
}

// defect is the sum of a·(R + e·P - s·G) over the claims (BIP-340, "Batch
// Verification"), with a factor a for the first one too.
func (b *batch) defect(claims []claim) secp256k1.Jacobian {
	b.points, b.scalars = b.points[:0], b.scalars[:0]
	var base secp256k1.Scalar
	for i := range claims {
		c := &claims[i]
		b.points, b.scalars = append(b.points, c.r), append(b.scalars, c.a)
		base.Add(&base, &c.as)
		s := &b.signers[c.signer]
		s.weight.Add(&s.weight, &c.ae)
	}
	for i := range claims {
		// The first claim of a signer brings the weight of all, and clears it.
		s := &b.signers[claims[i].signer]
		if !s.weight.IsZero() {
			b.add(&s.weight, &s.point)
			s.weight = secp256k1.Scalar{}
		}
	}
	base.Neg(&base)
	b.add(&base, &secp256k1.Generator)
	return b.multiplier.Sum(b.points, b.scalars)
}

// add puts weight·p into the sum, split by the endomorphism.
func (b *batch) add(weight *secp256k1.Scalar, p *secp256k1.Affine) {
	var other secp256k1.Affine
	other.Endomorphism(p)
	k1, k2 := weight.Split()
	b.points = append(b.points, *p, other)
	b.scalars = append(b.scalars, k1, k2)
}
