package guardian

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

// Equivocation is a proof against the operator that anyone can check: two
// headers of one number, both signed, that differ.
type Equivocation struct {
	A, B ledger.SignedHeader
}

func (e *Equivocation) Error() string {
	return fmt.Sprintf("the operator signed two headers for batch %d: %s and %s", e.A.Number, e.A.Hash(), e.B.Hash())
}

// Proof is the proof for others, which verifies offline.
func (e *Equivocation) Proof(charter *ledger.Charter) *proof.Proof {
	return &proof.Proof{Charter: *charter, Body: proof.NewEquivocation(&e.A, &e.B)}
}

// Verify reports whether the two headers prove that the operator of this
// charter showed two histories.
func (e *Equivocation) Verify(charter *ledger.Charter) bool {
	_, err := e.Proof(charter).Verify(proof.Trust{Bank: charter.ID()})
	return err == nil
}

// Headers is every signed header that a guardian has ever replayed, on disk, so
// that it cannot be shown another history later. It is not safe for concurrent
// use.
type Headers struct {
	file *os.File
	last uint64 // number of the last header
}

// OpenHeaders reads a guardian's headers, or begins. What a crash left at the end
// that is no header of its place was never put on disk, so that the guardian has
// neither attested it nor signed on it: it is removed.
func OpenHeaders(path string) (*Headers, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	h := &Headers{file: f}
	err = h.findLast()
	if err == nil {
		err = errors.Join(f.Truncate(int64(h.last)*ledger.SignedHeaderSize), f.Sync(), keyfile.SyncDir(filepath.Dir(path)))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("the guardian's headers %s: %w", path, err)
	}
	return h, nil
}

// findLast looks for the last header that stands in its place.
func (h *Headers) findLast() error {
	info, err := h.file.Stat()
	if err != nil {
		return err
	}
	for h.last = uint64(info.Size()) / ledger.SignedHeaderSize; h.last > 0; h.last-- {
		raw, err := h.read(h.last)
		if err != nil {
			return err
		}
		if header, err := ledger.DecodeSignedHeader(raw); err == nil && header.Number == h.last {
			return nil
		}
	}
	return nil
}

// Last is the number of the newest header, 0 before the first.
func (h *Headers) Last() uint64 { return h.last }

// Take compares a header with the one of its number, or keeps it when it is the
// next. Error: *Equivocation.
func (h *Headers) Take(header *ledger.SignedHeader) error {
	if header.Number > h.last+1 || header.Number == 0 {
		return fmt.Errorf("header %d does not follow header %d", header.Number, h.last)
	}
	if header.Number == h.last+1 {
		if _, err := h.file.WriteAt(header.Bytes(), int64(h.last)*ledger.SignedHeaderSize); err != nil {
			return fmt.Errorf("keep header %d: %w", header.Number, err)
		}
		h.last++
		return nil
	}
	seen, err := h.Header(header.Number)
	if err != nil {
		return err
	}
	if seen.Hash() != header.Hash() {
		return &Equivocation{A: seen, B: *header}
	}
	return nil
}

// Header reads a header that was kept.
func (h *Headers) Header(number uint64) (ledger.SignedHeader, error) {
	raw, err := h.read(number)
	if err != nil {
		return ledger.SignedHeader{}, err
	}
	header, err := ledger.DecodeSignedHeader(raw)
	if err == nil && header.Number != number {
		err = fmt.Errorf("the file of headers is damaged: header %d stands in the place of header %d", header.Number, number)
	}
	return header, err
}

func (h *Headers) read(number uint64) ([]byte, error) {
	raw := make([]byte, ledger.SignedHeaderSize)
	if _, err := h.file.ReadAt(raw, int64(number-1)*ledger.SignedHeaderSize); err != nil {
		return nil, fmt.Errorf("read header %d: %w", number, err)
	}
	return raw, nil
}

// Sync puts what was taken on disk.
func (h *Headers) Sync() error { return h.file.Sync() }

// Close ends the headers.
func (h *Headers) Close() error { return errors.Join(h.file.Sync(), h.file.Close()) }
