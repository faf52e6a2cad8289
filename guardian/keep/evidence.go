package keep

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
)

// A proof is an Equivocation as the folder keeps it: both headers in hex.
type proof struct {
	Kind string `json:"kind"`
	A    string `json:"a"`
	B    string `json:"b"`
}

const kindEquivocation = "equivocation"

// Accuse keeps a proof against the operator and returns its path.
func (k *Keep) Accuse(e *guardian.Equivocation) (string, error) {
	dir := filepath.Join(k.dir, "evidence")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("equivocation-%d.json", e.A.Number))
	err := writeJSON(path, proof{Kind: kindEquivocation, A: hex.EncodeToString(e.A.Bytes()), B: hex.EncodeToString(e.B.Bytes())})
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return path, err
}

// Evidence is a proof that was kept, nil when there is none. A file that holds
// none is an error: somebody has to look before the guardian signs again.
func (k *Keep) Evidence() (*guardian.Equivocation, error) {
	list, err := filepath.Glob(filepath.Join(k.dir, "evidence", "equivocation-*.json"))
	if err != nil || len(list) == 0 {
		return nil, err
	}
	raw, err := os.ReadFile(list[0])
	if err != nil {
		return nil, err
	}
	var p proof
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", list[0], err)
	}
	e := &guardian.Equivocation{}
	for _, h := range []struct {
		text string
		into *ledger.SignedHeader
	}{{p.A, &e.A}, {p.B, &e.B}} {
		raw, err := hex.DecodeString(h.text)
		if err == nil {
			*h.into, err = ledger.DecodeSignedHeader(raw)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", list[0], err)
		}
	}
	return e, nil
}
