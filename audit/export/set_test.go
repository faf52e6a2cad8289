package export_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/ledger"
)

// What is read is what was written, from any batch on, whole or one by one.
func TestRoundTrip(t *testing.T) {
	b := history(t)
	journal := *b.Journal
	dir := write(t, t.TempDir(), b.Charter, journal)
	for from := range len(journal) + 2 {
		got, left, err := read(t, dir, uint64(from))
		if err != nil || left != "" {
			t.Fatalf("from %d: %v, left %q", from, err, left)
		}
		same(t, got, journal[min(max(from-1, 0), len(journal)):])
	}
	set, err := export.Open(dir)
	if err != nil || set.Charter() != b.Charter {
		t.Fatalf("charter %+v, %v", set.Charter(), err)
	}
	for _, want := range journal {
		got, err := set.Batch(t.Context(), want.Header.Number)
		if err != nil {
			t.Fatal(err)
		}
		same(t, audittest.Journal{got}, audittest.Journal{want})
	}
	if _, err := set.Batch(t.Context(), uint64(len(journal)+1)); !errors.Is(err, export.ErrNotFound) {
		t.Errorf("a batch beyond the end: %v", err)
	}
}

// However often an export is continued, and wherever its segments end, bytes that
// are there stay, and the set reads the same.
func TestContinueAppendsOnly(t *testing.T) {
	b := history(t)
	journal := *b.Journal
	dir := t.TempDir()
	before := map[string][]byte{}
	for n := range len(journal) + 1 {
		w, err := export.Continue(dir, b.Charter)
		if err != nil {
			t.Fatal(err)
		}
		w.SetLimit(600) // some batches fill a segment, some do not
		if w.Next() != uint64(max(n, 1)) {
			t.Fatalf("after %d batches the next is %d", n, w.Next())
		}
		if n > 0 {
			if err := w.Append(journal[n-1]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := export.Continue(dir, b.Charter); err == nil || !strings.Contains(err.Error(), "another export is at work") {
			t.Fatalf("a second writer: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		now := files(t, dir)
		for name, raw := range before {
			if !bytes.HasPrefix(now[name], raw) {
				t.Fatalf("batch %d changed what was in %s", n, name)
			}
		}
		before = now
		got, left, err := read(t, dir, 1)
		if err != nil || left != "" {
			t.Fatalf("%v, left %q", err, left)
		}
		same(t, got, journal[:n])
	}
	if segments := len(before) - 2; segments < 3 {
		t.Errorf("%d segments: the test wants some", segments)
	}
}

// A crash at any byte: what was counted is there, what was not is some whole
// batches, and the set is continued without changing a byte of it.
func TestCrashAtAnyByte(t *testing.T) {
	b := history(t)
	journal := *b.Journal
	const counted = 4
	first := files(t, write(t, t.TempDir(), b.Charter, journal[:counted]))
	whole := files(t, write(t, place(t, first), b.Charter, journal))
	const name = "batches-000001.seg"
	for end := len(first[name]); end < len(whole[name]); end += 1 + end%61 {
		crashed := maps.Clone(first)
		crashed[name] = whole[name][:end]
		if end%3 == 0 { // the index was being written, too
			crashed["index.jsonl"] = append(bytes.Clone(first["index.jsonl"]), whole["index.jsonl"][:len(first["index.jsonl"])/2]...)
		}
		dir := place(t, crashed)
		got, left, err := read(t, dir, 1)
		if err != nil || len(got) < counted || (left == "") != (len(got) == len(journal) || isWhole(t, whole[name], got, end, journal)) {
			t.Fatalf("cut at %d: %d batches, left %q, %v", end, len(got), left, err)
		}
		same(t, got, journal[:len(got)])
		write(t, dir, b.Charter, journal)
		for file, raw := range crashed {
			if now := files(t, dir)[file]; !bytes.HasPrefix(now, raw) {
				t.Fatalf("cut at %d: continuing changed %s", end, file)
			}
		}
		got, left, err = read(t, dir, 1)
		if err != nil || left != "" {
			t.Fatalf("cut at %d and continued: %v, left %q", end, err, left)
		}
		same(t, got, journal)
	}
}

// isWhole tells whether a file that was cut ends with a batch.
func isWhole(t *testing.T, whole []byte, got audittest.Journal, end int, journal audittest.Journal) bool {
	t.Helper()
	at := export.SegmentHeaderSize
	for _, b := range journal[:len(got)] {
		body, err := export.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		at += 8 + len(body)
	}
	return at == end && bytes.HasPrefix(whole, whole[:end])
}

// A crash before the first batch of a new segment leaves nothing that counts.
func TestCrashBeforeTheFirstBatch(t *testing.T) {
	b := history(t)
	journal := *b.Journal
	const counted = 3
	first := files(t, writeSmall(t, t.TempDir(), b.Charter, journal[:counted]))
	whole := files(t, writeSmall(t, place(t, first), b.Charter, journal))
	for _, size := range []int{0, 1, export.SegmentHeaderSize - 1, export.SegmentHeaderSize, export.SegmentHeaderSize + 9} {
		crashed := maps.Clone(first)
		crashed["batches-000004.seg"] = whole["batches-000004.seg"][:size]
		dir := place(t, crashed)
		for range 2 { // nothing is added: it must not lose its way
			got, left, err := read(t, dir, 1)
			if err != nil || (left == "") != (size == 0 || size == export.SegmentHeaderSize) {
				t.Fatalf("%d bytes: left %q, %v", size, left, err)
			}
			same(t, got, journal[:counted])
			writeSmall(t, dir, b.Charter, journal[:counted])
		}
		writeSmall(t, dir, b.Charter, journal)
		got, left, err := read(t, dir, 1)
		if err != nil || left != "" {
			t.Fatalf("%d bytes: left %q, %v", size, left, err)
		}
		same(t, got, journal)
	}
}

// Append takes nothing but the next batch of this history, as it was signed.
func TestAppendRefuses(t *testing.T) {
	b := history(t)
	journal := *b.Journal
	other := history(t)
	other.Pay(&audittest.Member{Key: audittest.Key("ann"), ID: ledger.FirstMember}, &audittest.Member{ID: ledger.FirstMember + 1}, 1)
	forged := *journal[1]
	forged.Entries = [][]byte{bytes.Clone(forged.Entries[0])}
	forged.Entries[0][90] ^= 1
	stranger := *journal[1]
	stranger.Header.Bank[0] ^= 1
	split := *journal[1]
	split.Header.Previous[0] ^= 1
	for name, tt := range map[string]struct {
		batch *ledger.Batch
		want  string
	}{
		"the one after the next": {journal[2], "batch 2 is next in the export, the journal gives batch 3"},
		"the one before":         {journal[0], "batch 2 is next in the export, the journal gives batch 1"},
		"another bank's":         {&stranger, "of bank"},
		"another history's":      {&split, "the journal is of another history"},
		"changed":                {&forged, "is not what the operator signed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := export.Continue(dir, b.Charter)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Append(journal[0]); err != nil {
				t.Fatal(err)
			}
			if err := w.Append(tt.batch); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, _, err := read(t, dir, 1)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, journal[:1])
		})
	}
	charter := b.Charter
	charter.Name = "another"
	if _, err := export.Continue(write(t, t.TempDir(), b.Charter, journal), charter); err == nil || !strings.Contains(err.Error(), "is an export of bank") {
		t.Errorf("another bank continues the set: %v", err)
	}
	if _, err := export.Continue(place(t, map[string][]byte{"letter.txt": nil}), b.Charter); err == nil || !strings.Contains(err.Error(), "not empty and no export") {
		t.Errorf("a folder with something else: %v", err)
	}
	if _, err := export.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is no export") {
		t.Errorf("an empty folder: %v", err)
	}
}
