package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/settlement/netting"
)

const consentFile = "consent.json"

// Consent keeps the owner's consent to a proof of reserves in the place of the one
// before; nil takes it back.
func (k *Keep) Consent(c *guardian.Consent) error {
	path := filepath.Join(k.dir, consentFile)
	if c == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return keyfile.SyncDir(k.dir)
	}
	if err := netting.CheckStatement(c.Text); err != nil {
		return err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return keyfile.Replace(path, append(raw, '\n'), 0o600)
}

// Consented is the consent that a guardian's folder keeps, nil when there is none. One
// that has ended is there until the next.
func Consented(dir string) (*guardian.Consent, error) {
	raw, err := os.ReadFile(filepath.Join(dir, consentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &guardian.Consent{}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, fmt.Errorf("%s is damaged, remove it: %w", filepath.Join(dir, consentFile), err)
	}
	return c, nil
}
