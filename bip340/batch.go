package bip340

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/daobank/daobank/bip340/internal/secp256k1"
)

// A batch verifies signatures together. It is used by one goroutine at a time
// and keeps its memory for the next batch.
type batch struct {
	challenger *challenger
	claims     []claim
	signers    []signer
	lifts      []lift
	good       []bool

	seed  maphash.Seed
	table []int32 // hash of a key: its index in signers, plus one

	random     []byte
	multiplier secp256k1.Multiplier
	points     []secp256k1.Affine
	scalars    []secp256k1.Half
}

func newBatch() *batch {
	return &batch{challenger: newChallenger(), seed: maphash.MakeSeed()}
}

// verify says of each item whether its signature is good. The answer is valid
// until the next call.
func (b *batch) verify(items []Item, keys *keyCache) []bool {
	b.read(items, keys)
	if len(b.claims) < equationMin {
		b.oneByOne(b.claims)
	} else {
		b.randomize()
		b.together(b.claims)
	}
	keys.keep(b.signers)
	return b.good
}

// allGood reports whether every signature is good. It looks for none that is not.
func (b *batch) allGood(items []Item, keys *keyCache) bool {
	b.read(items, keys)
	if len(b.claims) < len(items) {
		return false
	}
	if len(b.claims) < equationMin {
		b.oneByOne(b.claims)
		if slices.Contains(b.good, false) {
			return false
		}
	} else {
		b.randomize()
		defect := b.defect(b.claims)
		if !defect.IsInfinity() {
			return false
		}
		b.acceptAll(b.claims)
	}
	keys.keep(b.signers)
	return true
}

// read makes claims of all items that have their parts in range.
func (b *batch) read(items []Item, keys *keyCache) {
	b.good = grow(b.good, len(items))
	clear(b.good)
	b.readSigners(items)
	keys.find(b.signers)
	b.readClaims(items)
}

// readSigners makes a claim of each item and finds out which have the same key.
func (b *batch) readSigners(items []Item) {
	b.claims = grow(b.claims, len(items))
	b.signers = b.signers[:0]
	size := 1 << bits.Len(uint(2*len(items)))
	b.table = grow(b.table, size)
	clear(b.table)
	for i := range items {
		key := &items[i].Key
		// The seed keeps keys from being made to meet in the table.
		at := int(maphash.Bytes(b.seed, key[:])) & (size - 1)
		for b.table[at] != 0 && b.signers[b.table[at]-1].key != *key {
			at = (at + 1) & (size - 1)
		}
		if b.table[at] == 0 {
			b.signers = append(b.signers, signer{key: *key})
			b.table[at] = int32(len(b.signers))
		}
		b.claims[i].item, b.claims[i].signer = i, int(b.table[at]-1)
	}
}

// readClaims reads keys and signatures and drops the claims that have a part out
// of range.
func (b *batch) readClaims(items []Item) {
	b.lifts = b.lifts[:0]
	for i := range b.signers {
		if s := &b.signers[i]; !s.known {
			b.lifts = append(b.lifts, lift{&s.point, &s.key, &s.valid})
		}
	}
	for i := range b.claims {
		c := &b.claims[i]
		b.lifts = append(b.lifts, lift{&c.r, (*[32]byte)(items[i].Signature[:32]), &c.valid})
	}
	liftAll(b.lifts)
	clear(b.lifts) // they point into the caller's items

	kept := 0
	for i := range b.claims {
		c := b.claims[i]
		if c.valid && b.signers[c.signer].valid && c.read(b.challenger, &items[i]) {
			b.claims[kept] = c
			kept++
		}
	}
	b.claims = b.claims[:kept]
}

// A lift is a point to find from its x.
type lift struct {
	point *secp256k1.Affine
	x     *[32]byte
	ok    *bool
}

func liftAll(list []lift) {
	for ; len(list) >= 4; list = list[4:] {
		ok := secp256k1.LiftFour(
			[4]*secp256k1.Affine{list[0].point, list[1].point, list[2].point, list[3].point},
			[4]*[32]byte{list[0].x, list[1].x, list[2].x, list[3].x})
		for i := range ok {
			*list[i].ok = ok[i]
		}
	}
	for _, l := range list {
		*l.ok = l.point.Lift(l.x)
	}
}

// accept notes that a claim is true.
func (b *batch) accept(c *claim) {
	b.good[c.item] = true
	b.signers[c.signer].proven = true
}

func (b *batch) acceptAll(claims []claim) {
	for i := range claims {
		b.accept(&claims[i])
	}
}

// oneByOne checks the equation of each claim.
func (b *batch) oneByOne(claims []claim) {
	for i := range claims {
		if c := &claims[i]; c.holds(&b.signers[c.signer]) {
			b.accept(c)
		}
	}
}

// grow returns a slice of n elements of any value, with the memory of s if it is
// enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
