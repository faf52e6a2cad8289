package bip340

import (
	"sync"

	"github.com/daobank/daobank/bip340/internal/secp256k1"
)

// A keyCache remembers the even y of x-only public keys, which costs a square
// root to find. Only keys under which a signature was good get in: who wants to
// push others out has to sign for it.
type keyCache struct {
	max int
	mu  sync.RWMutex
	y   map[[32]byte]secp256k1.Element
}

// find fills in the points of the signers that are known.
func (c *keyCache) find(signers []signer) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range signers {
		s := &signers[i]
		if y, ok := c.y[s.key]; ok {
			s.point.X.SetBytes(&s.key)
			s.point.Y, s.known, s.valid = y, true, true
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
	if c.y == nil {
		c.y = make(map[[32]byte]secp256k1.Element)
	}
	for i := range signers {
		if s := &signers[i]; s.proven && !s.known {
			c.makeRoom(s.key)
			c.y[s.key] = s.point.Y
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

// makeRoom forgets a key, whichever a walk through the map meets first, if the
// cache is full and the new key is not in it.
func (c *keyCache) makeRoom(key [32]byte) {
	if _, ok := c.y[key]; ok || len(c.y) < c.max {
		return
	}
	for k := range c.y {
		delete(c.y, k)
		return
	}
}
