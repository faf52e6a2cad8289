package keep

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
)

// TestEvidence: a proof is there again after a restart, whole, and a damaged one
// is not taken for none.
func TestEvidence(t *testing.T) {
	operator, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	charter := ledger.Charter{Name: "b", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(operator), Depth: 1, WithdrawalMin: 1000}
	sign := func(root byte) ledger.SignedHeader {
		h, err := ledger.Header{Bank: charter.ID(), Number: 7, Root: ledger.Hash{root}, Count: 1}.Sign(operator)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	dir := t.TempDir()
	open := func() *Keep {
		k, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
		return k
	}
	k := open()
	if e, err := k.Evidence(); e != nil || err != nil {
		t.Fatalf("a new folder holds the evidence %v, %v", e, err)
	}
	e := &guardian.Equivocation{A: sign(1), B: sign(2)}
	var path string
	for range 2 { // the second time it is there
		if path, err = k.Accuse(&charter, e); err != nil {
			t.Fatal(err)
		}
	}
	k.Close()
	k = open()
	kept, err := k.Evidence()
	if err != nil || kept == nil || *kept != *e || !kept.Verify(&charter) {
		t.Fatalf("after a restart the evidence is %v, %v", kept, err)
	}
	if filepath.Dir(path) != filepath.Join(dir, "evidence") {
		t.Errorf("it is kept in %s", path)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := k.Evidence(); err == nil {
		t.Errorf("damaged evidence is read as %v", kept)
	}
	// A proof that does not hold is none.
	spoiled := *e
	spoiled.B.Signature[0] ^= 1
	text, err := spoiled.Proof(&charter).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if kept, err := k.Evidence(); err == nil {
		t.Errorf("evidence that does not hold is read as %v", kept)
	}
}
