package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// OpenReadOnly connects to a bank's database for an auditor: every connection
// refuses to write, the schema stays as it is and no lease is taken, so that a
// role with SELECT alone is enough and a bank at work is not disturbed.
func OpenReadOnly(ctx context.Context, url string) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "daobank audit"
	params["default_transaction_read_only"] = "on"
	s := &Store{}
	if s.writes, err = connect(ctx, config, 1); err != nil { // connects at its first use, which there is none of
		return nil, err
	}
	if s.reads, err = connect(ctx, config, 4); err != nil {
		s.writes.Close()
		return nil, err
	}
	if err := s.reads.Ping(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return s, nil
}

// BalancesAt returns every account in the order of its number and the last
// batch that is added up in them, both of one moment.
func (s *Store) BalancesAt(ctx context.Context) (batch uint64, balances []Balance, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.reads, snapshot, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `select coalesce(max(number), 0) from batch where shard = $1`, shard).Scan(&batch); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select id, key, balance from balance where shard = $1 order by id`, shard)
		if err != nil {
			return err
		}
		balances, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b Balance, err error) {
			var key []byte
			err = row.Scan(&b.Account, &key, &b.Amount)
			copy(b.Key[:], key)
			return b, err
		})
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("read the balances: %w", err)
	}
	return batch, balances, nil
}
