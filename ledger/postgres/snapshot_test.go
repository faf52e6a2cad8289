package postgres_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// save stores bytes as the snapshot at the end of the newest batch.
func (b *bank) save(data []byte) error {
	return b.store.SaveSnapshot(b.t.Context(), b.epoch, b.state.Last(), func(w io.Writer) error {
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 400_001) // no divisor of a chunk
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
}

func (b *bank) snapshots() []postgres.Snapshot {
	b.t.Helper()
	list, err := b.store.Snapshots(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func (b *bank) chunks() (n int) {
	b.t.Helper()
	if err := b.connect().QueryRow(b.t.Context(), `select count(*) from snapshot_chunk`).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // the same in every run
	return data
}

func TestSnapshotsOfEverySize(t *testing.T) {
	b := openBank(t)
	b.fund()
	const chunk = 1 << 20
	for _, size := range []int{1, chunk - 1, chunk, chunk + 1, 3*chunk + 12345} {
		b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
		data := randomBytes(size)
		if err := b.save(data); err != nil {
			t.Fatal(err)
		}
		at := b.snapshots()[0]
		if at != (postgres.Snapshot{Batch: b.state.Last().Number, Head: b.state.Head(), Size: int64(size)}) {
			t.Errorf("the newest snapshot is %+v, it was taken at %d %s", at, b.state.Last().Number, b.state.Head())
		}
		got, err := b.store.ReadSnapshot(t.Context(), at.Batch)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes come back as %d bytes (%v)", size, len(got), err)
		}
	}
	if _, err := b.store.ReadSnapshot(t.Context(), 1); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("where no snapshot is: %v", err)
	}
}

// The new one and two before it stay; nothing is left of the others.
func TestOldSnapshotsGo(t *testing.T) {
	b := openBank(t)
	b.fund()
	for range 6 {
		b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
		if err := b.save([]byte("books")); err != nil {
			t.Fatal(err)
		}
	}
	var kept []uint64
	for _, at := range b.snapshots() {
		kept = append(kept, at.Batch)
	}
	if want := []uint64{8, 7, 6}; len(kept) != 3 || [3]uint64(kept) != [3]uint64(want) {
		t.Errorf("kept are the snapshots at batches %d, want %d", kept, want)
	}
	if n := b.chunks(); n != 3 {
		t.Errorf("%d chunks are left", n)
	}
}

// A process that dies between two chunks leaves nothing that could be taken for
// a snapshot, and what it leaves is removed.
func TestCrashBetweenChunks(t *testing.T) {
	b := openBank(t)
	b.fund()
	if err := b.save([]byte("the one before")); err != nil {
		t.Fatal(err)
	}
	b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
	died := errors.New("died")
	err := b.store.SaveSnapshot(t.Context(), b.epoch, b.state.Last(), func(w io.Writer) error {
		_, err := w.Write(randomBytes(5 << 19))
		return errors.Join(err, died)
	})
	if !errors.Is(err, died) {
		t.Fatal(err)
	}
	if list := b.snapshots(); len(list) != 1 || list[0].Batch != 2 {
		t.Errorf("the snapshots are %+v, want the one at batch 2", list)
	}
	if n := b.chunks(); n != 3 {
		t.Fatalf("%d chunks, want 1 of the snapshot before and 2 that were left", n)
	}
	if err := b.save([]byte("the next")); err != nil { // at the same batch
		t.Fatal(err)
	}
	if got, err := b.store.ReadSnapshot(t.Context(), 3); err != nil || string(got) != "the next" {
		t.Errorf("%q (%v)", got, err)
	}
	if n := b.chunks(); n != 2 {
		t.Errorf("%d chunks, want 2", n)
	}
}

func TestFencedWriterSavesNoSnapshot(t *testing.T) {
	b := openBank(t)
	b.fund()
	if _, err := b.store.TakeLease(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	if err := b.save([]byte("books")); !errors.Is(err, postgres.ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
	if list := b.snapshots(); len(list) != 0 {
		t.Errorf("the snapshots are %+v", list)
	}
}

func TestDatabaseRefusesSnapshots(t *testing.T) {
	b := openBank(t)
	b.fund()
	if err := b.save([]byte("books")); err != nil {
		t.Fatal(err)
	}
	b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
	b.exec(`insert into snapshot_chunk values (0, 3, 0, 'one'), (0, 3, 1, 'two'), (0, 4, 0, 'one')`)
	b.refuses([]refusal{
		{"nothing, when it is whole", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 3, 1, hash, 2, 6 from batch where number = 3`), ""},
		{"nothing, when all are removed", statement(`delete from snapshot`), ""},
		{"a chunk missing", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 3, 1, hash, 3, 6 from batch where number = 3`), broken},
		{"a chunk too many", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 3, 1, hash, 1, 6 from batch where number = 3`), broken},
		{"a byte missing", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 3, 1, hash, 2, 7 from batch where number = 3`), broken},
		{"a snapshot of another history", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 3, 1, hash, 2, 6 from batch where number = 2`), broken},
		{"a snapshot ahead of the journal", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 4, 1, hash, 1, 3 from batch where number = 3`), broken},
		{"a snapshot by an old writer", statement(`insert into snapshot (shard, batch, epoch, head, chunks, size)
			select 0, 3, 0, hash, 2, 6 from batch where number = 3`), fenced},
		{"a snapshot changed", statement(`update snapshot set size = size`), history},
		{"a chunk changed", statement(`update snapshot_chunk set bytes = 'other'`), history},
		{"a snapshot twice", statement(`insert into snapshot select * from snapshot`), unique},
	})
}

func (b *bank) exec(sql string) {
	b.t.Helper()
	if _, err := b.connect().Exec(b.t.Context(), sql); err != nil {
		b.t.Fatal(err)
	}
}

func TestHeadersWithoutEntries(t *testing.T) {
	b := openBank(t)
	b.fund()
	b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
	for last := range uint64(5) {
		h, _, err := ledger.VerifyHeaders(charter(), b.store.Headers(t.Context(), last))
		if err != nil || h.Number != min(last, 3) {
			t.Errorf("up to batch %d: the last header is %+v (%v)", last, h, err)
		}
	}
}

func TestHeaderHashes(t *testing.T) {
	b := openBank(t)
	b.fund()
	b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
	var want []ledger.Hash
	for h, err := range b.store.Headers(t.Context(), 3) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, h.Hash())
	}
	for _, tt := range []struct{ first, last uint64 }{{1, 3}, {2, 2}, {3, 9}, {4, 9}} {
		got, err := b.store.HeaderHashes(t.Context(), tt.first, tt.last)
		if err != nil || !slices.Equal(got, want[min(tt.first, 4)-1:min(tt.last, 3)]) {
			t.Errorf("batches %d to %d: %v, %v", tt.first, tt.last, got, err)
		}
	}
}
