package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

// Accuse keeps a proof against the operator and returns its path: a file that
// "daobank verify" reads.
func (k *Keep) Accuse(charter *ledger.Charter, e *guardian.Equivocation) (string, error) {
	dir := filepath.Join(k.dir, "evidence")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	text, err := e.Proof(charter).Encode()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("equivocation-%d.json", e.A.Number))
	if err = keyfile.WriteNew(path, text, 0o600); errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return path, err
}

// EvidenceFiles are the proofs that a guardian's folder holds, of whatever kind.
func EvidenceFiles(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, "evidence", "*.json"))
}

// Evidence is a proof against the operator that was kept, nil when there is none. A
// file that holds none is an error: somebody has to look before the guardian signs
// again.
func (k *Keep) Evidence() (*guardian.Equivocation, error) {
	list, err := EvidenceFiles(k.dir)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	text, err := os.ReadFile(list[0])
	if err != nil {
		return nil, err
	}
	e, err := decodeEvidence(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", list[0], err)
	}
	return e, nil
}

func decodeEvidence(text []byte) (*guardian.Equivocation, error) {
	p, err := proof.Decode(text)
	if err != nil {
		return nil, err
	}
	twice, ok := p.Body.(*proof.Equivocation)
	if !ok {
		return nil, fmt.Errorf("it is a %s, not an equivocation", p.Body.Kind())
	}
	if _, err := p.Verify(proof.Trust{Bank: p.Charter.ID()}); err != nil {
		return nil, err
	}
	a, b, err := twice.Headers()
	return &guardian.Equivocation{A: a, B: b}, err
}
