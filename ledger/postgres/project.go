package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// projectEntries bounds one step of the projection, which is one Tx, so that it
// takes a core from the payments for a moment only. A single batch above it is
// projected whole.
const projectEntries = 2048

// derive runs a Tx that writes what the journal says anyway. It waits for no disk, so
// that no commit waits behind it: what a crash takes back is derived again.
func (s *Store) derive(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, s.reads, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local synchronous_commit = off`); err != nil {
			return err
		}
		return f(tx)
	})
}

// Project derives the movements of the next batches, if there are any, and
// moves the projection's position in the same Tx: each movement appears exactly
// once, whenever a step is cut short and however many processes project. It
// returns the position and the newest batch; call it again until they meet.
func (s *Store) Project(ctx context.Context) (position, newest uint64, err error) {
	err = s.derive(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `select batch from movement_position where shard = $1 for update`, shard).Scan(&position); err != nil {
			return err
		}
		var end uint64
		// The batches after the position that together have at most
		// projectEntries entries, but at least one.
		err := tx.QueryRow(ctx, `
			select coalesce(max(number) filter (where before_it = 0 or entries <= $3), $2), coalesce(max(last), $2)
			from (select number, (select max(number) from batch where shard = $1) as last,
				sum(count) over (order by number) as entries, sum(count) over (order by number) - count as before_it
				from (select number, count from batch where shard = $1 and number > $2 order by number limit $3) pending) pending`,
			shard, int64(position), int64(projectEntries)).Scan(&end, &newest)
		if err != nil || end == position {
			return err
		}
		if err := projectRange(ctx, tx, position+1, end); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update movement_position set batch = $2 where shard = $1`, shard, int64(end))
		position = end
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("project the history: %w", err)
	}
	return position, newest, nil
}

var movementColumns = []string{"shard", "account", "batch", "idx", "line", "counterparty", "amount"}

// projectRange derives the movements of batches first to last.
func projectRange(ctx context.Context, tx pgx.Tx, first, last uint64) error {
	_, err := tx.Exec(ctx, `
		insert into movement (shard, account, batch, idx, line, counterparty, amount)
		select shard, debit, batch, idx, line, credit, -amount from event_posting where shard = $1 and batch between $2 and $3
		union all
		select shard, credit, batch, idx, line, debit, amount from event_posting where shard = $1 and batch between $2 and $3`,
		shard, int64(first), int64(last))
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select batch, idx, bytes from entry where shard = $1 and batch between $2 and $3 and kind = $4`,
		shard, int64(first), int64(last), int16(ledger.KindTransfer))
	if err != nil {
		return err
	}
	transfers, err := pgx.CollectRows(rows, scanTransfer)
	if err != nil || len(transfers) == 0 {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"movement"}, movementColumns, &transferMovements{transfers: transfers})
	return err
}

// A placedTransfer is a transfer and its place in the journal.
type placedTransfer struct {
	batch    int64
	idx      int32
	payer    int64
	payments []ledger.Payment
}

func scanTransfer(row pgx.CollectableRow) (placedTransfer, error) {
	var t placedTransfer
	var canonical []byte
	if err := row.Scan(&t.batch, &t.idx, &canonical); err != nil {
		return t, err
	}
	order, err := ledger.DecodeOrder(canonical)
	if err != nil {
		return t, fmt.Errorf("batch %d entry %d: %w", t.batch, t.idx, err)
	}
	body, ok := order.Body.(*ledger.Transfer)
	if !ok {
		return t, fmt.Errorf("batch %d entry %d is not a transfer", t.batch, t.idx)
	}
	t.payer, t.payments = int64(order.Payer), body.Payments
	return t, nil
}

// transferMovements yields two rows for each payment: the payer's and the
// payee's. It makes them one by one, since a transfer may have 1,000 payees.
type transferMovements struct {
	transfers []placedTransfer
	row       int // of the first transfer; two for each payment
}

var _ pgx.CopyFromSource = (*transferMovements)(nil)

// Next implements pgx.CopyFromSource.
func (m *transferMovements) Next() bool {
	for len(m.transfers) > 0 && m.row == 2*len(m.transfers[0].payments) {
		m.transfers, m.row = m.transfers[1:], 0
	}
	return len(m.transfers) > 0
}

// Values implements pgx.CopyFromSource.
func (m *transferMovements) Values() ([]any, error) {
	t, line, received := m.transfers[0], m.row/2, m.row%2 == 1
	m.row++
	payee, amount := int64(t.payments[line].Payee), int64(t.payments[line].Amount)
	if received {
		return []any{int16(shard), payee, t.batch, t.idx, int32(line), t.payer, amount}, nil
	}
	return []any{int16(shard), t.payer, t.batch, t.idx, int32(line), payee, -amount}, nil
}

// Err implements pgx.CopyFromSource.
func (m *transferMovements) Err() error { return nil }
