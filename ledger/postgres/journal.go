package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// How much of the journal one query reads: enough to keep the reader busy,
// little enough to hold.
const (
	chunkHeaders = 1000
	chunkEntries = 8192
)

// Batches yields the journal from batch number from on (the first is 1), in
// order. It reads in chunks, so a reader may be slow; batches committed while
// it reads are yielded too. It stops after the first error.
func (s *Store) Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		for next := max(from, 1); ; {
			chunk, err := s.chunk(ctx, next)
			if err != nil {
				yield(nil, fmt.Errorf("read the journal from batch %d: %w", next, err))
				return
			}
			if len(chunk) == 0 {
				return
			}
			for _, b := range chunk {
				if !yield(b, nil) {
					return
				}
			}
			next = chunk[len(chunk)-1].Header.Number + 1
		}
	}
}

// chunk reads the next batches that together have no more than chunkEntries
// entries, but at least one batch if there is one.
func (s *Store) chunk(ctx context.Context, from uint64) ([]*ledger.Batch, error) {
	batches, err := s.headers(ctx, from, chunkHeaders)
	if err != nil || len(batches) == 0 {
		return nil, err
	}
	entries, n := 0, 0
	for _, b := range batches {
		if entries += int(b.Header.Count); n > 0 && entries > chunkEntries {
			break
		}
		n++
	}
	batches = batches[:n]
	return batches, s.fill(ctx, batches)
}

// headers reads signed headers in the order of their numbers.
func (s *Store) headers(ctx context.Context, from uint64, limit int) ([]*ledger.Batch, error) {
	rows, err := s.reads.Query(ctx, `select header from batch where shard = $1 and number >= $2 order by number limit $3`, shard, int64(from), limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*ledger.Batch, error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return nil, err
		}
		header, err := ledger.DecodeSignedHeader(text)
		if err != nil {
			return nil, err
		}
		return &ledger.Batch{Header: header}, nil
	})
}

// fill reads the entries of batches, which are in order. It does not judge what
// a tampered journal holds or lacks: whoever replays it does.
func (s *Store) fill(ctx context.Context, batches []*ledger.Batch) error {
	first, last := batches[0].Header.Number, batches[len(batches)-1].Header.Number
	rows, err := s.reads.Query(ctx, `select batch, bytes from entry where shard = $1 and batch between $2 and $3 order by batch, idx`,
		shard, int64(first), int64(last))
	if err != nil {
		return err
	}
	var number uint64
	var canonical []byte
	_, err = pgx.ForEachRow(rows, []any{&number, &canonical}, func() error {
		for batches[0].Header.Number < number {
			batches = batches[1:]
		}
		if b := batches[0]; b.Header.Number == number {
			b.Entries = append(b.Entries, slices.Clone(canonical))
		}
		return nil
	})
	return err
}

// Batch returns one batch. Error: ErrNotFound.
func (s *Store) Batch(ctx context.Context, number uint64) (*ledger.Batch, error) {
	header, err := s.Header(ctx, number)
	if err != nil {
		return nil, err
	}
	b := &ledger.Batch{Header: header}
	if err := s.fill(ctx, []*ledger.Batch{b}); err != nil {
		return nil, fmt.Errorf("read batch %d: %w", number, err)
	}
	return b, nil
}

// Header returns the signed header of one batch. Error: ErrNotFound.
func (s *Store) Header(ctx context.Context, number uint64) (ledger.SignedHeader, error) {
	var text []byte
	err := s.reads.QueryRow(ctx, `select header from batch where shard = $1 and number = $2`, shard, int64(number)).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.SignedHeader{}, fmt.Errorf("batch %d: %w", number, ErrNotFound)
	}
	if err != nil {
		return ledger.SignedHeader{}, fmt.Errorf("read the header of batch %d: %w", number, err)
	}
	return ledger.DecodeSignedHeader(text)
}

// HeaderHashes returns the hashes of the headers of the batches from first to last.
// Those that are not there yet are left out.
func (s *Store) HeaderHashes(ctx context.Context, first, last uint64) ([]ledger.Hash, error) {
	rows, err := s.reads.Query(ctx, `select hash from batch where shard = $1 and number between $2 and $3 order by number`, shard, int64(first), int64(last))
	var list []ledger.Hash
	var hash []byte
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&hash}, func() error {
			list = append(list, ledger.Hash(hash))
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the hashes of batches %d to %d: %w", first, last, err)
	}
	return list, nil
}

// LastBatch returns the number of the newest batch, 0 before the first.
func (s *Store) LastBatch(ctx context.Context) (uint64, error) {
	var number uint64
	err := s.reads.QueryRow(ctx, `select coalesce(max(number), 0) from batch where shard = $1`, shard).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("read the newest batch: %w", err)
	}
	return number, nil
}

// FindOrder returns the place of an accepted order. An account's Open has the
// account as payer and sequence 0. Error: ErrNotFound.
func (s *Store) FindOrder(ctx context.Context, ref ledger.OrderRef) (batch uint64, index int, err error) {
	err = s.reads.QueryRow(ctx, `select batch, idx from entry where shard = $1 and payer = $2 and sequence = $3`,
		shard, int64(ref.Payer), int64(ref.Sequence)).Scan(&batch, &index)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, fmt.Errorf("order %s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("find order %s: %w", ref, err)
	}
	return batch, index, nil
}
