package clearing_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// Two members open accounts, coins arrive for one of them, and she pays the
// other. The receipt verifies without the bank, and sending the order again
// changes nothing.
func Example() {
	ctx := context.Background()
	server, err := cluster.Open(ctx, cluster.WithoutFsync())
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	url, err := server.CreateDatabase(ctx, "example")
	if err != nil {
		log.Fatal(err)
	}
	defer server.DropDatabase(ctx, "example")
	store, err := postgres.Open(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	operator, alice, bob := key(0), key(1), key(2)
	charter := ledger.Charter{Name: "Example bank", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(operator),
		BirthHeight: 100, Depth: 1, WithdrawalMin: 1000}
	if err := store.Create(ctx, charter); err != nil {
		log.Fatal(err)
	}
	engine, err := clearing.Open(ctx, clearing.Config{Store: store, Charter: charter, Operator: operator,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close(ctx)

	opens := []*ledger.Order{
		{Bank: charter.ID(), Body: &ledger.Open{Key: ledger.KeyOf(alice)}},
		{Bank: charter.ID(), Body: &ledger.Open{Key: ledger.KeyOf(bob)}},
	}
	opens[0].Sign(alice)
	opens[1].Sign(bob)
	opened := engine.SubmitMany(ctx, opens)
	a, b := opened[0].Acceptance.Account, opened[1].Acceptance.Account
	fmt.Println("accounts", a, "and", b)

	err = engine.Record(ctx, []ledger.Event{
		&ledger.Block{Height: 101, Hash: ledger.Hash{101}},
		&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{7}}, Amount: 50_000, Index: a.Index(), Height: 101, TxIndex: 1},
	})
	if err != nil {
		log.Fatal(err)
	}

	order := &ledger.Order{Bank: charter.ID(), Payer: a, Sequence: 1, Previous: opens[0].Digest(),
		Body: &ledger.Transfer{Payments: []ledger.Payment{{Payee: b, Amount: 20_000}}}}
	order.Sign(alice)
	paid, err := engine.Submit(ctx, order)
	fmt.Println("paid in batch", paid.Receipt.Header.Number, err)
	fmt.Println("receipt:", paid.Receipt.Verify(&charter, order.Bytes()))

	again, err := engine.Submit(ctx, order)
	fmt.Println("again:", again.Repeated, again.Receipt.Header.Number, err)

	err = engine.View(ctx, func(books *ledger.State) {
		fmt.Println("balances", books.Balance(a), "and", books.Balance(b))
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// accounts 16 and 17
	// paid in batch 3 <nil>
	// receipt: <nil>
	// again: true 3 <nil>
	// balances 30000 sat and 20000 sat
}
