package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/daobank/daobank/ahead"
	"github.com/daobank/daobank/ledger"
)

// Names in a set's directory.
const (
	descriptionName = "export.json"
	indexName       = "index.jsonl"
)

func segmentName(number int) string { return fmt.Sprintf("batches-%06d.seg", number) }

const (
	formatName    = "daobank export"
	formatVersion = 1
)

// description is what export.json says.
type description struct {
	Format  string         `json:"format"`
	Version int            `json:"version"`
	About   string         `json:"about"`
	Bank    ledger.BankID  `json:"bank"`
	Charter ledger.Charter `json:"charter"`
}

const about = "The journal of a bank, batch by batch. docs/formats.md of github.com/daobank/daobank says every byte; daobank audit --export reads it."

// line is one line of the index: how far a segment was when an export ended or
// left it. Of several lines for one file the last counts.
type line struct {
	File  string      `json:"file"`
	First uint64      `json:"first"` // batch; 0 when it holds none
	Last  uint64      `json:"last"`
	Bytes int64       `json:"bytes"`
	Head  ledger.Hash `json:"head"` // hash of the last batch's header
}

// DamageError says that a set is not what an export has written. It proves nothing
// for or against the bank: get another copy.
type DamageError struct {
	File   string
	Offset int64 // of the record; -1 where none is meant
	Reason string
	Err    error // why, where something else said so
}

func (e *DamageError) Error() string {
	text := "export file " + e.File
	if e.Offset >= 0 {
		text += fmt.Sprintf(", byte %d", e.Offset)
	}
	if text += ": " + e.Reason; e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *DamageError) Unwrap() error { return e.Err }

func damaged(file string, offset int64, format string, args ...any) *DamageError {
	return &DamageError{File: file, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// A Set is an export that is read. It is safe for concurrent use.
type Set struct {
	dir      string
	charter  ledger.Charter
	bank     ledger.BankID
	segments []segment
	left     atomic.Pointer[string]
}

// segment is one file of a set and what the index says of it.
type segment struct {
	line
	end int64 // bytes that count
}

// Open finds the files of a set and compares their sizes with the index. Error:
// *DamageError, or the file system's.
func Open(dir string) (*Set, error) {
	d, err := readDescription(dir)
	if err != nil {
		return nil, err
	}
	s := &Set{dir: dir, charter: d.Charter, bank: d.Charter.ID()}
	lines, _, err := readIndex(dir)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if n := len(s.segments); n > 0 && s.segments[n-1].File == l.File {
			s.segments[n-1].line = l
			continue
		}
		s.segments = append(s.segments, segment{line: l})
	}
	return s, s.findFiles()
}

// Charter is the charter that the set says its bank has. Whoever checks the bank
// compares its id with the one that they know.
func (s *Set) Charter() ledger.Charter { return s.charter }

// Left says what a crashed export left at the end, which is passed over; "" for
// nothing. It is known when Batches has come to the end.
func (s *Set) Left() string {
	if left := s.left.Load(); left != nil {
		return *left
	}
	return ""
}

func readDescription(dir string) (d description, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, descriptionName))
	if errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("%s is no export: it has no %s", dir, descriptionName)
	}
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, &DamageError{File: descriptionName, Offset: -1, Reason: "it cannot be read", Err: err}
	}
	switch {
	case d.Format != formatName || d.Version != formatVersion:
		return d, damaged(descriptionName, -1, "it is %q version %d; this program reads %q version %d", d.Format, d.Version, formatName, formatVersion)
	case d.Charter.Validate() != nil || d.Charter.ID() != d.Bank:
		return d, damaged(descriptionName, -1, "its charter is not that of bank %s", d.Bank)
	}
	return d, nil
}

// readIndex reads the lines of the index; none of a set whose first export crashed.
// Half a line is what a crash leaves, and was never counted; half says that there is
// one at the end.
func readIndex(dir string) (lines []line, half bool, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	for raw := range bytes.Lines(raw) {
		var l line
		if json.Unmarshal(raw, &l) != nil {
			continue
		}
		if n := len(lines); n > 0 && lines[n-1].File == l.File && (l.Bytes < lines[n-1].Bytes || l.Last < lines[n-1].Last) {
			return nil, false, damaged(indexName, -1, "line %d takes back what the line before says", n+1)
		}
		lines = append(lines, l)
	}
	return lines, len(raw) > 0 && raw[len(raw)-1] != '\n', nil
}

// findFiles compares the directory with the index.
func (s *Set) findFiles() error {
	listed, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	sizes := make(map[string]int64)
	for _, entry := range listed {
		if strings.HasSuffix(entry.Name(), ".seg") {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			sizes[entry.Name()] = info.Size()
		}
	}
	for i := range s.segments {
		g := &s.segments[i]
		size, ok := sizes[g.File]
		delete(sizes, g.File)
		switch {
		case g.File != segmentName(i+1):
			return damaged(segmentName(i+1), -1, "the index has %s in its place", g.File)
		case !ok:
			return damaged(g.File, -1, "it is missing: the index says that it has batches %d to %d", g.First, g.Last)
		case size < g.Bytes:
			return damaged(g.File, size, "it ends here, and the index counts %d bytes of it: it was cut short", g.Bytes)
		}
		if g.end = g.Bytes; i == len(s.segments)-1 {
			g.end = size
		}
	}
	// A crash can leave one more file, with whole batches in it or not.
	next := segmentName(len(s.segments) + 1)
	if size, ok := sizes[next]; ok {
		delete(sizes, next)
		if n := len(s.segments); n > 0 {
			s.segments[n-1].end = s.segments[n-1].Bytes
		}
		s.segments = append(s.segments, segment{line: line{File: next}, end: size})
	}
	for name := range sizes {
		return damaged(name, -1, "the index does not know it, and it does not follow the last file: a file of the set is missing, or it is of another")
	}
	return nil
}

// Segment files begin with a mark, a version, the bank, the number of their first
// batch, the hash of the header before it, and the checksum of all that.
const (
	segmentMark       = "DAOJ"
	segmentHeaderSize = 4 + 1 + 32 + 8 + 32 + 4
	recordHeaderSize  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func segmentHeader(bank ledger.BankID, first uint64, previous ledger.Hash) []byte {
	b := append([]byte(segmentMark), formatVersion)
	b = append(b, bank[:]...)
	b = binary.BigEndian.AppendUint64(b, first)
	b = append(b, previous[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// record is what a segment holds of one batch.
type record struct {
	file   string
	offset int64 // of the record
	header ledger.SignedHeader
	body   []byte
}

func (r *record) batch(bank ledger.BankID) (*ledger.Batch, error) {
	b, err := decode(bank, r.body)
	if err != nil {
		return nil, &DamageError{File: r.file, Offset: r.offset, Reason: fmt.Sprintf("batch %d", r.header.Number), Err: err}
	}
	return b, nil
}

// batchesAhead is how many batches are unpacked before they are asked for.
const batchesAhead = 8

// Batches yields the batches from a number on, in order, unpacked on all cores. The
// last error is a *DamageError, the file system's or the context's.
func (s *Set) Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	source := func(ctx context.Context) iter.Seq2[*record, error] { return s.records(ctx, max(from, 1)) }
	return ahead.Map(ctx, runtime.GOMAXPROCS(0), batchesAhead, source, func(r *record) (*ledger.Batch, error) { return r.batch(s.bank) })
}

// All is Batches from the first on.
func (s *Set) All(ctx context.Context) iter.Seq2[*ledger.Batch, error] { return s.Batches(ctx, 1) }

// ErrNotFound says that a set does not reach a batch.
var ErrNotFound = errors.New("the export does not have the batch")

// Batch returns one batch, checked against the operator's key alone. Errors besides
// those of Batches: ErrNotFound, *ledger.TamperedError.
func (s *Set) Batch(ctx context.Context, number uint64) (*ledger.Batch, error) {
	for r, err := range s.records(ctx, number) {
		if err != nil {
			return nil, err
		}
		b, err := r.batch(s.bank)
		if err != nil {
			return nil, err
		}
		return b, b.Verify(s.charter.Operator)
	}
	return nil, fmt.Errorf("batch %d: %w", number, ErrNotFound)
}

// records yields the records from a batch on.
func (s *Set) records(ctx context.Context, from uint64) iter.Seq2[*record, error] {
	return func(yield func(*record, error) bool) {
		at := chainEnd{next: 1, head: ledger.Hash(s.bank)}
		for i := range s.segments {
			g := &s.segments[i]
			if g.Last > 0 && g.Last < from && i < len(s.segments)-1 {
				at = chainEnd{next: g.Last + 1, head: g.Head} // the next file's header says the same, or is wrong
				continue
			}
			last := i == len(s.segments)-1
			left, err := s.readSegment(g, &at, last, func(r *record) bool {
				return ctx.Err() == nil && (r.header.Number < from || yield(r, nil))
			})
			switch {
			case errors.Is(err, errStopped) && ctx.Err() == nil:
				return
			case ctx.Err() != nil:
				yield(nil, ctx.Err())
				return
			case err != nil:
				yield(nil, err)
				return
			}
			if last {
				s.left.Store(&left)
			}
		}
	}
}

// chainEnd is what the next header has to follow.
type chainEnd struct {
	next uint64
	head ledger.Hash
}

var errStopped = errors.New("stopped")

// readSegment reads the records of a segment and moves at on. In the last segment
// what no line of the index counts may be cut short: left says so.
func (s *Set) readSegment(g *segment, at *chainEnd, last bool, yield func(*record) bool) (left string, err error) {
	file, err := os.Open(filepath.Join(s.dir, g.File))
	if err != nil {
		return "", err
	}
	defer file.Close()
	in := bufio.NewReaderSize(io.LimitReader(file, g.end), 1<<20)
	// torn is an end that a crash may leave, unless the index counts it.
	torn := func(offset int64, what string) (string, error) {
		if !last || offset < g.Bytes {
			return "", damaged(g.File, offset, "%s is cut short or damaged", what)
		}
		return fmt.Sprintf("%s has %d bytes at its end that are no whole batch: an export was broken off there, and the next goes on in another file", g.File, g.end-offset), nil
	}
	if g.end == 0 && g.Bytes == 0 {
		return "", nil
	}
	header := make([]byte, segmentHeaderSize)
	if _, err := io.ReadFull(in, header); err != nil {
		return torn(0, "its header")
	}
	if err := s.checkHeader(g, header, at); err != nil {
		return "", err
	}
	offset := int64(segmentHeaderSize)
	for offset < g.end {
		body, whole, err := readBody(in, g.end-offset)
		if err != nil {
			return "", fmt.Errorf("%s: %w", g.File, err)
		}
		if !whole {
			return torn(offset, "the record")
		}
		r := &record{file: g.File, offset: offset, body: body}
		if r.header, err = readHeader(s.bank, body); err != nil {
			return "", &DamageError{File: g.File, Offset: offset, Reason: "the header", Err: err}
		}
		if err := r.follows(at); err != nil {
			return "", err
		}
		if !yield(r) {
			return "", errStopped
		}
		offset += recordHeaderSize + int64(len(body))
		if g.Last == at.next-1 && g.Last > 0 && at.head != g.Head {
			return "", damaged(g.File, r.offset, "batch %d has the header %s, the index says %s: files of two histories were put together", g.Last, at.head, g.Head)
		}
	}
	if at.next <= g.Last {
		return "", damaged(g.File, offset, "it ends with batch %d, the index says %d", at.next-1, g.Last)
	}
	return "", nil
}

// readBody reads a record. It is not whole when it is cut short or its checksum does
// not fit.
func readBody(in io.Reader, left int64) (body []byte, whole bool, err error) {
	var head [recordHeaderSize]byte
	if left < recordHeaderSize {
		return nil, false, nil
	}
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, false, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > left-recordHeaderSize || n > recordMax {
		return nil, false, nil
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, false, err
	}
	return body, crc32.Checksum(body, castagnoli) == binary.BigEndian.Uint32(head[4:]), nil
}

// checkHeader compares the header of a segment with what it has to follow.
func (s *Set) checkHeader(g *segment, header []byte, at *chainEnd) error {
	want := segmentHeader(s.bank, at.next, at.head)
	if bytes.Equal(header, want) {
		return nil
	}
	switch sum := len(header) - 4; {
	case string(header[:4]) != segmentMark || binary.BigEndian.Uint32(header[sum:]) != crc32.Checksum(header[:sum], castagnoli):
		return damaged(g.File, 0, "its header is damaged, or it is no segment of an export")
	case header[4] != formatVersion:
		return damaged(g.File, 0, "it has the version %d; this program reads %d", header[4], formatVersion)
	case !slices.Equal(header[5:37], s.bank[:]):
		return damaged(g.File, 0, "it is of bank %x, the set is of %s: files of two banks were put together", header[5:37], s.bank)
	}
	return damaged(g.File, 0, "it begins with batch %d after the header %x and has to begin with batch %d after %s: a file is missing before it, or it is of another history",
		binary.BigEndian.Uint64(header[37:]), header[45:77], at.next, at.head)
}

// follows moves the end of the chain to the record.
func (r *record) follows(at *chainEnd) error {
	switch {
	case r.header.Number != at.next:
		return damaged(r.file, r.offset, "batch %d stands where batch %d belongs", r.header.Number, at.next)
	case r.header.Previous != at.head:
		return damaged(r.file, r.offset, "batch %d follows the header %s, the batch before it has %s: it is of another history", r.header.Number, r.header.Previous, at.head)
	}
	at.next, at.head = r.header.Number+1, r.header.Header.Hash()
	return nil
}
