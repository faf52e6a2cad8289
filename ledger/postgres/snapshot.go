package postgres

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daobank/daobank/ledger"
)

const (
	// snapshotChunk is how many bytes of a snapshot are written in one Tx. A
	// commit that comes meanwhile waits for that much more to reach the disk.
	snapshotChunk = 1 << 20
	// snapshotsKept is how many stay when a new one is written. The second is
	// for the case that the newest is damaged.
	snapshotsKept = 2
)

// Snapshot says where the books stood when a stored snapshot was taken.
type Snapshot struct {
	Batch uint64      // at whose end
	Head  ledger.Hash // hash of that batch's header
	Size  int64       // bytes
}

// SaveSnapshot stores what encode writes as the snapshot at the end of the batch
// with this header, which must be committed. It is visible when it is whole; one
// that is cut short is removed by the next. Only the newest few are kept. It may
// run beside commits and never keeps one waiting for long.
//
// Errors: ErrFenced; encode's own.
func (s *Store) SaveSnapshot(ctx context.Context, epoch uint64, at ledger.Header, encode func(io.Writer) error) error {
	fail := func(err error) error {
		return fmt.Errorf("save the snapshot at batch %d: %w", at.Number, classify(err))
	}
	if err := s.sweepSnapshots(ctx); err != nil {
		return fail(err)
	}
	w := &chunkWriter{ctx: ctx, store: s, batch: at.Number, pending: make([]byte, 0, snapshotChunk)}
	if err := encode(w); err != nil {
		return fail(err)
	}
	if err := w.flush(); err != nil {
		return fail(err)
	}
	head := at.Hash()
	_, err := s.writes.Exec(ctx, `insert into snapshot (shard, batch, epoch, head, chunks, size) values ($1, $2, $3, $4, $5, $6)`,
		shard, int64(at.Number), int64(epoch), head[:], w.chunks, w.size)
	if err != nil {
		return fail(err)
	}
	return nil
}

// sweepSnapshots removes old snapshots and what is left of unfinished ones.
func (s *Store) sweepSnapshots(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.writes, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `delete from snapshot where shard = $1 and batch not in (
			select batch from snapshot where shard = $1 order by batch desc limit $2)`, shard, snapshotsKept)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `delete from snapshot_chunk c where shard = $1 and not exists (
			select from snapshot s where s.shard = c.shard and s.batch = c.batch)`, shard)
		return err
	})
}

// A chunkWriter stores what is written to it, a chunk at a time.
type chunkWriter struct {
	ctx     context.Context // of the one call of SaveSnapshot
	store   *Store
	batch   uint64
	pending []byte
	chunks  int32
	size    int64
}

// Write implements io.Writer.
func (w *chunkWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), snapshotChunk-len(w.pending))
		w.pending, rest = append(w.pending, rest[:n]...), rest[n:]
		if len(w.pending) == snapshotChunk {
			if err := w.flush(); err != nil {
				return len(p) - len(rest), err
			}
		}
	}
	return len(p), nil
}

func (w *chunkWriter) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	_, err := w.store.writes.Exec(w.ctx, `insert into snapshot_chunk (shard, batch, idx, bytes) values ($1, $2, $3, $4)`,
		shard, int64(w.batch), w.chunks, w.pending)
	w.chunks, w.size, w.pending = w.chunks+1, w.size+int64(len(w.pending)), w.pending[:0]
	return err
}

// Snapshots lists the stored snapshots that are whole, newest first.
func (s *Store) Snapshots(ctx context.Context) ([]Snapshot, error) {
	rows, err := s.reads.Query(ctx, `select batch, head, size from snapshot where shard = $1 order by batch desc`, shard)
	if err != nil {
		return nil, fmt.Errorf("list the snapshots: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (at Snapshot, err error) {
		var head []byte
		err = row.Scan(&at.Batch, &head, &at.Size)
		copy(at.Head[:], head)
		return at, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the snapshots: %w", err)
	}
	return list, nil
}

// ReadSnapshot returns the bytes of the snapshot at a batch, whatever they are
// now: ledger.DecodeSnapshot judges them. Error: ErrNotFound when there are none.
func (s *Store) ReadSnapshot(ctx context.Context, batch uint64) ([]byte, error) {
	data, err := s.readSnapshot(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot at batch %d: %w", batch, err)
	}
	return data, nil
}

func (s *Store) readSnapshot(ctx context.Context, batch uint64) ([]byte, error) {
	var data []byte
	err := pgx.BeginTxFunc(ctx, s.reads, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// The size of what is there, so that the memory is taken once.
		var size int64
		err := tx.QueryRow(ctx, `select coalesce(sum(octet_length(bytes)), 0) from snapshot_chunk where shard = $1 and batch = $2`,
			shard, int64(batch)).Scan(&size)
		if err != nil {
			return err
		}
		if size == 0 {
			return ErrNotFound
		}
		data = make([]byte, 0, size)
		rows, err := tx.Query(ctx, `select bytes from snapshot_chunk where shard = $1 and batch = $2 order by idx`, shard, int64(batch))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var chunk pgtype.DriverBytes // the driver's own, until the next row
			if err := rows.Scan(&chunk); err != nil {
				return err
			}
			data = append(data, chunk...)
		}
		return rows.Err()
	})
	return data, err
}

// Headers yields the signed headers of the batches from the first to number last,
// in order, without their entries. It stops after the first error.
func (s *Store) Headers(ctx context.Context, last uint64) iter.Seq2[ledger.SignedHeader, error] {
	return func(yield func(ledger.SignedHeader, error) bool) {
		fail := func(err error) { yield(ledger.SignedHeader{}, fmt.Errorf("read the headers: %w", err)) }
		rows, err := s.reads.Query(ctx, `select header from batch where shard = $1 and number <= $2 order by number`, shard, int64(last))
		if err != nil {
			fail(err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var text pgtype.DriverBytes // the driver's own, until the next row
			if err := rows.Scan(&text); err != nil {
				fail(err)
				return
			}
			h, err := ledger.DecodeSignedHeader(text)
			if err != nil {
				fail(err)
				return
			}
			if !yield(h, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			fail(err)
		}
	}
}
