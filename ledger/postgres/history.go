package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// Movement is one line of an account's history.
type Movement struct {
	Cursor       // its place, unique within the account
	Account      ledger.AccountID
	Counterparty ledger.AccountID
	Amount       ledger.Amount // above zero came in, below zero went out
	Kind         ledger.Kind   // of the order or event that moved it
	Sequence     uint64        // of the payer's order; 0 for an event
	Reference    []byte        // of a transfer; the payer's free bytes
	UnixMilli    uint64        // the operator's clock when the batch was made
}

// Cursor is a place in an account's history. The zero Cursor is after the
// newest movement.
type Cursor struct {
	Batch uint64
	Index uint32 // of the entry in the batch
	Line  uint32 // of the posting in the entry
}

// MaxHistory is the most movements that one call of History returns.
const MaxHistory = 1000

// History returns the movements of an account before a place in its history,
// newest first, at most limit. It shows what Project has seen, which may lag a
// moment behind what is accepted.
func (s *Store) History(ctx context.Context, account ledger.AccountID, before Cursor, limit int) ([]Movement, error) {
	const newest = 1<<63 - 1
	if before == (Cursor{}) {
		before.Batch = newest
	}
	rows, err := s.reads.Query(ctx, `
		select m.batch, m.idx, m.line, m.account, m.counterparty, m.amount, e.bytes, b.header
		from (select * from movement where shard = $1 and account = $2 and (batch, idx, line) < ($3, $4, $5)
			order by batch desc, idx desc, line desc limit $6) m
		join entry e on e.shard = m.shard and e.batch = m.batch and e.idx = m.idx
		join batch b on b.shard = m.shard and b.number = m.batch
		order by m.batch desc, m.idx desc, m.line desc`,
		shard, int64(account), int64(before.Batch), int64(before.Index), int64(before.Line), min(max(limit, 0), MaxHistory))
	if err != nil {
		return nil, fmt.Errorf("read the history of account %s: %w", account, err)
	}
	movements, err := pgx.CollectRows(rows, scanMovement)
	if err != nil {
		return nil, fmt.Errorf("read the history of account %s: %w", account, err)
	}
	return movements, nil
}

func scanMovement(row pgx.CollectableRow) (Movement, error) {
	var m Movement
	var canonical, signed []byte
	if err := row.Scan(&m.Batch, &m.Index, &m.Line, &m.Account, &m.Counterparty, &m.Amount, &canonical, &signed); err != nil {
		return m, err
	}
	header, err := ledger.DecodeSignedHeader(signed)
	if err != nil {
		return m, err
	}
	entry, err := ledger.DecodeEntry(canonical)
	if err != nil {
		return m, err
	}
	m.UnixMilli, m.Kind = header.Time, entry.Kind()
	if entry.Order != nil {
		m.Sequence = entry.Order.Sequence
		if t, ok := entry.Order.Body.(*ledger.Transfer); ok {
			m.Reference = t.Reference
		}
	}
	return m, nil
}

// PostingEntry is an entry of the journal that posts a settlement.
type PostingEntry struct {
	Batch uint64
	Index uint32
	Bytes []byte // the entry's canonical bytes
}

// PostingAfter returns the first posting of a settlement from a batch on. Error:
// ErrNotFound.
func (s *Store) PostingAfter(ctx context.Context, batch uint64) (*PostingEntry, error) {
	rows, err := s.reads.Query(ctx, `select batch, idx, bytes from entry where shard = $1 and batch >= $2 and kind = `+
		strconv.Itoa(int(ledger.KindSettled))+` order by batch, idx limit 1`, shard, int64(batch)) // a parameter would not find the index
	if err != nil {
		return nil, fmt.Errorf("look for the posting after batch %d: %w", batch, err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[PostingEntry])
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("look for the posting after batch %d: %w", batch, err)
	}
	return p, nil
}

// Taken is an entry of the journal that moved something out of an account.
type Taken struct {
	Batch   uint64
	Index   uint32
	Bytes   []byte  // the entry's canonical bytes
	Amounts []int64 // satoshis that it took, posting by posting
}

// CutsOf returns the cuts from a batch on that took withdrawals of an account, in
// order. Unlike History it does not lag: a withdrawal that is not among them was never
// taken.
func (s *Store) CutsOf(ctx context.Context, account ledger.AccountID, from uint64) ([]Taken, error) {
	rows, err := s.reads.Query(ctx, `
		select p.batch, p.idx, e.bytes, array_agg(p.amount order by p.line)
		from event_posting p join entry e on e.shard = p.shard and e.batch = p.batch and e.idx = p.idx
		where p.shard = $1 and p.debit = $2 and p.batch >= $3 and e.kind = $4 and p.credit = `+
		strconv.Itoa(int(ledger.WithdrawalsPending))+` group by p.batch, p.idx, e.bytes order by p.batch, p.idx`, // as in PostingAfter
		shard, int64(account), int64(from), int16(ledger.KindCut))
	if err != nil {
		return nil, fmt.Errorf("read the cuts of account %s: %w", account, err)
	}
	cuts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Taken])
	if err != nil {
		return nil, fmt.Errorf("read the cuts of account %s: %w", account, err)
	}
	return cuts, nil
}
