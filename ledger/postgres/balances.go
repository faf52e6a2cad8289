package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// Balance is an account as PostgreSQL has added it up: its row, and the bookings of
// batches that are not in the row yet.
type Balance struct {
	Account ledger.AccountID
	Key     ledger.Key // zero for the bank's own accounts
	Amount  ledger.Amount
}

// Balances yields every account in the order of its number, all at one moment.
// It stops after the first error.
func (s *Store) Balances(ctx context.Context) iter.Seq2[Balance, error] {
	return func(yield func(Balance, error) bool) {
		rows, err := s.reads.Query(ctx, `select id, key, balance from balance where shard = $1 order by id`, shard)
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

// BookChanges is a good bound for one step of Book: enough for most accounts to have
// several changes that become one, little enough to take a core for a second or two.
const BookChanges = 1 << 20

// Book adds bookings to the accounts' own rows, which a commit leaves alone, and
// returns the last batch that is in them. It is one Tx of about so many changes at
// most, or of one batch; call it again until all is booked. PostgreSQL compares what it has added
// up with what each batch says its accounts then hold. Error: *BookingError when
// that differs, which is the end of any trust in the engine that wrote it.
func (s *Store) Book(ctx context.Context, changesMax int64) (position uint64, err error) {
	err = s.derive(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select book($1, $2)`, shard, changesMax).Scan(&position)
	})
	if state := sqlState(err); state == stateUnbalanced || state == stateCheck {
		return 0, &BookingError{Err: err}
	}
	if err != nil {
		return 0, fmt.Errorf("book: %w", err)
	}
	return position, nil
}

// Unbooked returns how many changes of balances wait for Book.
func (s *Store) Unbooked(ctx context.Context) (changes int64, err error) {
	err = s.reads.QueryRow(ctx, `select coalesce(sum(b.changes), 0) from booked k join booking b on b.shard = k.shard and b.batch > k.batch where k.shard = $1`,
		shard).Scan(&changes)
	if err != nil {
		return 0, fmt.Errorf("count what is to be booked: %w", err)
	}
	return changes, nil
}
