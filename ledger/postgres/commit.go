package postgres

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// Commit is everything that one batch writes.
type Commit struct {
	Batch *ledger.Batch
	// Refs names each entry's order: payer and sequence, or for an Open the
	// account that it made and 0. It is the zero value for an event.
	Refs     []ledger.OrderRef
	Opened   []Opened
	Deltas   []Delta   // at most one for an account; they add up to zero. Commit sorts them
	Postings []Posting // of the events only
}

// Opened is an account that the batch made.
type Opened struct {
	ID  ledger.AccountID
	Key ledger.Key
}

// Delta is what a batch adds to an account's balance, and what that is then.
type Delta struct {
	Account ledger.AccountID
	Amount  ledger.Amount
	Balance ledger.Amount
}

// Posting is what an event moved: the Line-th posting of the entry at Index.
type Posting struct {
	Index, Line int
	ledger.Posting
}

// Commit writes the batch in one Tx and returns when it is on disk. Errors:
// ErrFenced, ErrAmbiguous; after any other nothing was written either.
//
// Canceling ctx while COMMIT is under way makes it ambiguous.
func (s *Store) Commit(ctx context.Context, c Commit) error {
	number := c.Batch.Header.Number
	if len(c.Refs) != len(c.Batch.Entries) {
		return fmt.Errorf("commit batch %d: %d entries and %d order references", number, len(c.Batch.Entries), len(c.Refs))
	}
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("commit batch %d: connect: %w", number, err)
	}
	defer conn.Release()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("commit batch %d: begin: %w", number, err)
	}
	if err := c.write(ctx, tx); err != nil {
		rollback(tx)
		return fmt.Errorf("commit batch %d: %w", number, classify(err))
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit batch %d: %w", number, classifyCommit(err))
	}
	return nil
}

// rollback ends a Tx that failed. Whether or not the server hears it, a Tx
// without COMMIT is undone.
func rollback(tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackLimit)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// rollbackLimit is how long to wait for a server that may be gone.
const rollbackLimit = 3 * time.Second

// write sends all rows of the batch. The header comes first: its trigger
// fences an old writer before anything else is sent.
func (c *Commit) write(ctx context.Context, tx pgx.Tx) error {
	h := &c.Batch.Header
	_, err := tx.Exec(ctx, `insert into batch (shard, number, epoch, count, previous, header) values ($1, $2, $3, $4, $5, $6)`,
		shard, int64(h.Number), int64(h.Epoch), int32(h.Count), h.Previous[:], h.Bytes())
	if err != nil {
		return fmt.Errorf("write the header: %w", err)
	}
	if err := copyIn(ctx, tx, `copy entry (shard, batch, idx, kind, payer, sequence, bytes) from stdin binary`, c.entryRows()); err != nil {
		return fmt.Errorf("write the entries: %w", err)
	}
	if len(c.Deltas) > 0 {
		if err := copyIn(ctx, tx, `copy booking (shard, batch, accounts, amounts, balances) from stdin binary`, c.bookingRow()); err != nil {
			return fmt.Errorf("book the batch: %w", err)
		}
	}
	return c.writeAccounts(ctx, tx)
}

func copyIn(ctx context.Context, tx pgx.Tx, sql string, rows []byte) error {
	_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(rows), sql)
	return err
}

func (c *Commit) writeAccounts(ctx context.Context, tx pgx.Tx) error {
	number := int64(c.Batch.Header.Number)
	var batch pgx.Batch
	if len(c.Opened) > 0 {
		ids, keys := make([]int64, len(c.Opened)), make([][]byte, len(c.Opened))
		for i := range c.Opened {
			ids[i], keys[i] = int64(c.Opened[i].ID), c.Opened[i].Key[:]
		}
		batch.Queue(`insert into account (shard, id, key, balance, last_batch)
			select $1, id, key, 0, 0 from unnest($2::bigint[], $3::bytea[]) as opened(id, key)`, shard, ids, keys)
	}
	for _, p := range c.Postings {
		batch.Queue(`insert into event_posting (shard, batch, idx, line, debit, credit, amount) values ($1, $2, $3, $4, $5, $6, $7)`,
			shard, number, p.Index, p.Line, int64(p.Debit), int64(p.Credit), int64(p.Amount))
	}
	if batch.Len() == 0 {
		return nil
	}
	results := tx.SendBatch(ctx, &batch)
	defer results.Close()
	if len(c.Opened) > 0 {
		if _, err := results.Exec(); err != nil {
			return fmt.Errorf("write the accounts: %w", err)
		}
	}
	for range c.Postings {
		if _, err := results.Exec(); err != nil {
			return fmt.Errorf("write the events' postings: %w", err)
		}
	}
	return results.Close()
}

// copyHeader opens a stream of COPY in binary form: signature, flags, length
// of the header's extension (PostgreSQL's manual, COPY, "Binary Format").
var copyHeader = []byte("PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00")

const copyEnd = 0xffff // in place of a row's number of fields

// entryRows encodes the entries for COPY. Nearly all bytes of a commit pass
// here, so they are written once and straight, without a driver's reflection.
func (c *Commit) entryRows() []byte {
	const fixed = 2 + (4 + 2) + (4 + 8) + (4 + 4) + (4 + 2) + (4 + 8) + (4 + 8) + 4
	size := len(copyHeader) + 2
	for _, e := range c.Batch.Entries {
		size += fixed + len(e)
	}
	be := binary.BigEndian
	b := append(make([]byte, 0, size), copyHeader...)
	for i, e := range c.Batch.Entries {
		ref, kind := c.Refs[i], entryKind(e)
		b = be.AppendUint16(b, 7)
		b = be.AppendUint16(be.AppendUint32(b, 2), shard)
		b = be.AppendUint64(be.AppendUint32(b, 8), c.Batch.Header.Number)
		b = be.AppendUint32(be.AppendUint32(b, 4), uint32(i))
		b = be.AppendUint16(be.AppendUint32(b, 2), uint16(kind))
		if ref == (ledger.OrderRef{}) {
			const null = 0xffffffff
			b = be.AppendUint32(be.AppendUint32(b, null), null)
		} else {
			b = be.AppendUint64(be.AppendUint32(b, 8), uint64(ref.Payer))
			b = be.AppendUint64(be.AppendUint32(b, 8), ref.Sequence)
		}
		b = append(be.AppendUint32(b, uint32(len(e))), e...)
	}
	return be.AppendUint16(b, copyEnd)
}

// bookingRow encodes what the batch adds to balances for COPY, as one row of three
// arrays in the order of the accounts: the vault first, and the table's pages one
// after the other when it is booked.
func (c *Commit) bookingRow() []byte {
	slices.SortFunc(c.Deltas, func(a, b Delta) int { return cmp.Compare(a.Account, b.Account) })
	const fixed = 2 + (4 + 2) + (4 + 8)
	n := len(c.Deltas)
	be := binary.BigEndian
	b := append(make([]byte, 0, len(copyHeader)+fixed+3*(4+arraySize(n))+2), copyHeader...)
	b = be.AppendUint16(b, 5)
	b = be.AppendUint16(be.AppendUint32(b, 2), shard)
	b = be.AppendUint64(be.AppendUint32(b, 8), c.Batch.Header.Number)
	b = appendArray(b, n, func(i int) int64 { return int64(c.Deltas[i].Account) })
	b = appendArray(b, n, func(i int) int64 { return int64(c.Deltas[i].Amount) })
	b = appendArray(b, n, func(i int) int64 { return int64(c.Deltas[i].Balance) })
	return be.AppendUint16(b, copyEnd)
}

// arraySize is the length of n bigint in an array's binary form (PostgreSQL,
// array_send): dimensions, flags, type of elements, length, lower bound, and each
// element with its own length.
func arraySize(n int) int { return 5*4 + n*(4+8) }

func appendArray(b []byte, n int, at func(i int) int64) []byte {
	const dimensions, flags, int8Type, lowerBound = 1, 0, 20, 1
	be := binary.BigEndian
	for _, v := range []int{arraySize(n), dimensions, flags, int8Type, n, lowerBound} {
		b = be.AppendUint32(b, uint32(v))
	}
	for i := range n {
		b = be.AppendUint64(be.AppendUint32(b, 8), uint64(at(i)))
	}
	return b
}

// entryKind is the second byte of an entry's canonical bytes.
func entryKind(canonical []byte) ledger.Kind {
	if len(canonical) < 2 {
		return 0
	}
	return ledger.Kind(canonical[1])
}
