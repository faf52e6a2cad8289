package guardian

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
)

// Signed is a version of a settlement that a guardian has agreed to sign.
type Signed struct {
	Settlement uint32            `json:"settlement"`
	Version    uint16            `json:"version"`
	TxID       ledger.Hash       `json:"txid"` // wire byte order
	Inputs     []ledger.OutPoint `json:"inputs"`
	PaidSat    int64             `json:"paid_sat"` // leaves the vault: payouts and fee
	At         time.Time         `json:"at"`
}

// Memory is all that a guardian has ever agreed to sign, one JSON object a
// line, on disk before any signature leaves. It is not safe for concurrent use.
type Memory struct {
	file   *os.File // nil keeps it in memory only
	list   []Signed
	broken error // why nothing more is written
}

// OpenMemory reads a guardian's memory, or begins a new one. A last line that a
// crash cut short was never acted upon and is removed.
func OpenMemory(path string) (*Memory, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m := &Memory{file: f}
	whole, err := m.read()
	if err == nil {
		err = errors.Join(f.Truncate(whole), f.Sync(), keyfile.SyncDir(filepath.Dir(path)))
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("the guardian's memory %s: %w", path, err)
	}
	return m, nil
}

// read takes in whole lines and returns where they end.
func (m *Memory) read() (whole int64, err error) {
	lines := bufio.NewReader(m.file)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		var s Signed
		if err := json.Unmarshal(bytes.TrimSpace(line), &s); err != nil {
			return 0, fmt.Errorf("line %d is damaged: %w", n, err)
		}
		m.list = append(m.list, s)
		whole += int64(len(line))
	}
}

// Close ends the memory.
func (m *Memory) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// Check says why a settlement must not be signed beside what was signed before:
// another transaction of the same number and version; no coin that is spent by it and
// by all that was signed for its number, so that two of them could be mined; or more
// than the limits let out of the vault. "" means that it may.
//
// The books have the same rules for the versions of a settlement (package ledger).
// These ask no books: whatever journal a guardian is shown, no two of its signatures
// for one number can take effect.
func (m *Memory) Check(s Signed, limits Limits) string {
	var day int64
	counted := make(map[uint32]int64)
	common := s.Inputs
	for _, old := range m.list {
		if old.Settlement == s.Settlement {
			common = shared(common, old.Inputs)
			switch {
			case old.Version == s.Version && old.TxID != s.TxID:
				return fmt.Sprintf("transaction %s was signed for version %d of this number", old.TxID, old.Version)
			case len(common) == 0:
				return fmt.Sprintf("transaction %s was signed for this number, and no coin is spent by all that were: the two could both be mined", old.TxID)
			}
			continue
		}
		// Only one version of a settlement can be mined: count the largest.
		if s.At.Sub(old.At) < 24*time.Hour && old.PaidSat > counted[old.Settlement] {
			day += old.PaidSat - counted[old.Settlement]
			counted[old.Settlement] = old.PaidSat
		}
	}
	switch {
	case s.PaidSat > limits.PaidMax:
		return fmt.Sprintf("it takes %d sat out of the vault, one settlement may take %d sat", s.PaidSat, limits.PaidMax)
	case day+s.PaidSat > limits.PaidDayMax:
		return fmt.Sprintf("it takes %d sat out of the vault after %d sat within a day, a day may take %d sat", s.PaidSat, day, limits.PaidDayMax)
	}
	return ""
}

// shared are the inputs that stand in both lists.
func shared(inputs, others []ledger.OutPoint) (both []ledger.OutPoint) {
	known := make(map[ledger.OutPoint]bool, len(others))
	for _, in := range others {
		known[in] = true
	}
	for _, in := range inputs {
		if known[in] {
			both = append(both, in)
		}
	}
	return both
}

// Remember writes a settlement down. It is on disk when Remember returns nil.
// After an error nothing more is remembered until the memory is opened anew.
func (m *Memory) Remember(s Signed) error {
	if slices.ContainsFunc(m.list, func(old Signed) bool { return old.Settlement == s.Settlement && old.TxID == s.TxID }) {
		return nil
	}
	if m.file != nil {
		if err := m.write(s); err != nil {
			return err
		}
	}
	m.list = append(m.list, s)
	return nil
}

// write appends a line. What a failed write has left of one is removed by
// OpenMemory; a line behind it would be unreadable, so none is written until then.
func (m *Memory) write(s Signed) error {
	if m.broken != nil {
		return m.broken
	}
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if _, err = m.file.Write(append(line, '\n')); err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		m.broken = fmt.Errorf("write the guardian's memory: %w", err)
	}
	return m.broken
}
