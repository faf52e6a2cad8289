package bip340

import "github.com/daobank/daobank/bip340/internal/secp256k1"

// A signer is a public key, once for all its signatures in a batch.
type signer struct {
	key    [32]byte
	point  secp256k1.Affine // P = lift_x(key)
	valid  bool             // such a point exists
	known  bool             // it came from the cache
	proven bool             // a signature of it was good

	weight secp256k1.Scalar // sum of a·e in the equation being made, else zero
}

// lift finds the point of the key and tells whether there is one.
func (s *signer) lift() bool {
	s.valid = s.point.Lift(&s.key)
	return s.valid
}

// A claim is a signature whose parts are in range, so that only its equation
// s·G = R + e·P has to be checked.
type claim struct {
	item   int // its index in the batch
	signer int // its index in the batch
	r      secp256k1.Affine
	valid  bool // R exists
	s, e   secp256k1.Scalar

	a      secp256k1.Half   // the random factor of its equation
	as, ae secp256k1.Scalar // a·s and a·e
}

// read reads s, hashes the challenge, and tells whether s is below the order. R
// is still to be lifted.
func (c *claim) read(h *challenger, item *Item) bool {
	if !c.s.SetBytes((*[32]byte)(item.Signature[32:])) {
		return false
	}
	h.challenge(&c.e, item)
	return true
}

// holds checks the claim's own equation, as s·G - e·P = R. Since R was lifted it
// is not at infinity and has an even y.
func (c *claim) holds(s *signer) bool {
	var minus secp256k1.Scalar
	minus.Neg(&c.e)
	sum := secp256k1.MultiplyBase(&c.s, &minus, &s.point)
	return sum.EqualAffine(&c.r)
}

// randomize gives the claim its factor.
func (c *claim) randomize(a secp256k1.Half) {
	c.a = a
	c.as.MulHalf(a, &c.s)
	c.ae.MulHalf(a, &c.e)
}
