package postgres_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// project runs the projection until it has caught up.
func (b *bank) project() {
	b.t.Helper()
	for {
		position, newest, err := b.store.Project(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if position == newest {
			return
		}
	}
}

// history reads all movements of an account, newest first, in pages.
func (b *bank) history(id ledger.AccountID, page int) []postgres.Movement {
	b.t.Helper()
	var all []postgres.Movement
	var before postgres.Cursor
	for {
		movements, err := b.store.History(b.t.Context(), id, before, page)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(movements) == 0 {
			return all
		}
		all = append(all, movements...)
		before = movements[len(movements)-1].Cursor
	}
}

func TestHistoryShowsBothSides(t *testing.T) {
	b := openBank(t)
	b.fund()
	b.commit(
		b.pay(2, ledger.Payment{Payee: bob, Amount: 10}, ledger.Payment{Payee: ledger.Treasury, Amount: 5}, ledger.Payment{Payee: bob, Amount: 20}),
		b.pay(3, ledger.Payment{Payee: alice, Amount: 7}))
	if got := b.history(alice, 10); len(got) != 0 {
		t.Errorf("before the projection: %+v", got)
	}
	b.project()
	type line struct {
		place        postgres.Cursor
		counterparty ledger.AccountID
		amount       ledger.Amount
		kind         ledger.Kind
		sequence     uint64
	}
	want := []line{
		{postgres.Cursor{Batch: 3, Index: 1, Line: 0}, bob, 7, ledger.KindTransfer, 1},
		{postgres.Cursor{Batch: 3, Index: 0, Line: 2}, bob, -20, ledger.KindTransfer, 1},
		{postgres.Cursor{Batch: 3, Index: 0, Line: 1}, ledger.Treasury, -5, ledger.KindTransfer, 1},
		{postgres.Cursor{Batch: 3, Index: 0, Line: 0}, bob, -10, ledger.KindTransfer, 1},
		{postgres.Cursor{Batch: 2, Index: 1, Line: 0}, ledger.Vault, 1000, ledger.KindDeposit, 0},
	}
	for _, page := range []int{1, 2, 100} {
		got := b.history(alice, page)
		if len(got) != len(want) {
			t.Fatalf("pages of %d: %d movements, want %d", page, len(got), len(want))
		}
		for i, m := range got {
			if (line{m.Cursor, m.Counterparty, m.Amount, m.Kind, m.Sequence}) != want[i] || m.Account != alice {
				t.Errorf("pages of %d, movement %d: %+v, want %+v", page, i, m, want[i])
			}
		}
		if string(got[0].Reference) != "for bread" || got[4].Reference != nil || got[0].UnixMilli == 0 {
			t.Errorf("reference %q, time %d", got[0].Reference, got[0].UnixMilli)
		}
	}
}

// What a cut took is known at once, before history is derived.
func TestCutsOfDoesNotLag(t *testing.T) {
	b := openBank(t)
	b.fund()
	b.commit(b.block(), b.deposit(alice, 5000, 102))
	payer, _ := b.state.Account(alice)
	b.commit(b.order(2, &ledger.Order{Payer: alice, Sequence: payer.Sequence + 1, Previous: payer.Last,
		Body: &ledger.Withdraw{Amount: 2000, FeeMax: 100, Script: append([]byte{0, 20}, make([]byte, 20)...)}}))
	cuts := func() []postgres.Taken {
		t.Helper()
		found, err := b.store.CutsOf(t.Context(), alice, 1)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := cuts(); len(got) != 0 {
		t.Errorf("before the cut: %+v", got)
	}
	b.commit(ledger.Entry{Event: &ledger.Cut{Settlement: 1, Version: 1, Inputs: []ledger.OutPoint{{TxID: ledger.Hash{102}, Vout: uint32(alice)}},
		Payouts: []ledger.CutPayout{{Payer: alice, Sequence: payer.Sequence + 1}}}})
	if got := cuts(); len(got) != 1 || got[0].Batch != 5 || !slices.Equal(got[0].Amounts, []int64{2100}) {
		t.Errorf("after the cut: %+v", got)
	}
	if got := b.history(alice, 10); len(got) != 0 {
		t.Errorf("history is derived already: %+v", got)
	}
}

// Whoever projects, together or after one another, each movement appears once:
// every account's movements add up to its balance.
func TestProjectExactlyOnce(t *testing.T) {
	b := openBank(t)
	b.fund()
	for range 20 {
		b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 3}), b.pay(3, ledger.Payment{Payee: alice, Amount: 1}))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(b.project)
	}
	wg.Wait()
	b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 3}))
	b.project()
	b.project()
	for _, id := range []ledger.AccountID{ledger.Vault, alice, bob} {
		var sum ledger.Amount
		for _, m := range b.history(id, 7) {
			sum += m.Amount
		}
		if want := b.state.Balance(id); sum != want {
			t.Errorf("account %s: movements add up to %d, the balance is %d", id, sum, want)
		}
	}
}
