package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// bundle is what a backup holds: enough for a blank machine.
type bundle struct {
	Version  int                `json:"version"`
	Host     []byte             `json:"host"` // secret
	Public   Public             `json:"public"`
	Founding *guardian.Founding `json:"founding"`
	Recovery []byte             `json:"recovery"`
}

const bundleVersion = 1

// Backup writes all that a blank machine needs to a new file, encrypted with
// the lock: the host key, the founding document and the recovery data. The key
// of the recovery leaf is not in it. Error: ErrNotFounded.
func (k *Keep) Backup(path string, open, lock keyfile.Lock) error {
	host, err := k.HostKey(open)
	if err != nil {
		return err
	}
	defer host.Wipe()
	b := bundle{Version: bundleVersion}
	if b.Host, err = host.Reveal(); err != nil {
		return err
	}
	defer clear(b.Host)
	if b.Public, err = k.Public(); err != nil {
		return err
	}
	if b.Founding, err = k.Founding(); err != nil {
		return err
	}
	if b.Recovery, err = k.Recovery(); err != nil {
		return err
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return err
	}
	defer clear(raw)
	return keyfile.Create(path, raw, lock)
}

// Restore makes a guardian's folder on a blank machine from a backup. It checks
// that the share comes out before it writes anything.
//
// What the lost machine signed is not in a backup: the restored guardian begins
// with an empty memory, and signs again only what its books give.
func Restore(dir, path string, open, lock keyfile.Lock) (*Keep, error) {
	raw, err := keyfile.Open(path, open)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	var b bundle
	if err := json.Unmarshal(raw, &b); err != nil || b.Version != bundleVersion || b.Founding == nil {
		return nil, fmt.Errorf("%s is not a guardian's backup of version %d", path, bundleVersion)
	}
	defer clear(b.Host)
	if err := checkBundle(&b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(dir, "public.json"), b.Public); err != nil {
		return nil, err
	}
	k, err := Open(dir)
	if err != nil {
		return nil, err
	}
	err = errors.Join(k.Agree(b.Founding), k.SaveRecovery(b.Recovery))
	if err == nil {
		err = keyfile.Create(filepath.Join(dir, "host.age"), b.Host, lock)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// checkBundle recovers the share once, to see that the backup is whole.
func checkBundle(b *bundle) error {
	if err := b.Founding.Validate(); err != nil {
		return err
	}
	host, err := chilldkg.NewHostKey(b.Host)
	if err != nil {
		return err
	}
	defer host.Wipe()
	result, err := chilldkg.Recover(host, b.Recovery)
	if err != nil {
		return err
	}
	result.Share.Wipe()
	want, err := b.Founding.Params().Hash()
	if err != nil {
		return err
	}
	if got, err := result.Params.Hash(); err != nil || got != want {
		return errors.New("its recovery data is of another group than its founding document's")
	}
	return nil
}
