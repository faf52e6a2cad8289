package export

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
)

// segmentSize is the size at which a segment is finished and the next begun.
const segmentSize = 64 << 20

// A Writer adds batches to a set. It is not safe for concurrent use; a second one on
// the same directory is refused.
type Writer struct {
	dir     string
	charter ledger.Charter
	lock    *os.File
	limit   int64 // of a segment

	segments int // files there are
	at       chainEnd
	line     line // of the segment that is being written; no file for none
	file     *os.File
	out      *bufio.Writer
	closed   bool
}

// Continue opens the set in a directory to add to it, and makes it if there is none.
// What is there is read and followed first. Errors: *DamageError; another bank's set.
func Continue(dir string, charter ledger.Charter) (_ *Writer, err error) {
	if err := charter.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, charter: charter, limit: segmentSize, at: chainEnd{next: 1, head: ledger.Hash(charter.ID())}}
	if w.lock, err = os.Open(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.lock.Close())
		}
	}()
	if err := syscall.Flock(int(w.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%s: another export is at work there: %w", dir, err)
	}
	d, err := readDescription(dir)
	if _, missing := os.Stat(filepath.Join(dir, descriptionName)); errors.Is(missing, fs.ErrNotExist) {
		return w, w.describe()
	}
	if err != nil {
		return nil, err
	}
	if d.Bank != charter.ID() {
		return nil, fmt.Errorf("%s is an export of bank %s, not of %s", dir, d.Bank, charter.ID())
	}
	return w, w.followSet()
}

// describe begins a set.
func (w *Writer) describe() error {
	listed, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(listed, func(e fs.DirEntry) bool { return e.Name()[0] != '.' }) {
		return fmt.Errorf("%s is not empty and no export: give an empty directory", w.dir)
	}
	raw, err := json.MarshalIndent(description{Format: formatName, Version: formatVersion, About: about, Bank: w.charter.ID(), Charter: w.charter}, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.WriteNew(filepath.Join(w.dir, descriptionName), append(raw, '\n'), 0o644)
}

// followSet finds the end of what is there. A segment that a crash left unfinished
// is counted as far as it is whole, and never touched again.
func (w *Writer) followSet() error {
	s, err := Open(w.dir)
	if err != nil {
		return err
	}
	w.segments = len(s.segments)
	for i := range s.segments {
		g := &s.segments[i]
		last := i == len(s.segments)-1
		if !last && g.Last > 0 {
			w.at = chainEnd{next: g.Last + 1, head: g.Head}
			continue
		}
		found := line{File: g.File}
		left, err := s.readSegment(g, &w.at, last, func(r *record) bool {
			if found.First == 0 {
				found.First, found.Bytes = r.header.Number, r.offset
			}
			found.Last, found.Head = r.header.Number, r.header.Header.Hash()
			found.Bytes = r.offset + recordHeaderSize + int64(len(r.body))
			return true
		})
		if err != nil {
			return err
		}
		if !last {
			continue
		}
		if left == "" && found.Last > 0 {
			return w.reopen(found)
		}
		return w.addLine(found)
	}
	return nil
}

// reopen goes on in a segment that is whole.
func (w *Writer) reopen(l line) (err error) {
	if w.file, err = os.OpenFile(filepath.Join(w.dir, l.File), os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return err
	}
	w.line, w.out = l, bufio.NewWriterSize(w.file, 1<<20)
	return nil
}

// Next is the number of the batch that is to be added next.
func (w *Writer) Next() uint64 { return w.at.next }

// Append adds the next batch. Errors: *ledger.TamperedError when it is not what the
// operator signed; any other when it does not follow or cannot be written.
func (w *Writer) Append(batch *ledger.Batch) error {
	h := &batch.Header
	switch {
	case h.Number != w.at.next:
		return fmt.Errorf("batch %d is next in the export, the journal gives batch %d", w.at.next, h.Number)
	case h.Bank != w.charter.ID():
		return fmt.Errorf("batch %d is of bank %s, the export of %s", h.Number, h.Bank, w.charter.ID())
	case h.Previous != w.at.head:
		return fmt.Errorf("batch %d follows the header %s, batch %d of the export has %s: the journal is of another history than the export", h.Number, h.Previous, w.at.next-1, w.at.head)
	}
	if err := batch.Verify(w.charter.Operator); err != nil {
		return err
	}
	body, err := encode(batch)
	if err != nil {
		return err
	}
	if w.file != nil && w.line.Bytes >= w.limit {
		if err := w.finish(); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(body, castagnoli))
	if _, err := w.out.Write(append(head, body...)); err != nil {
		return err
	}
	w.at = chainEnd{next: h.Number + 1, head: h.Header.Hash()}
	if w.line.First == 0 {
		w.line.First = h.Number
	}
	w.line.Last, w.line.Head = h.Number, w.at.head
	w.line.Bytes += recordHeaderSize + int64(len(body))
	return nil
}

// begin makes the next segment.
func (w *Writer) begin() (err error) {
	w.segments++
	w.line = line{File: segmentName(w.segments)}
	path := filepath.Join(w.dir, w.line.File)
	if w.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return err
	}
	w.out = bufio.NewWriterSize(w.file, 1<<20)
	n, err := w.out.Write(segmentHeader(w.charter.ID(), w.at.next, w.at.head))
	w.line.Bytes = int64(n)
	return err
}

// finish makes the segment durable, and then counts it.
func (w *Writer) finish() error {
	if w.file == nil {
		return nil
	}
	file := w.file
	w.file = nil
	if err := errors.Join(w.out.Flush(), file.Sync()); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := errors.Join(file.Close(), keyfile.SyncDir(w.dir)); err != nil {
		return err
	}
	return w.addLine(w.line)
}

// addLine appends a line to the index, unless it says nothing new.
func (w *Writer) addLine(l line) error {
	lines, half, err := readIndex(w.dir)
	if err != nil {
		return err
	}
	if n := len(lines); n > 0 && lines[n-1] == l {
		return nil
	}
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if half {
		raw = append([]byte("\n"), raw...)
	}
	index, err := os.OpenFile(filepath.Join(w.dir, indexName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = index.Write(append(raw, '\n'))
	if err = errors.Join(err, index.Sync(), index.Close()); err != nil {
		return err
	}
	return keyfile.SyncDir(w.dir)
}

// Close makes everything durable and lets another export work.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	return errors.Join(w.finish(), w.lock.Close())
}
