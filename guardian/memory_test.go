package guardian

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/ledger"
)

// noon is when the stories of the memory begin.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// signedAt is a transaction, whose first one of a settlement is version 'a'.
func signedAt(settlement uint32, tx byte, hours int, paid int64, inputs ...byte) Signed {
	s := Signed{Settlement: settlement, Version: uint16(tx), TxID: ledger.Hash{tx}, PaidSat: paid, At: noon.Add(time.Duration(hours) * time.Hour)}
	for _, in := range inputs {
		s.Inputs = append(s.Inputs, ledger.OutPoint{TxID: ledger.Hash{in}})
	}
	return s
}

func TestMemoryCheck(t *testing.T) {
	limits := Limits{PaidMax: 100, PaidDayMax: 250}
	for _, row := range []struct {
		name   string
		before []Signed
		next   Signed
		reason string // that it contains; "" when it may be signed
	}{
		{"the first", nil, signedAt(1, 'a', 0, 100, 1), ""},
		{"the same again", []Signed{signedAt(1, 'a', 0, 100, 1)}, signedAt(1, 'a', 1, 100, 1), ""},
		{"another that spends the same coin", []Signed{signedAt(1, 'a', 0, 50, 1)}, signedAt(1, 'b', 1, 60, 1), ""},
		{"another that spends more", []Signed{signedAt(1, 'a', 0, 50, 1)}, signedAt(1, 'b', 1, 60, 1, 2), ""},
		{"another that spends another coin", []Signed{signedAt(1, 'a', 0, 50, 1)}, signedAt(1, 'b', 1, 50, 2), "could both be mined"},
		{"another that leaves a coin out", []Signed{signedAt(1, 'a', 0, 50, 1, 2)}, signedAt(1, 'b', 1, 50, 1), ""},
		{"a third that shares a coin with each and none with both", []Signed{signedAt(1, 'a', 0, 50, 1, 2), signedAt(1, 'b', 0, 50, 2, 3)}, signedAt(1, 'c', 1, 50, 1, 3), "could both be mined"},
		{"a third that shares one with the last only", []Signed{signedAt(1, 'a', 0, 50, 1, 2), signedAt(1, 'b', 0, 50, 2, 3)}, signedAt(1, 'c', 1, 50, 3), "could both be mined"},
		{"a third that shares one with both", []Signed{signedAt(1, 'a', 0, 50, 1, 2), signedAt(1, 'b', 0, 50, 2, 3)}, signedAt(1, 'c', 1, 50, 2, 4), ""},
		{"another of the same version", []Signed{signedAt(1, 'a', 0, 50, 1)}, Signed{Settlement: 1, Version: 'a', TxID: ledger.Hash{'b'}, Inputs: []ledger.OutPoint{{TxID: ledger.Hash{1}}}}, "signed for version 97"},
		{"too much at once", nil, signedAt(1, 'a', 0, 101, 1), "one settlement may take 100"},
		{"too much in a day", []Signed{signedAt(1, 'a', 0, 100, 1), signedAt(2, 'b', 10, 100, 2)}, signedAt(3, 'c', 23, 51, 3), "a day may take 250"},
		{"as much as a day may take", []Signed{signedAt(1, 'a', 0, 100, 1), signedAt(2, 'b', 10, 100, 2)}, signedAt(3, 'c', 23, 50, 3), ""},
		{"a day later", []Signed{signedAt(1, 'a', 0, 100, 1), signedAt(2, 'b', 10, 100, 2)}, signedAt(3, 'c', 24, 100, 3), ""},
		{"versions of one settlement count once", []Signed{signedAt(1, 'a', 0, 100, 1), signedAt(1, 'b', 1, 90, 1), signedAt(2, 'c', 2, 100, 2)}, signedAt(3, 'd', 3, 50, 3), ""},
	} {
		m := &Memory{}
		for _, s := range row.before {
			if err := m.Remember(s); err != nil {
				t.Fatal(err)
			}
		}
		got := m.Check(row.next, limits)
		if (got == "") != (row.reason == "") || !strings.Contains(got, row.reason) {
			t.Errorf("%s: %q, want %q", row.name, got, row.reason)
		}
	}
}

// TestMemorySurvives: what was remembered is there after a restart, and a line
// that a crash cut short is not.
func TestMemorySurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signed")
	reopen := func() *Memory {
		t.Helper()
		m, err := OpenMemory(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	m := reopen()
	for n := range 3 {
		if err := m.Remember(signedAt(uint32(n+1), byte('a'+n), n, 10, byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	m.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole); cut > len(whole)-20; cut-- {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 2
		if cut == len(whole) {
			want = 3
		}
		m := reopen()
		if len(m.list) != want {
			t.Fatalf("of %d bytes %d settlements are remembered, want %d", cut, len(m.list), want)
		}
		// What comes next stands on a line of its own.
		if err := m.Remember(signedAt(9, 'z', 9, 10, 9)); err != nil {
			t.Fatal(err)
		}
		m.Close()
		if again := reopen(); len(again.list) != want+1 {
			t.Fatalf("after a new one %d are remembered, want %d", len(again.list), want+1)
		}
	}
	if err := os.WriteFile(path, []byte("not json\n"+string(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMemory(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a damaged memory was opened: %v", err)
	}
}

// TestMemoryBreaks: what a failed write has left is never written behind, not
// even when the disk has room again, so that the next start can read it all.
func TestMemoryBreaks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signed")
	m, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Remember(signedAt(1, 'a', 0, 10, 1)); err != nil {
		t.Fatal(err)
	}
	disk := m.file
	if m.file, err = os.Open(path); err != nil { // for reading only: writes fail
		t.Fatal(err)
	}
	if err := m.Remember(signedAt(2, 'b', 0, 10, 2)); err == nil {
		t.Error("it is remembered and not on disk")
	}
	if _, err := disk.WriteString(`{"settlement":2,"tx`); err != nil {
		t.Fatal(err)
	}
	m.file.Close()
	m.file = disk
	if err := m.Remember(signedAt(3, 'c', 0, 10, 3)); err == nil {
		t.Error("it goes on after half a line")
	}
	if err := m.Remember(signedAt(1, 'a', 1, 10, 1)); err != nil {
		t.Errorf("what was on disk before: %v", err)
	}
	again, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Remember(signedAt(2, 'b', 0, 10, 2)); err != nil || len(again.list) != 2 {
		t.Errorf("after a restart %d are remembered, %v", len(again.list), err)
	}
}
