package main

import (
	"context"
	"fmt"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
)

// runAudit opens what the options name, to read, and audits the bank.
func runAudit(ctx context.Context, o *auditOptions) (*audit.Report, error) {
	charter, vault, err := o.readBank()
	if err != nil {
		return nil, err
	}
	node, err := bitcoind.Dial(ctx, o.Node)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	from, err := o.open(ctx, &charter)
	if err != nil {
		return nil, err
	}
	defer from.close()
	report, err := audit.Run(ctx, audit.Config{
		Charter: charter, Vault: vault, Journal: from, Chain: node,
		Table: from.table, Scanner: node, Progress: o.Progress,
	})
	if err != nil {
		return nil, err
	}
	report.Notes = from.notes()
	return report, nil
}
