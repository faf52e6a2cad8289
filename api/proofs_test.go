package api

import (
	"errors"
	"fmt"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// cut makes the books of the fake bank close for a settlement that pays nobody, and
// returns its books.
func (f *fixture) cut() ledger.Books {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	coin := f.state.Coins()[0].OutPoint
	if _, err := f.apply(ledger.Entry{Event: &ledger.Cut{Settlement: f.state.Settlements() + 1, Version: 1, Inputs: []ledger.OutPoint{coin}}}); err != nil {
		f.Fatal(err)
	}
	return f.state.Open().Books
}

func TestBalanceProof(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	if _, err := f.client.BalanceProof(t.Context(), alice, 0); ledger.CodeOf(err) != CodeNotFound {
		t.Errorf("before the first cut: %v", err)
	}
	f.deposit(alice, 100_000)
	books := f.cut()
	if _, err := f.client.Submit(t.Context(), f.order("alice", pay(bob, 30_000))); err != nil {
		t.Fatal(err)
	}
	late := f.open("carol")
	for _, tt := range []struct {
		id   ledger.AccountID
		owed ledger.Amount
	}{{alice, 100_000}, {bob, 0}, {ledger.Treasury, 0}} {
		p, err := f.client.BalanceProof(t.Context(), tt.id, books.Batch)
		if err != nil || p.Owed != tt.owed || p.Books != books {
			t.Errorf("account %s: got %+v, %v", tt.id, p, err)
		}
	}
	if _, err := f.client.BalanceProof(t.Context(), late, 0); ledger.CodeOf(err) != ledger.CodeAccount {
		t.Errorf("an account that was opened later: %v", err)
	}
	if _, err := f.client.BalanceProof(t.Context(), alice, books.Batch-1); ledger.CodeOf(err) != CodeNotFound {
		t.Errorf("a batch that no cut ended: %v", err)
	}
	cuts, err := f.client.Cuts(t.Context())
	if err != nil || len(cuts) != 1 || cuts[0] != books {
		t.Errorf("the cuts are %+v, %v", cuts, err)
	}
}

func TestJournalProofs(t *testing.T) {
	f := newFixture(t)
	roots := []ledger.Hash{{}}
	for i := range 300 { // more than the bank reads at once
		f.open(fmt.Sprint("member ", i))
		roots = append(roots, f.state.JournalRoot())
	}
	for _, size := range []uint64{1, 5, 256, 257, 300} {
		for _, batch := range []uint64{1, 4, 256, 257, 300} {
			if batch > size {
				continue
			}
			head, path, err := f.client.JournalProof(t.Context(), batch, size)
			if err != nil || !ledger.VerifyJournalPath(roots[size], head, batch, size, path) {
				t.Errorf("batch %d of %d: %v", batch, size, err)
			}
			path, err = f.client.ConsistencyProof(t.Context(), batch, size)
			if err != nil || !ledger.VerifyConsistency(roots[batch], roots[size], batch, size, path) {
				t.Errorf("journal of %d and %d batches: %v", batch, size, err)
			}
		}
	}
	if _, _, err := f.client.JournalProof(t.Context(), 1, 301); ledger.CodeOf(err) != CodeNotFound {
		t.Errorf("a journal that is longer than it is: %v", err)
	}
	if _, _, err := f.client.JournalProof(t.Context(), 0, 3); ledger.CodeOf(err) != ledger.CodeMalformed {
		t.Errorf("batch 0: %v", err)
	}
	if _, err := f.client.ConsistencyProof(t.Context(), 5, 4); ledger.CodeOf(err) != ledger.CodeMalformed {
		t.Errorf("a journal that shrinks: %v", err)
	}
	f.fail = errors.New("the database is gone")
	if _, _, err := f.client.JournalProof(t.Context(), 1, 300); err == nil {
		t.Error("a proof without a database")
	}
}
