package integration

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// gather brings the judge what it looks at: addresses and coins from the node, block
// by block, and rows from the database, by SQL.
func gather(ctx context.Context, node *bitcoind.Client, database string, charter ledger.Charter, vault *taproot.Vault, orders []sentOrder) (*evidence, error) {
	e := &evidence{charter: charter, orders: orders, scripts: make(map[string]vaultPlace),
		balances: make(map[ledger.AccountID]ledger.Amount)}
	if err := e.readDatabase(ctx, database); err != nil {
		return nil, err
	}
	if err := e.readNode(ctx, node, vault); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *evidence) readDatabase(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var header, entry []byte
	rows, _ := conn.Query(ctx, `select header from batch order by number`)
	if _, err = pgx.ForEachRow(rows, []any{&header}, func() error {
		e.journal = append(e.journal, journalRow{header: append([]byte(nil), header...)})
		return nil
	}); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	var batch int64
	rows, _ = conn.Query(ctx, `select batch, bytes from entry order by batch, idx`)
	if _, err = pgx.ForEachRow(rows, []any{&batch, &entry}, func() error {
		row := &e.journal[batch-1]
		row.entries = append(row.entries, append([]byte(nil), entry...))
		return nil
	}); err != nil {
		return fmt.Errorf("entries: %w", err)
	}
	var id, balance int64
	rows, _ = conn.Query(ctx, `select id, balance from balance`)
	if _, err = pgx.ForEachRow(rows, []any{&id, &balance}, func() error {
		e.balances[ledger.AccountID(id)] = ledger.Amount(balance)
		return nil
	}); err != nil {
		return fmt.Errorf("balances: %w", err)
	}
	return nil
}

// judgedAddresses is how many addresses of each branch the judge knows.
const judgedAddresses = 2_000

func (e *evidence) readNode(ctx context.Context, node *bitcoind.Client, vault *taproot.Vault) error {
	descriptors := vault.Descriptors()
	for branch, descriptor := range descriptors {
		var addresses []string
		if err := node.Call(ctx, "deriveaddresses", &addresses, descriptor, []int{0, judgedAddresses - 1}); err != nil {
			return err
		}
		for i, text := range addresses {
			address, err := btcutil.DecodeAddress(text, node.Network())
			if err != nil {
				return err
			}
			script, err := txscript.PayToAddrScript(address)
			if err != nil {
				return err
			}
			e.scripts[string(script)] = vaultPlace{ledger.Branch(branch), uint32(i)}
		}
	}
	scan, err := node.ScanDescriptor(ctx, descriptors[:], judgedAddresses-1)
	if err != nil {
		return err
	}
	e.unspent = ledger.Amount(scan.Total)
	for height := int32(e.charter.BirthHeight) + 1; height <= scan.Height; height++ {
		hash, err := node.BlockHash(ctx, height)
		if err != nil {
			return err
		}
		block, err := node.Block(ctx, hash)
		if err != nil {
			return err
		}
		e.blocks = append(e.blocks, block)
	}
	return nil
}
