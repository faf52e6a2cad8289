package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// bankFileName is where a data directory keeps the bank's public file.
var bankFileName = filepath.Join("bank", "bank.json")

// bankFile is all that an auditor needs besides a node and the journal. It is
// public.
type bankFile struct {
	Charter ledger.Charter `json:"charter"`
	Policy  taproot.Policy `json:"policy"` // of the founding's vault
	// Rekeyed are the policies of the keys after it, by generation. Who audits needs
	// none of them: the journal has them, signed.
	Rekeyed []taproot.Policy `json:"rekeyed,omitempty"`
}

func readBankFile(path string) (bankFile, error) {
	var f bankFile
	raw, err := os.ReadFile(path)
	if err != nil {
		return f, fmt.Errorf("the bank's public file: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.Charter.Validate(); err != nil {
		return f, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range f.policies() {
		if err := p.Validate(); err != nil {
			return f, fmt.Errorf("%s: %w", path, err)
		}
	}
	return f, nil
}

// policies are those of all vaults, by generation.
func (f *bankFile) policies() []taproot.Policy {
	return append([]taproot.Policy{f.Policy}, f.Rekeyed...)
}

// writeBankFile writes the file, durably and whole.
func writeBankFile(path string, f bankFile) error {
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.Replace(path, append(raw, '\n'), 0o644)
}
