package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// Step is one line in the diary of a settlement. What the steps are called and
// mean is package settlement's business.
type Step struct {
	Settlement uint32
	Ordinal    uint32 // from 1, without gaps
	Step       string
	TxID       *ledger.Hash // wire byte order; nil for none
	Tx         []byte       // the whole Bitcoin transaction; nil for none
	Height     *uint32      // nil for none
	Detail     string
	Epoch      uint64    // of the writer; set by AppendStep
	At         time.Time // database's clock; set by AppendStep
}

// AppendStep writes a step down; it is on disk when AppendStep returns nil.
// Errors: ErrFenced; ErrStepExists when the ordinal is taken, in which case
// Steps shows by what; ErrAmbiguous when only Steps can tell.
func (s *Store) AppendStep(ctx context.Context, epoch uint64, step Step) error {
	var txid []byte
	if step.TxID != nil {
		txid = step.TxID[:]
	}
	fail := func(err error) error {
		return fmt.Errorf("write step %d (%s) of settlement %d: %w", step.Ordinal, step.Step, step.Settlement, err)
	}
	tx, err := s.writes.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	_, err = tx.Exec(ctx, `insert into settlement_step (shard, settlement, ordinal, epoch, step, txid, tx, height, detail)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		shard, step.Settlement, step.Ordinal, int64(epoch), step.Step, txid, step.Tx, step.Height, step.Detail)
	if err != nil {
		rollback(tx)
		if sqlState(err) == stateDuplicate {
			return fail(ErrStepExists)
		}
		return fail(classify(err))
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(classifyCommit(err))
	}
	return nil
}

// rollback ends a Tx that failed. Whether or not the server hears it, a Tx
// without COMMIT is undone.
func rollback(tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.Background(), giveUpLimit)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// Steps returns the diary of one settlement in order; none when it has no step
// yet.
func (s *Store) Steps(ctx context.Context, settlement uint32) ([]Step, error) {
	rows, err := s.reads.Query(ctx, `select settlement, ordinal, step, txid, tx, height, detail, epoch, at
		from settlement_step where shard = $1 and settlement = $2 order by ordinal`, shard, settlement)
	if err != nil {
		return nil, fmt.Errorf("read settlement %d: %w", settlement, err)
	}
	steps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Step, error) {
		var step Step
		var txid []byte
		err := row.Scan(&step.Settlement, &step.Ordinal, &step.Step, &txid, &step.Tx, &step.Height, &step.Detail, &step.Epoch, &step.At)
		if txid != nil {
			step.TxID = (*ledger.Hash)(txid)
		}
		return step, err
	})
	if err != nil {
		return nil, fmt.Errorf("read settlement %d: %w", settlement, err)
	}
	return steps, nil
}

// LastSettlement returns the number of the newest settlement that has a step, 0
// for none.
func (s *Store) LastSettlement(ctx context.Context) (uint32, error) {
	var number uint32
	err := s.reads.QueryRow(ctx, `select coalesce(max(settlement), 0) from settlement_step where shard = $1`, shard).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("read the newest settlement: %w", err)
	}
	return number, nil
}
