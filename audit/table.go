package audit

import (
	"fmt"

	"github.com/daobank/daobank/ledger"
)

// Table is the account table that a bank keeps beside its journal, as it stood
// after one batch.
type Table struct {
	Batch    uint64
	Balances []Balance
}

// Balance is one row of it.
type Balance struct {
	Account ledger.AccountID
	Key     ledger.Key // zero for the bank's own accounts
	Amount  ledger.Amount
}

// compareTable compares the stored accounts with the replayed ones.
func (a *Audit) compareTable() {
	if a.table == nil {
		a.report.skip(CheckBalances, "no account table was given")
		return
	}
	books := a.replay.Books()
	if last := books.Last().Number; last != a.table.Batch {
		a.report.differ(Difference{Check: CheckBalances, Batch: a.table.Batch,
			Text: fmt.Sprintf("the stored balances stand at batch %d, the journal ends at batch %d", a.table.Batch, last)})
		return
	}
	stored := make(map[ledger.AccountID]Balance, len(a.table.Balances))
	for _, b := range a.table.Balances {
		if _, twice := stored[b.Account]; twice {
			a.differAccount(b.Account, "account %s is stored twice", b.Account)
		}
		stored[b.Account] = b
	}
	for id := range ledger.AccountID(books.Accounts()) {
		if id == 0 || id > ledger.Suspense && !id.IsMember() {
			continue // numbers without an account
		}
		a.compareAccount(id, stored)
		delete(stored, id)
	}
	for _, b := range a.table.Balances {
		if _, left := stored[b.Account]; left {
			a.differAccount(b.Account, "account %s is stored with %d sat and was never opened", b.Account, b.Amount)
		}
	}
}

func (a *Audit) compareAccount(id ledger.AccountID, stored map[ledger.AccountID]Balance) {
	a.report.count(CheckBalances, 1)
	want, _ := a.replay.Books().Account(id)
	got, ok := stored[id]
	switch {
	case !ok:
		a.differAccount(id, "account %s holds %d sat by the journal and is not stored", id, want.Balance)
	case got.Amount != want.Balance:
		a.differAccount(id, "account %s is stored with %d sat, by the journal it holds %d sat", id, got.Amount, want.Balance)
	case got.Key != want.Key:
		a.differAccount(id, "account %s is stored with the key %s, it was opened for %s", id, got.Key, want.Key)
	}
}

func (a *Audit) differAccount(id ledger.AccountID, format string, args ...any) {
	a.report.differ(Difference{Check: CheckBalances, Batch: a.table.Batch, Account: id.String(),
		Text: fmt.Sprintf("after batch %d ", a.table.Batch) + fmt.Sprintf(format, args...)})
}
