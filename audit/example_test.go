package audit_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/taproot"
)

// An audit from a program: the bank's public charter and policy, its database
// to read, and a node of one's own.
func Example() {
	var (
		ctx     = context.Background()
		charter ledger.Charter // from the bank's public file
		policy  taproot.Policy // from there too
	)
	vault, err := taproot.NewVault(policy)
	if err != nil {
		log.Fatal(err)
	}
	node, err := bitcoind.Dial(ctx, bitcoind.Config{URL: "http://127.0.0.1:8332", User: "u", Password: "p"})
	if err != nil {
		log.Fatal(err)
	}
	store, err := postgres.OpenReadOnly(ctx, "postgres://auditor@bank.example/bank")
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	report, err := audit.Run(ctx, audit.Config{Charter: charter, Vault: vault, Journal: store, Chain: node, Scanner: node})
	if err != nil {
		log.Fatal(err) // nothing is proved either way
	}
	_ = report.WriteText(os.Stdout)
	if !report.OK {
		fmt.Println("the first difference:", report.First.Text)
	}
}
