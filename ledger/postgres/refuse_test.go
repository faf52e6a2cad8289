package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daobank/daobank/ledger"
)

// A forger writes a third batch with raw SQL, whatever the books say. The
// zero changes write one that the database accepts.
type forger struct {
	bank   *bank
	header func(*ledger.Header)
	number *int64 // in place of the header's
	rows   []forgedEntry
	book   string // SQL that books it
}

type forgedEntry struct {
	batch    int64
	idx      int
	payer    ledger.AccountID
	sequence int64
}

func (f *forger) forge(ctx context.Context, tx pgx.Tx) error {
	last := f.bank.state.Last()
	h := ledger.Header{Bank: last.Bank, Number: 3, Epoch: f.bank.epoch, Time: last.Time, Previous: last.Hash(), Count: 1}
	if f.header != nil {
		f.header(&h)
	}
	number := int64(h.Number)
	if f.number != nil {
		number = *f.number
	}
	s := signed(f.bank.t, h)
	_, err := tx.Exec(ctx, `insert into batch (shard, number, epoch, count, previous, header) values (0, $1, $2, $3, $4, $5)`,
		number, int64(h.Epoch), int32(h.Count), h.Previous[:], s.Bytes())
	if err != nil {
		return err
	}
	if f.rows == nil {
		f.rows = []forgedEntry{{3, 0, alice, 1}}
	}
	if len(f.rows) > 0 {
		sql := `insert into entry (shard, batch, idx, kind, payer, sequence, bytes) values `
		for i, r := range f.rows {
			if i > 0 {
				sql += ", "
			}
			sql += fmt.Sprintf(`(0, %d, %d, 2, %d, %d, '\x0102')`, r.batch, r.idx, r.payer, r.sequence)
		}
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	if f.book == "" {
		return nil
	}
	_, err = tx.Exec(ctx, f.book)
	return err
}

func bookingSQL(batch int, accounts, amounts, balances string) string {
	return fmt.Sprintf(`insert into booking values (0, %d, array[%s]::bigint[], array[%s]::bigint[], array[%s]::bigint[])`, batch, accounts, amounts, balances)
}

// statement is raw SQL in a Tx of its own.
func statement(sql string) func(context.Context, pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql)
		return err
	}
}

const (
	fenced     = "DAO01"
	broken     = "DAO02"
	history    = "DAO03"
	unbalanced = "DAO04"
	check      = "23514"
	unique     = "23505"
	foreignKey = "23503"
)

// PostgreSQL itself refuses these, each named by what it keeps out, with the
// SQLSTATE at the end of the line.
func TestDatabaseRefuses(t *testing.T) {
	b := openBank(t)
	b.fund()
	if err := b.store.AppendStep(t.Context(), b.epoch, step(1, 1, "cut")); err != nil {
		t.Fatal(err)
	}
	forge := func(f forger) func(context.Context, pgx.Tx) error {
		f.bank = b
		return f.forge
	}
	header := func(change func(*ledger.Header)) func(context.Context, pgx.Tx) error {
		return forge(forger{header: change})
	}
	book := func(accounts, amounts, balances string) func(context.Context, pgx.Tx) error {
		return forge(forger{book: bookingSQL(3, accounts, amounts, balances)})
	}
	booking := func(batch int, accounts, amounts, balances string) func(context.Context, pgx.Tx) error {
		return statement(bookingSQL(batch, accounts, amounts, balances))
	}

	b.refuses([]refusal{
		{"nothing, when the batch is right", forge(forger{}), ""},
		{"nothing, when the booking is right", book("16, 17", "-1000, 1000", "0, 1000"), ""},

		{"a bank changed", statement(`update bank set id = id`), history},
		{"a bank deleted", statement(`delete from bank`), history},
		{"a bank truncated", statement(`truncate bank cascade`), history},
		{"a batch changed", statement(`update batch set epoch = 2 where number = 1`), history},
		{"a batch deleted", statement(`delete from batch where number = 2`), history},
		{"batches truncated", statement(`truncate batch, entry, event_posting, booking`), history},
		{"an entry changed", statement(`update entry set bytes = '\x0102' where batch = 1 and idx = 0`), history},
		{"an entry deleted", statement(`delete from entry where batch = 2 and idx = 1`), history},
		{"entries truncated", statement(`truncate entry cascade`), history},
		{"an event's posting changed", statement(`update event_posting set amount = 1`), history},
		{"an event's posting deleted", statement(`delete from event_posting`), history},

		{"a gap in batch numbers", header(func(h *ledger.Header) { h.Number = 4 }), broken},
		{"a batch number twice", header(func(h *ledger.Header) { h.Number = 2 }), broken},
		{"a wrong previous hash", header(func(h *ledger.Header) { h.Previous[0] ^= 1 }), broken},
		{"a writer with an old epoch", header(func(h *ledger.Header) { h.Epoch = 0 }), fenced},
		{"a writer with an epoch of its own", header(func(h *ledger.Header) { h.Epoch = 2 }), fenced},
		{"a column that differs from the header", forge(forger{header: func(h *ledger.Header) { h.Number = 4 }, number: new(int64(3))}), check},
		{"a batch without entries", forge(forger{rows: []forgedEntry{}}), foreignKey},
		{"a batch with too few entries", forge(forger{header: func(h *ledger.Header) { h.Count = 2 }}), broken},
		{"a batch with too many entries", forge(forger{rows: []forgedEntry{{3, 0, alice, 1}, {3, 1, bob, 1}}}), broken},
		{"entries that leave out the first", forge(forger{rows: []forgedEntry{{3, 1, alice, 1}}}), broken},
		{"an entry added to an old batch", forge(forger{rows: []forgedEntry{{1, 2, alice, 1}}}), broken},
		{"an entry added to the newest batch", statement(`insert into entry values (0, 2, 3, 2, 16, 1, '\x0102')`), broken},
		{"an entry of no batch", statement(`insert into entry values (0, 4, 0, 2, 16, 1, '\x0102')`), broken},
		{"a repeated (payer, sequence)", forge(forger{rows: []forgedEntry{{3, 0, alice, 0}}}), unique},
		{"a repeated (payer, sequence) in one batch", forge(forger{header: func(h *ledger.Header) { h.Count = 2 },
			rows: []forgedEntry{{3, 0, alice, 1}, {3, 1, alice, 1}}}), unique},
		{"an order without a payer", statement(`insert into entry values (0, 3, 0, 2, null, null, '\x0102')`), check},
		{"a kind that is not the entry's", statement(`insert into entry values (0, 3, 0, 2, 16, 1, '\x0101')`), check},

		{"a negative balance of a member", book("16, 17", "-1001, 1001", "-1, 1001"), check},
		{"a negative balance of the treasury", book("2, 17", "-1, 1", "-1, 1"), check},
		{"a negative balance beside the vault", book("1, 16", "1, -1", "-999, -1"), check},
		{"more than there can be", book("16, 17", "-1, 1", "0, 2100000000000001"), check},
		{"a booking of nothing", book("", "", ""), check},
		{"an account without an amount", book("16, 17", "0", "1000, 0"), check},
		{"an account without a balance", book("16, 17", "-1, 1", "999"), check},
		{"an amount that is not known", book("16, 17, 2", "-1, 1, null", "999, 1, 0"), check},
		{"a balance that is not known", book("16, 17", "-1, 1", "999, null"), check},
		{"a batch that adds up to more than zero", book("16, 17", "-1, 2", "999, 2"), unbalanced},
		{"a batch that adds up to less than zero", book("16", "-1", "999"), unbalanced},
		{"a booking for an old batch", booking(1, "16, 17", "-1, 1", "999, 1"), unbalanced},
		{"a booking for a batch to come", booking(3, "16, 17", "-1, 1", "999, 1"), unbalanced},
		{"a booking twice", booking(2, "16, 17", "-1, 1", "999, 1"), unique},
		{"a booking changed", statement(`update booking set batch = 1`), history},
		{"a booking deleted", statement(`delete from booking`), history},
		{"bookings truncated", statement(`truncate booking`), history},
		{"a balance below zero", statement(`update account set last_batch = 2, balance = balance + case id when 17 then -1 else 1 end where id in (2, 17)`), check},
		{"a balance changed by one", statement(`update account set last_batch = 2, balance = balance + 1 where id = 17`), unbalanced},
		{"a balance changed again", statement(`select book(0::smallint, 10); update account set last_batch = 2, balance = balance where id = 16`), unbalanced},
		{"a balance of a batch to come", statement(`update account set last_batch = 3 where id = 17`), unbalanced},
		{"bookings taken out of the accounts", statement(`select book(0::smallint, 10); update booked set batch = 1`), unbalanced},
		{"bookings forgotten", statement(`delete from booked`), history},
		{"an account opened with money", statement(`insert into account values (0, 18, decode(repeat('07', 32), 'hex'), 1, 0)`), unbalanced},
		{"a second account of one key", statement(`insert into account select 0, 18, key, 0, 0 from account where id = 16`), unique},
		{"a member without a key", statement(`insert into account values (0, 18, null, 0, 0)`), check},
		{"an account with another key", statement(`update account set key = decode(repeat('07', 32), 'hex') where id = 16`), history},
		{"an account deleted", statement(`delete from account where id = 17`), history},
		{"accounts truncated", statement(`truncate account`), history},

		{"a lease set back", statement(`update lease set epoch = 0`), fenced},
		{"a lease kept at its epoch", statement(`update lease set holder = 'someone'`), fenced},
		{"a lease deleted", statement(`delete from lease`), history},

		{"a settlement step changed", statement(`update settlement_step set step = 'confirmed'`), history},
		{"a settlement step deleted", statement(`delete from settlement_step`), history},
		{"settlement steps truncated", statement(`truncate settlement_step`), history},
		{"a settlement step of an old epoch", statement(`insert into settlement_step (shard, settlement, ordinal, epoch, step) values (0, 1, 2, 0, 'x')`), fenced},
		{"a settlement step left out", statement(`insert into settlement_step (shard, settlement, ordinal, epoch, step) values (0, 1, 3, 1, 'x')`), broken},
		{"a settlement step twice", statement(`insert into settlement_step (shard, settlement, ordinal, epoch, step) values (0, 1, 1, 1, 'x')`), unique},
	})
}

// A refusal is what somebody tries on the database, and what comes of it.
type refusal struct {
	name string
	do   func(context.Context, pgx.Tx) error
	want string // SQLSTATE; "" when it is accepted
}

// refuses tries each case in a Tx that is then rolled back.
func (b *bank) refuses(cases []refusal) {
	conn := b.connect()
	for _, c := range cases {
		b.t.Run(c.name, func(t *testing.T) {
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.Background())
			err = c.do(t.Context(), tx)
			if err == nil {
				// As a commit would, but without keeping what is accepted.
				_, err = tx.Exec(t.Context(), `set constraints all immediate`)
			}
			if got := sqlState(err); got != c.want {
				t.Fatalf("SQLSTATE %q, want %q: %v", got, c.want, err)
			}
		})
	}
}

func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
