package guardian

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

func signHeader(t *testing.T, key *btcec.PrivateKey, bank ledger.BankID, number uint64, root byte) ledger.SignedHeader {
	t.Helper()
	h, err := ledger.Header{Bank: bank, Number: number, Root: ledger.Hash{root}, Count: 1}.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHeadersRemember: a second header for a number that was seen is found out,
// also after a restart and after a crash cut the last one short.
func TestHeadersRemember(t *testing.T) {
	operator, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	charter := ledger.Charter{Name: "b", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(operator), Depth: 1, WithdrawalMin: 1000}
	bank := charter.ID()
	path := filepath.Join(t.TempDir(), "headers")
	h, err := OpenHeaders(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n <= 3; n++ {
		header := signHeader(t, operator, bank, n, byte(n))
		if err := h.Take(&header); err != nil {
			t.Fatal(err)
		}
	}
	gap := signHeader(t, operator, bank, 5, 5)
	if err := h.Take(&gap); err == nil {
		t.Error("header 5 was taken after header 3")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 3*ledger.SignedHeaderSize-1); err != nil {
		t.Fatal(err)
	}
	if h, err = OpenHeaders(path); err != nil || h.Last() != 2 {
		t.Fatalf("after a cut header the last is %d, %v; want 2", h.Last(), err)
	}
	defer h.Close()
	same := signHeader(t, operator, bank, 2, 2)
	if err := h.Take(&same); err != nil {
		t.Errorf("the same header again: %v", err)
	}
	other := signHeader(t, operator, bank, 2, 99)
	var twice *Equivocation
	if err := h.Take(&other); !errors.As(err, &twice) {
		t.Fatalf("another header 2 was taken: %v", err)
	}
	if !twice.Verify(&charter) {
		t.Error("the proof does not verify")
	}
	for name, spoil := range map[string]func(*Equivocation){
		"the same header twice": func(e *Equivocation) { e.B = e.A },
		"one not signed":        func(e *Equivocation) { e.B.Signature[0] ^= 1 },
		"two numbers":           func(e *Equivocation) { e.B = signHeader(t, operator, bank, 3, 3) },
		"another bank":          func(e *Equivocation) { e.B = signHeader(t, operator, ledger.Hash{7}, 2, 99) },
	} {
		e := *twice
		spoil(&e)
		if e.Verify(&charter) {
			t.Errorf("%s passes for a proof", name)
		}
	}
}

// TestHeadersAfterAPowerCut: a file that grew before its content was written ends
// in zeros. They are no headers, and no proof against the operator.
func TestHeadersAfterAPowerCut(t *testing.T) {
	operator, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "headers")
	h, err := OpenHeaders(path)
	if err != nil {
		t.Fatal(err)
	}
	first, second := signHeader(t, operator, ledger.BankID{1}, 1, 1), signHeader(t, operator, ledger.BankID{1}, 2, 2)
	if err := errors.Join(h.Take(&first), h.Close(), os.Truncate(path, 3*ledger.SignedHeaderSize)); err != nil {
		t.Fatal(err)
	}
	if h, err = OpenHeaders(path); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.Last() != 1 {
		t.Errorf("the last header is %d, want 1", h.Last())
	}
	if err := h.Take(&second); err != nil {
		t.Errorf("the next header: %v", err)
	}
}
