package ledger

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// The table is compared with a map, at every size at which it grows.
func TestAccountTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	table, model := newAccountTable(), map[Key]AccountID{}
	draw := func() (key Key) {
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		return key
	}
	var keys []Key
	for n := range 5 * pieceSize {
		key := draw()
		if id, ok := table.find(key); ok {
			t.Fatalf("after %d accounts, %s is said to be of %s", n, key, id)
		}
		keys = append(keys, key)
		model[key] = table.add(account{key: key, sequence: uint64(n)})
		if model[key] != FirstMember+AccountID(n) || table.len() != int(FirstMember)+n+1 {
			t.Fatalf("account %d has the number %s of %d", n, model[key], table.len())
		}
		known := keys[random.IntN(len(keys))]
		if id, ok := table.find(known); !ok || id != model[known] {
			t.Fatalf("after %d accounts, %s is said to be of %s (%v), want %s", n+1, known, id, ok, model[known])
		}
	}
	copied := table.clone()
	for i, key := range keys {
		id, ok := table.find(key)
		if !ok || id != model[key] || *table.at(id.Index()) != (account{key: key, sequence: uint64(i)}) {
			t.Fatalf("account %d is %+v", i, *table.at(id.Index()))
		}
		table.at(id.Index()).balance = 1
		if *copied.at(id.Index()) != (account{key: key, sequence: uint64(i)}) {
			t.Fatalf("account %d of the copy has changed", i)
		}
	}
	if copied.len() != table.len() {
		t.Errorf("the copy has %d accounts, want %d", copied.len(), table.len())
	}
}

// Readers of keys beside the one who opens accounts and moves money: for the race
// detector, and each key that they see is right.
func TestKeysBesideChanges(t *testing.T) {
	const members = 3 * pieceSize
	s := &State{accounts: newAccountTable()}
	keys := s.Keys()
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for next := FirstMember; next < FirstMember+members; {
				if key, ok := keys.Of(next); ok {
					if want := keyOfNumber(next.Index()); key != want {
						t.Errorf("account %s has the key %s, want %s", next, key, want)
					}
					next++
				}
			}
		})
	}
	for i := range uint32(members) {
		id := s.accounts.add(account{key: keyOfNumber(uint32(FirstMember) + i)})
		s.post(Vault, id, 1)
	}
	readers.Wait()
	for _, id := range []AccountID{0, Vault, FirstMember - 1, FirstMember + members, 1<<32 | FirstMember} {
		if key, ok := keys.Of(id); ok {
			t.Errorf("account %s is said to have the key %s", id, key)
		}
	}
}
