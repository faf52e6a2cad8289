package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/daobank/daobank/ledger"
)

// Balance is an account as PostgreSQL has added it up.
type Balance struct {
	Account ledger.AccountID
	Key     ledger.Key // zero for the bank's own accounts
	Amount  ledger.Amount
}

// Balances yields every account in the order of its number, all at one moment.
// It stops after the first error.
func (s *Store) Balances(ctx context.Context) iter.Seq2[Balance, error] {
	return func(yield func(Balance, error) bool) {
		rows, err := s.reads.Query(ctx, `select id, key, balance from account where shard = $1 order by id`, shard)
		if err != nil {
			yield(Balance{}, fmt.Errorf("read the balances: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var b Balance
			var key []byte
			if err := rows.Scan(&b.Account, &key, &b.Amount); err != nil {
				yield(Balance{}, fmt.Errorf("read the balances: %w", err))
				return
			}
			copy(b.Key[:], key)
			if !yield(b, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Balance{}, fmt.Errorf("read the balances: %w", err))
		}
	}
}
