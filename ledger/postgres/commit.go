package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

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
// Canceling ctx while the batch is on its way makes it ambiguous.
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
	if err := copyTogether(ctx, conn.Conn().PgConn(), c.tables()); err != nil {
		return fmt.Errorf("commit batch %d: %w", number, err)
	}
	return nil
}

// tables are all rows of the batch. The header comes first: its trigger fences an
// old writer before anything else is looked at.
func (c *Commit) tables() []*copyTable {
	tables := []*copyTable{c.headerRow(), c.entryRows()}
	if len(c.Deltas) > 0 {
		tables = append(tables, c.bookingRow())
	}
	if len(c.Opened) > 0 {
		tables = append(tables, c.accountRows())
	}
	if len(c.Postings) > 0 {
		tables = append(tables, c.postingRows())
	}
	return tables
}

func (c *Commit) number() int64 { return int64(c.Batch.Header.Number) }

func (c *Commit) headerRow() *copyTable {
	h := &c.Batch.Header
	t := copyInto("batch (shard, number, epoch, count, previous, header)", 512)
	t.row(6)
	t.int2(shard)
	t.int8(c.number())
	t.int8(int64(h.Epoch))
	t.int4(int32(h.Count))
	t.bytes(h.Previous[:])
	t.bytes(h.Bytes())
	return t
}

// entryRows are nearly all bytes of a commit, so they are written once and straight,
// without a driver's reflection.
func (c *Commit) entryRows() *copyTable {
	const fixed = 2 + (4 + 2) + (4 + 8) + (4 + 4) + (4 + 2) + (4 + 8) + (4 + 8) + 4
	size := fixed * len(c.Batch.Entries)
	for _, e := range c.Batch.Entries {
		size += len(e)
	}
	t := copyInto("entry (shard, batch, idx, kind, payer, sequence, bytes)", size)
	for i, e := range c.Batch.Entries {
		t.row(7)
		t.int2(shard)
		t.int8(c.number())
		t.int4(int32(i))
		t.int2(int16(entryKind(e)))
		if ref := c.Refs[i]; ref == (ledger.OrderRef{}) {
			t.null()
			t.null()
		} else {
			t.int8(int64(ref.Payer))
			t.int8(int64(ref.Sequence))
		}
		t.bytes(e)
	}
	return t
}

// bookingRow is what the batch adds to balances, as one row of three arrays in the
// order of the accounts: the vault first, and the table's pages one after the other
// when it is booked.
func (c *Commit) bookingRow() *copyTable {
	slices.SortFunc(c.Deltas, func(a, b Delta) int { return cmp.Compare(a.Account, b.Account) })
	n := len(c.Deltas)
	t := copyInto("booking (shard, batch, accounts, amounts, balances)", 64+3*arraySize(n))
	t.row(5)
	t.int2(shard)
	t.int8(c.number())
	t.int8s(n, func(i int) int64 { return int64(c.Deltas[i].Account) })
	t.int8s(n, func(i int) int64 { return int64(c.Deltas[i].Amount) })
	t.int8s(n, func(i int) int64 { return int64(c.Deltas[i].Balance) })
	return t
}

func (c *Commit) accountRows() *copyTable {
	t := copyInto("account (shard, id, key, balance, last_batch)", 80*len(c.Opened))
	for i := range c.Opened {
		t.row(5)
		t.int2(shard)
		t.int8(int64(c.Opened[i].ID))
		t.bytes(c.Opened[i].Key[:])
		t.int8(0)
		t.int8(0)
	}
	return t
}

func (c *Commit) postingRows() *copyTable {
	t := copyInto("event_posting (shard, batch, idx, line, debit, credit, amount)", 80*len(c.Postings))
	for _, p := range c.Postings {
		t.row(7)
		t.int2(shard)
		t.int8(c.number())
		t.int4(int32(p.Index))
		t.int4(int32(p.Line))
		t.int8(int64(p.Debit))
		t.int8(int64(p.Credit))
		t.int8(int64(p.Amount))
	}
	return t
}

// entryKind is the second byte of an entry's canonical bytes.
func entryKind(canonical []byte) ledger.Kind {
	if len(canonical) < 2 {
		return 0
	}
	return ledger.Kind(canonical[1])
}
