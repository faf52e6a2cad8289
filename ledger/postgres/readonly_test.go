package postgres_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

func openReadOnly(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.OpenReadOnly(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// An auditor reads everything and writes nothing, while the bank goes on.
func TestReadOnly(t *testing.T) {
	b := openBank(t)
	b.fund()
	auditor := openReadOnly(t, b.url)
	batch, balances, err := auditor.BalancesAt(t.Context())
	want := []postgres.Balance{{Account: 1, Amount: -2000}, {Account: 2}, {Account: 3}, {Account: 4}, {Account: 5},
		{Account: alice, Key: ledger.KeyOf(key(2)), Amount: 1000}, {Account: bob, Key: ledger.KeyOf(key(3)), Amount: 1000}}
	if err != nil || batch != 2 || !slices.Equal(balances, want) {
		t.Errorf("batch %d, balances %+v, %v; want %+v", batch, balances, err, want)
	}
	if got, err := auditor.Charter(t.Context()); err != nil || got != charter() {
		t.Errorf("charter %+v, %v", got, err)
	}
	if _, err := auditor.TakeLease(t.Context(), "auditor"); !errors.As(err, new(interface{ SQLState() string })) {
		t.Errorf("an auditor takes the lease: %v", err)
	}
	b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1})) // the bank's lease is what it was
	if batch, _, err := auditor.BalancesAt(t.Context()); err != nil || batch != 3 {
		t.Errorf("batch %d, %v", batch, err)
	}
	batches := 0
	for _, err := range auditor.Batches(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		batches++
	}
	if batches != 3 {
		t.Errorf("%d batches", batches)
	}
}

// Opening to read makes no schema where there is none.
func TestReadOnlyLeavesAnEmptyDatabase(t *testing.T) {
	url := cluster.Test(t)
	auditor := openReadOnly(t, url)
	if _, err := auditor.Charter(t.Context()); err == nil {
		t.Error("an empty database has a charter")
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var tables int
	if err := conn.QueryRow(t.Context(), `select count(*) from information_schema.tables where table_schema = 'public'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables, %v", tables, err)
	}
	if _, err := postgres.OpenReadOnly(t.Context(), "postgres://127.0.0.1:1/nowhere"); err == nil {
		t.Error("no server, no error")
	}
}
