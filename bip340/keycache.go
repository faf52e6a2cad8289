package bip340

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"

	"github.com/daobank/daobank/bip340/internal/secp256k1"
)

// A keyCache remembers the even y of x-only public keys, which costs a square
// root to find. Only keys under which a signature was good get in: who wants to
// push others out has to sign for it.
//
// The keys themselves are not kept. Each has a few places, by its hash, and the y
// in one of them is the key's if the point is on the curve: no other y is even and
// has that square. So a key takes 32 bytes.
type keyCache struct {
	max  int
	once sync.Once
	mu   sync.RWMutex
	seed maphash.Seed // keeps keys from being made to meet
	ways int          // places of a key
	ys   []secp256k1.Element
}

// waysMax is how many places a key has. With four, a cache that is just large
// enough forgets one key in twenty.
const waysMax = 4

// open takes the memory when the first key comes.
func (c *keyCache) open() {
	c.ways = min(c.max, waysMax)
	sets := (c.max + c.ways - 1) / c.ways
	c.seed, c.ys = maphash.MakeSeed(), make([]secp256k1.Element, sets*c.ways)
}

// places are where a key's y may stand.
func (c *keyCache) places(key *[32]byte) []secp256k1.Element {
	sets := uint64(len(c.ys) / c.ways)
	first := int(maphash.Bytes(c.seed, key[:])%sets) * c.ways
	return c.ys[first : first+c.ways]
}

// find fills in the points of the signers that are known.
func (c *keyCache) find(signers []signer) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.ys == nil {
		return
	}
	for i := range signers {
		s := &signers[i]
		for _, y := range c.places(&s.key) {
			if s.point.LiftTo(&s.key, &y) {
				s.known, s.valid = true, true
				break
			}
		}
	}
}

// keep adds the signers that are proven and not known yet.
func (c *keyCache) keep(signers []signer) {
	if !needed(signers) || c.max <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.once.Do(c.open)
	for i := range signers {
		if s := &signers[i]; s.proven && !s.known {
			*vacant(c.places(&s.key)) = s.point.Y
		}
	}
}

func needed(signers []signer) bool {
	for i := range signers {
		if signers[i].proven && !signers[i].known {
			return true
		}
	}
	return false
}

// vacant is a place that is free, or any: whose y is there is forgotten.
func vacant(places []secp256k1.Element) *secp256k1.Element {
	for i := range places {
		if places[i].IsZero() { // no point has this y
			return &places[i]
		}
	}
	return &places[rand.IntN(len(places))]
}
