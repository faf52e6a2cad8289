package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
)

const (
	verifiedTogether = 1024
	verifyRounds     = 24
	btcecEach        = 48 // signatures that btcec verifies in each round
)

// verifyCeiling is how many signatures one core verifies in a second of processor
// time: in batches of 1,024 with known keys, and with btcec one by one, in turns.
// Nothing else may run in this process.
func verifyCeiling(ctx context.Context, orders []*ledger.Order, key func(ledger.AccountID) ledger.Key) (together, btcec float64, err error) {
	items := make([]bip340.Item, min(len(orders), 8*verifiedTogether))
	for i := range items {
		digest := orders[i].Digest()
		items[i] = bip340.Item{Key: key(orders[i].Payer), Message: digest[:], Signature: orders[i].Signature}
	}
	v := bip340.NewVerifier(len(items))
	if bad := v.Verify(items); len(bad) > 0 {
		return 0, 0, fmt.Errorf("signature %d of the load is bad", bad[0])
	}
	n := min(verifiedTogether, len(items))
	var batches, singles []time.Duration
	for round := range verifyRounds {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		from := round * n % (len(items) - n + 1)
		began := ownCPU()
		v.Verify(items[from : from+n])
		batches = append(batches, (ownCPU()-began)/time.Duration(n))
		m := min(btcecEach, n)
		began = ownCPU()
		for i := range items[from : from+m] {
			if !verifyWithBtcec(&items[from+i]) {
				return 0, 0, fmt.Errorf("btcec refuses signature %d of the load", from+i)
			}
		}
		singles = append(singles, (ownCPU()-began)/time.Duration(m))
	}
	return 1 / median(batches).Seconds(), 1 / median(singles).Seconds(), nil
}

func verifyWithBtcec(item *bip340.Item) bool {
	key, err := schnorr.ParsePubKey(item.Key[:])
	if err != nil {
		return false
	}
	signature, err := schnorr.ParseSignature(item.Signature[:])
	return err == nil && signature.Verify(item.Message, key)
}

// copyRowsMax bounds the rows that the ceiling of COPY is measured with.
const copyRowsMax = 200_000

// copyCeiling is how many rows of the journal COPY writes in a second of processor
// time, the server's and the client's, over one connection and durably: the very rows of the batches after one, in Tx of the
// same size, into an empty table with the journal's columns, indexes and checks.
func (b *clearingBank) copyCeiling(ctx context.Context, after uint64) (float64, error) {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	batches, rows, err := b.copyOut(ctx, conn, after)
	if err != nil || rows == 0 {
		return 0, err
	}
	const table = "create table if not exists copied (like entry including all); truncate copied; set synchronous_commit = on"
	if _, err := conn.Exec(ctx, table); err != nil {
		return 0, err
	}
	pid := int(conn.PgConn().PID())
	began := ownCPU() + processCPU(pid)
	for _, batch := range batches {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(batch), "copy copied from stdin binary")
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("copy the journal's rows: %w", err)
		}
	}
	elapsed := ownCPU() + processCPU(pid) - began
	_, err = conn.Exec(ctx, "drop table copied")
	return float64(rows) / elapsed.Seconds(), err
}

// copyOut reads whole batches as COPY takes them, so that making them is no part
// of the ceiling.
func (b *clearingBank) copyOut(ctx context.Context, conn *pgx.Conn, after uint64) (batches [][]byte, rows int64, err error) {
	last, err := b.store.LastBatch(ctx)
	for number := after + 1; err == nil && number <= last && rows < copyRowsMax; number++ {
		var rowsOf bytes.Buffer
		tag, err := conn.PgConn().CopyTo(ctx, &rowsOf,
			fmt.Sprintf("copy (select * from entry where shard = 0 and batch = %d order by idx) to stdout binary", number))
		if err != nil {
			return nil, 0, fmt.Errorf("read batch %d: %w", number, err)
		}
		batches, rows = append(batches, rowsOf.Bytes()), rows+tag.RowsAffected()
	}
	return batches, rows, err
}
