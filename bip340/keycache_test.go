package bip340_test

import (
	"slices"
	"testing"

	"github.com/daobank/daobank/bip340"
)

// However many keys there is room for, the answers are the same; only proven keys
// are kept, and not more than there is room for, in whole sets of four.
func TestKeysAreKeptWhenProven(t *testing.T) {
	items := genuine(source(t), 40, 40)
	items[3].Signature[60] ^= 1
	for _, c := range []struct{ keysMax, least, most int }{
		{-1, 0, 0}, {0, 0, 0}, {1, 1, 1}, {3, 3, 3}, {10, 4, 12}, {39, 20, 39}, {10_000, 39, 39},
	} {
		v := bip340.NewVerifier(c.keysMax)
		for range 3 {
			check(t, v, items, []int{3})
		}
		if got := v.KeysKept(); got < c.least || got > c.most {
			t.Errorf("of at most %d keys %d are kept, want %d to %d", c.keysMax, got, c.least, c.most)
		}
		known := 0
		for i, item := range items {
			if v.Known(item.Key) {
				known++
				if i == 3 {
					t.Error("a key without a good signature is kept")
				}
			}
		}
		if known != v.KeysKept() {
			t.Errorf("of at most %d keys %d are kept and %d found", c.keysMax, v.KeysKept(), known)
		}
	}
}

// More signers than room, one after the other: the newest of each call get in.
func TestKeysMakeRoom(t *testing.T) {
	items := genuine(source(t), 60, 60)
	v := bip340.NewVerifier(7)
	for i := range items {
		check(t, v, items[i:i+1], nil)
		if !v.Known(items[i].Key) {
			t.Fatalf("key %d was not kept", i)
		}
	}
	if got := v.KeysKept(); got != 8 {
		t.Fatalf("%d keys are kept, want 8: two sets of four", got)
	}
}

// What is not a key's canonical form is never taken for the key, though its y is
// kept: x + p has the same residue as x, for those x below 2^256 - p.
func TestKeyAboveTheFieldIsNotKnown(t *testing.T) {
	items := genuine(source(t), 4, 4)
	v := bip340.NewVerifier(3) // every key has the same places
	check(t, v, items, nil)
	other := slices.Clone(items)
	for i := range other {
		other[i].Key = [32]byte(slices.Repeat([]byte{0xff}, 32)) // above p
	}
	check(t, v, other, []int{0, 1, 2, 3})
	if v.Known(other[0].Key) {
		t.Error("a key above the field is known")
	}
}
