package bip340

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// TestEquation looks at the sums themselves: a wrong one would still give the
// right answers, but by checking one by one.
func TestEquation(t *testing.T) {
	const n, signers = 40, 7
	var items []Item
	for i := range n {
		message := [32]byte{byte(i)}
		priv, pub := btcec.PrivKeyFromBytes(fmt.Appendf(nil, "%032d", 1+i%signers))
		sig, err := schnorr.Sign(priv, message[:])
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, Item{[32]byte(schnorr.SerializePubKey(pub)), message[:], [64]byte(sig.Serialize())})
	}
	for _, c := range []struct {
		name        string
		bad         int
		left, right bool // whether the halves are good
	}{{"none", -1, true, true}, {"left", 3, false, true}, {"right", 30, true, false}} {
		t.Run(c.name, func(t *testing.T) {
			mixed := append([]Item(nil), items...)
			if c.bad >= 0 {
				mixed[c.bad].Message = []byte("another")
			}
			b := newBatch()
			b.readSigners(mixed)
			if len(b.signers) != signers {
				t.Fatalf("%d signers, want %d", len(b.signers), signers)
			}
			b.readClaims(mixed)
			b.randomize()
			all := b.defect(b.claims)
			left, right := b.parts(b.claims[:n/2], &all)
			alone := b.defect(b.claims[n/2:])
			for _, sum := range []struct {
				name string
				good bool
				want bool
			}{
				{"all", all.IsInfinity(), c.left && c.right},
				{"left", left.IsInfinity(), c.left},
				{"right", right.IsInfinity(), c.right},
				{"right alone", alone.IsInfinity(), c.right},
			} {
				if sum.good != sum.want {
					t.Errorf("%s: good: %v, want %v", sum.name, sum.good, sum.want)
				}
			}
		})
	}
}
