package ledger

import (
	"math/rand/v2"
	"testing"
)

// A tree that is brought up to date has the root of one that is made anew, however
// many leaves came and changed in between.
func TestSumTreeIsBroughtUpToDate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		var owed []Amount
		leaf := func(i int) SumNode { return SumLeaf(AccountID(i), owed[i]) }
		var tree sumTree
		for range 12 {
			for range random.IntN(70) {
				owed = append(owed, Amount(random.Int64N(1000)))
			}
			if len(owed) == 0 {
				continue
			}
			for range random.IntN(20) {
				i := random.IntN(len(owed))
				owed[i]++
				tree.touch(uint32(i))
			}
			if got, want := tree.root(len(owed), leaf), new(sumTree).root(len(owed), leaf); got != want {
				t.Fatalf("with %d leaves the tree has the root %v, made anew %v", len(owed), got, want)
			}
		}
	}
}

// A change that is not told is not seen: the tree rests on every posting telling it.
func TestSumTreeRestsOnTouch(t *testing.T) {
	owed := []Amount{1, 2, 3}
	leaf := func(i int) SumNode { return SumLeaf(AccountID(i), owed[i]) }
	var tree sumTree
	before := tree.root(3, leaf)
	owed[1]++
	if tree.root(3, leaf) != before {
		t.Error("the tree looked at a leaf that was not touched")
	}
	tree.touch(1)
	if tree.root(3, leaf) == before {
		t.Error("the tree did not look at a leaf that was touched")
	}
}
