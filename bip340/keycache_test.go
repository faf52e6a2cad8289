package bip340_test

import (
	"testing"

	"github.com/daobank/daobank/bip340"
)

func TestKeysAreKeptWhenProven(t *testing.T) {
	items := genuine(source(t), 40, 40)
	items[3].Signature[60] ^= 1
	for _, c := range []struct{ keysMax, kept int }{{-1, 0}, {0, 0}, {1, 1}, {10, 10}, {39, 39}, {1000, 39}} {
		v := bip340.NewVerifier(c.keysMax)
		for range 3 {
			check(t, v, items, []int{3})
		}
		if got := v.KeysKept(); got != c.kept {
			t.Errorf("of at most %d keys %d are kept, want %d", c.keysMax, got, c.kept)
		}
		if v.Known(items[3].Key) {
			t.Errorf("a key without a good signature is kept")
		}
	}
}

// TestKeysMakeRoom has more signers than room, one after the other.
func TestKeysMakeRoom(t *testing.T) {
	items := genuine(source(t), 60, 60)
	v := bip340.NewVerifier(7)
	for i := 0; i < len(items); i += 3 {
		check(t, v, items[i:i+3], nil)
		for _, item := range items[i : i+3] {
			if !v.Known(item.Key) && v.KeysKept() < 7 {
				t.Fatalf("key %x was not kept", item.Key)
			}
		}
	}
	if got := v.KeysKept(); got != 7 {
		t.Fatalf("%d keys are kept, want 7", got)
	}
}
