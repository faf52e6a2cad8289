package main

import (
	"context"
	"fmt"
	"os"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/taproot"
)

// runAudit opens what the options name, to read, and audits the bank.
func runAudit(ctx context.Context, o *auditOptions) (*audit.Report, error) {
	charter, vault, err := readAuditedBank(o)
	if err != nil {
		return nil, err
	}
	node, err := bitcoind.Dial(ctx, o.Node)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	store, err := postgres.OpenReadOnly(ctx, o.Postgres)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	stored, err := store.Charter(ctx)
	if err != nil {
		return nil, err
	}
	if stored.ID() != charter.ID() {
		return nil, &postgres.BankError{Want: charter.ID(), Stored: stored.ID()}
	}
	return audit.Run(ctx, audit.Config{
		Charter: charter, Vault: vault, Journal: store, Chain: node,
		Table: storedTable(store), Scanner: node, Progress: o.Progress,
	})
}

// readAuditedBank reads what the auditor knows of the bank beforehand.
func readAuditedBank(o *auditOptions) (ledger.Charter, *taproot.Vault, error) {
	file, err := readBankFile(o.Bank)
	if err != nil {
		return ledger.Charter{}, nil, err
	}
	if o.Policy != "" {
		raw, err := os.ReadFile(o.Policy)
		if err != nil {
			return ledger.Charter{}, nil, fmt.Errorf("the vault's policy: %w", err)
		}
		if file.Policy, err = taproot.ParsePolicy(raw); err != nil {
			return ledger.Charter{}, nil, fmt.Errorf("%s: %w", o.Policy, err)
		}
	}
	vault, err := taproot.NewVault(file.Policy)
	return file.Charter, vault, err
}

// storedTable reads the account table of a database for an audit.
func storedTable(store *postgres.Store) func(context.Context) (*audit.Table, error) {
	return func(ctx context.Context) (*audit.Table, error) {
		batch, balances, err := store.BalancesAt(ctx)
		if err != nil {
			return nil, err
		}
		table := &audit.Table{Batch: batch, Balances: make([]audit.Balance, len(balances))}
		for i, b := range balances {
			table.Balances[i] = audit.Balance{Account: b.Account, Key: b.Key, Amount: b.Amount}
		}
		return table, nil
	}
}
