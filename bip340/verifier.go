package bip340

import (
	"slices"
	"sync"
)

// An Item is a signature and what it is said to sign.
type Item struct {
	Key       [32]byte // the signer's x-only public key
	Message   []byte   // of any length; only read
	Signature [64]byte
}

// Verify tells whether one signature is good, exactly as BIP-340 ("Verification")
// says. It is what a [Verifier] answers for the same item.
func Verify(key [32]byte, message []byte, signature [64]byte) bool {
	var c claim
	s := signer{key: key}
	return s.lift() &&
		c.r.Lift((*[32]byte)(signature[:32])) &&
		c.read(newChallenger(), &Item{key, message, signature}) &&
		c.holds(&s)
}

// A Verifier checks signatures many at a time and remembers the keys of those
// that were good. Any number of goroutines may use it at once; each call runs on
// the core it is called on. The zero value is ready and remembers no keys.
type Verifier struct {
	keys    keyCache
	batches sync.Pool // of *batch
}

// NewVerifier returns a Verifier that remembers about keysMax public keys, at 32
// bytes each, taken at the first signature. To find a key there saves a sixth of the
// work. With as many signers as that, or more, it forgets some at random.
func NewVerifier(keysMax int) *Verifier {
	return &Verifier{keys: keyCache{max: keysMax}}
}

// Verify returns the indices of the items whose signature is bad, in ascending
// order: nil if all are good. For each item the answer is that of the function
// [Verify], whatever stands beside it, except that a bad one passes with a
// probability below 2^-124.
//
// A call with a thousand items costs a fraction of a thousand calls with one;
// past some thousands nothing more is gained.
func (v *Verifier) Verify(items []Item) (bad []int) {
	b := v.batch()
	defer v.batches.Put(b)
	first := 0
	for part := range slices.Chunk(items, togetherMax) {
		for i, ok := range b.verify(part, &v.keys) {
			if !ok {
				bad = append(bad, first+i)
			}
		}
		first += len(part)
	}
	return bad
}

// AllGood reports whether every signature is good, as Verify would. It costs what
// Verify costs when they are, and no more when they are not: who has to answer many
// callers can find the bad ones of each later, by Verify.
func (v *Verifier) AllGood(items []Item) bool {
	b := v.batch()
	defer v.batches.Put(b)
	for part := range slices.Chunk(items, togetherMax) {
		if !b.allGood(part, &v.keys) {
			return false
		}
	}
	return true
}

func (v *Verifier) batch() *batch {
	if b, ok := v.batches.Get().(*batch); ok {
		return b
	}
	return newBatch()
}

// togetherMax is how many signatures are put into one equation. More gain little
// and need more memory than a core's cache has.
const togetherMax = 4096
