package export_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/ledger"
)

// history is a bank whose journal has entries of every kind, batches of one entry
// and of many, and chains of orders inside a batch.
func history(t testing.TB) *audittest.Bank {
	t.Helper()
	b := audittest.New(t)
	ann, bob := b.Open("ann"), b.Open("bob")
	b.Deposit(ledger.Treasury, 50_000)
	b.Deposit(ann.ID, 1_000_000, 2_000_000)
	for i := range 20 {
		b.Order(ann, &ledger.Transfer{Reference: []byte("rent"), Payments: []ledger.Payment{{Payee: bob.ID, Amount: 1000}, {Payee: ledger.Treasury, Amount: 1}}})
		b.Order(bob, &ledger.Transfer{Payments: []ledger.Payment{{Payee: ann.ID, Amount: ledger.Amount(i + 1)}}})
	}
	b.Seal()
	b.Withdraw(ann, 100_000, 1_000, audittest.Script("ann outside"))
	b.Settle(2_000)
	b.Rekey(2, 4)
	carl := b.Open("carl")
	b.Order(carl, &ledger.Close{})
	b.Seal()
	b.Pay(ann, bob, 7)
	return b
}

// write exports batches into a directory and returns it.
func write(t testing.TB, dir string, charter ledger.Charter, journal audittest.Journal) string {
	t.Helper()
	return writeLimited(t, dir, charter, journal, 1<<20)
}

// writeSmall gives every batch a segment.
func writeSmall(t testing.TB, dir string, charter ledger.Charter, journal audittest.Journal) string {
	t.Helper()
	return writeLimited(t, dir, charter, journal, 1)
}

func writeLimited(t testing.TB, dir string, charter ledger.Charter, journal audittest.Journal, limit int64) string {
	t.Helper()
	w, err := export.Continue(dir, charter)
	if err != nil {
		t.Fatal(err)
	}
	w.SetLimit(limit)
	for _, b := range journal {
		if b.Header.Number < w.Next() {
			continue
		}
		if err := w.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// read returns the batches of a set from a number on, and the error that ends them.
func read(t testing.TB, dir string, from uint64) (journal audittest.Journal, left string, err error) {
	t.Helper()
	set, err := export.Open(dir)
	if err != nil {
		return nil, "", err
	}
	for b, err := range set.Batches(t.Context(), from) {
		if err != nil {
			return journal, "", err
		}
		journal = append(journal, b)
	}
	return journal, set.Left(), nil
}

func same(t testing.TB, got, want audittest.Journal) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d batches, want %d", len(got), len(want))
	}
	for i, b := range got {
		if b.Header != want[i].Header || len(b.Entries) != len(want[i].Entries) {
			t.Fatalf("batch %d: header %+v with %d entries, want %+v with %d", want[i].Header.Number, b.Header, len(b.Entries), want[i].Header, len(want[i].Entries))
		}
		for k := range b.Entries {
			if !bytes.Equal(b.Entries[k], want[i].Entries[k]) {
				t.Fatalf("batch %d entry %d: %x, want %x", b.Header.Number, k, b.Entries[k], want[i].Entries[k])
			}
		}
	}
}

// files reads all files of a set.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = raw
	}
	return all
}

// place makes a directory of these files.
func place(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
