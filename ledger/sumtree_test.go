package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// A tree that is brought up to date has the root of one that is made anew, however
// many leaves came and changed in between; and it proves what every account was
// owed at each of the last cuts, whatever came after.
func TestSumTreeIsBroughtUpToDate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 10 {
		state := ledger.BankOf(0)
		var owed []ledger.Amount
		was := map[uint64][]ledger.Amount{} // by batch
		for batch := uint64(1); batch <= 3*ledger.SumCuts; batch++ {
			for range random.IntN(20) + 2*int(batch&1) {
				owed = append(owed, ledger.Amount(random.Int64N(1000)))
			}
			if len(owed) < 2 { // the vault's leaf is 0
				owed = append(owed, 0, 0)
			}
			owed[ledger.Vault] = 0
			var touched []uint32
			for range random.IntN(20) {
				i := 2 + random.IntN(len(owed)) - 2
				if i != int(ledger.Vault) {
					owed[i]++
					touched = append(touched, uint32(i))
				}
			}
			books := state.NewCut(batch, owed, touched...)
			if want := ledger.SumRoot(owed); books.Root != want {
				t.Fatalf("at batch %d with %d leaves the tree has the root %v, made anew %v", batch, len(owed), books.Root, want)
			}
			was[batch] = slices.Clone(owed)
			proveAll(t, state, was, batch)
		}
	}
}

// proveAll asks for the balance of every account at every cut so far.
func proveAll(t *testing.T, state *ledger.State, was map[uint64][]ledger.Amount, last uint64) {
	t.Helper()
	for batch, owed := range was {
		root := ledger.SumRoot(owed)
		kept := batch+ledger.SumCuts > last
		for id := range ledger.AccountID(len(owed)) {
			p, err := state.SumProof(batch, id)
			if !kept {
				if !errors.Is(err, ledger.ErrNoSumTree) {
					t.Fatalf("batch %d at batch %d: %v, %v", batch, last, p, err)
				}
				continue
			}
			if err != nil || p.Owed != owed[id] || p.Books.Batch != batch || p.Books.Root != root || !p.Verify() {
				t.Fatalf("account %d at batch %d, %d later: got %+v (%v), want %d sat", id, batch, last-batch, p, err, owed[id])
			}
		}
		if _, err := state.SumProof(batch, ledger.AccountID(len(owed))); kept && ledger.CodeOf(err) != ledger.CodeAccount {
			t.Fatalf("batch %d: an account that was not there: %v", batch, err)
		}
	}
}

// A change that is not told is not seen: the tree rests on every posting telling it.
func TestSumTreeRestsOnTouch(t *testing.T) {
	owed := []ledger.Amount{1, 0, 3}
	state := ledger.BankOf(3)
	before := state.NewCut(1, owed).Root
	owed[2]++
	if state.NewCut(2, owed).Root != before {
		t.Error("the tree looked at a leaf that was not touched")
	}
	if state.NewCut(3, owed, 2).Root == before {
		t.Error("the tree did not look at a leaf that was touched")
	}
}

func TestSumProofRefuses(t *testing.T) {
	owed := make([]ledger.Amount, 21)
	for i := range owed {
		owed[i] = ledger.Amount(i) * 1_000
	}
	owed[ledger.Vault] = 0
	state := ledger.BankOf(0)
	state.NewCut(7, owed)
	for _, tt := range []struct {
		name   string
		change func(p *ledger.SumProof)
	}{
		{"a satoshi more", func(p *ledger.SumProof) { p.Owed++ }},
		{"a negative balance", func(p *ledger.SumProof) { p.Owed = -1 }},
		{"more than all coins", func(p *ledger.SumProof) { p.Owed = ledger.MaxAmount + 1 }},
		{"another account", func(p *ledger.SumProof) { p.Account++ }},
		{"an account of another shard", func(p *ledger.SumProof) { p.Account |= 1 << 32 }},
		{"an account that is not there", func(p *ledger.SumProof) { p.Account = 21 }},
		{"a sibling's sum", func(p *ledger.SumProof) { p.Path[2].Sum-- }},
		{"a negative sibling", func(p *ledger.SumProof) { p.Path[0].Sum = -p.Path[0].Sum }},
		{"a sibling's hash", func(p *ledger.SumProof) { p.Path[4].Hash[31] ^= 1 }},
		{"a step missing", func(p *ledger.SumProof) { p.Path = p.Path[:4] }},
		{"a step more", func(p *ledger.SumProof) { p.Path = append(p.Path, p.Path[0]) }},
		{"no path", func(p *ledger.SumProof) { p.Path = nil }},
		{"a leaf more", func(p *ledger.SumProof) { p.Books.Accounts = 1 << 10 }},
		{"no leaves", func(p *ledger.SumProof) { p.Books.Accounts = 0 }},
		{"another root", func(p *ledger.SumProof) { p.Books.Root.Hash[0] ^= 1 }},
		{"a total that is less", func(p *ledger.SumProof) { p.Books.Root.Sum-- }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := state.SumProof(0, 7)
			if err != nil || !p.Verify() {
				t.Fatalf("the proof does not hold before it is changed: %v", err)
			}
			tt.change(p)
			if p.Verify() {
				t.Error("the changed proof holds")
			}
		})
	}
}

// TestSumTreeHidesNothing builds, for each account in turn, the tree of a bank that
// would show a total that is less than it owes, in the ways that are known for trees
// whose nodes do not commit to both sums: the account whose money is hidden, or its
// neighbour, cannot be shown its balance.
func TestSumTreeHidesNothing(t *testing.T) {
	leaves := []ledger.SumNode{ledger.SumLeaf(16, 50), ledger.SumLeaf(17, 70)}
	honest := ledger.SumParent(leaves[0], leaves[1])
	hiding := honest
	hiding.Sum = 70 // the larger of both, as a tree that hashes only max(left, right) would take
	negative := leaves[1]
	negative.Sum = -70
	for _, tt := range []struct {
		name    string
		root    ledger.SumNode
		sibling ledger.SumNode
	}{
		{"a total that is not the sum", hiding, leaves[1]},
		{"a negative neighbour", ledger.SumParent(leaves[0], negative), negative},
	} {
		if ledger.VerifySumPath(tt.root, 0, 50, 2, []ledger.SumNode{tt.sibling}) {
			t.Errorf("%s: the balance verifies", tt.name)
		}
	}
}

// BenchmarkSumTree is a cut of a bank with a million accounts of which 50,000 have
// changed since the last one.
func BenchmarkSumTree(b *testing.B) {
	const accounts, changed = 1_000_000, 50_000
	state := ledger.BankOf(accounts)
	state.ComputeBooks()
	b.ReportAllocs()
	for b.Loop() {
		state.Touch(changed)
		state.ComputeBooks()
	}
	p, err := state.SumProof(0, accounts/2)
	if err != nil || !p.Verify() {
		b.Fatalf("the balance of an account does not verify: %v", err)
	}
	b.ReportMetric(float64(len(p.Path)), "hashes/proof")
}

// What is kept of the journal is enough to prove everything about it, at sizes
// around the borders of what is kept and what is read again.
func TestJournalTree(t *testing.T) {
	var headers []ledger.Hash
	var tree ledger.JournalTree
	var roots []ledger.Hash // by number of batches
	read := func(first, last uint64) ([]ledger.Hash, error) {
		if last-first >= 256 {
			return nil, fmt.Errorf("asked for the headers %d to %d", first, last)
		}
		return headers[first-1 : last], nil
	}
	roots = append(roots, ledger.Hash{})
	for n := range 1100 {
		headers = append(headers, hashOf("header %d", n))
		tree.Add(headers[n])
		roots = append(roots, ledger.JournalRootOf(headers))
	}
	sizes := []uint64{1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 768, 769, 1000, 1023, 1024, 1025, 1100}
	for _, size := range sizes {
		for _, batch := range sizes {
			if batch > size {
				continue
			}
			path, err := tree.Path(batch, size, read)
			if err != nil || !ledger.VerifyJournalPath(roots[size], headers[batch-1], batch, size, path) {
				t.Errorf("batch %d of %d: %v", batch, size, err)
			}
			if ledger.VerifyJournalPath(roots[size], headers[batch%uint64(len(headers))], batch, size, path) {
				t.Errorf("batch %d of %d: another header is proved", batch, size)
			}
			path, err = tree.Consistency(batch, size, read)
			if err != nil || !ledger.VerifyConsistency(roots[batch], roots[size], batch, size, path) {
				t.Errorf("journal of %d and %d batches: %v", batch, size, err)
			}
			if batch < size && ledger.VerifyConsistency(roots[batch-1], roots[size], batch, size, path) {
				t.Errorf("journal of %d and %d batches: another beginning is proved", batch, size)
			}
			if len(path) > 0 {
				path[len(path)-1][0] ^= 1
				if ledger.VerifyConsistency(roots[batch], roots[size], batch, size, path) {
					t.Errorf("journal of %d and %d batches: a changed proof holds", batch, size)
				}
			}
		}
	}
	broken := errors.New("the database is gone")
	if _, err := tree.Path(5, 1100, func(uint64, uint64) ([]ledger.Hash, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("a path without headers: %v", err)
	}
	if _, err := tree.Path(5, 1100, func(uint64, uint64) ([]ledger.Hash, error) { return headers[:3], nil }); ledger.CodeOf(err) != ledger.CodeMalformed {
		t.Errorf("a path with too few headers: %v", err)
	}
}
