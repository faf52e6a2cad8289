package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

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
	// Succession is the document in force when it is not the first.
	Succession *guardian.Founding `json:"succession,omitempty"`
	// Recovery is the recovery data of every key generation, by the name of its file.
	Recovery map[string][]byte `json:"recovery"`
}

const bundleVersion = 2

// Backup writes all that a blank machine needs to a new file, encrypted with
// the lock: the host key, the documents and the recovery data. The key
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
	if b.Succession, err = k.Succession(); err != nil {
		return err
	}
	if b.Recovery, err = k.recoveries(); err != nil {
		return err
	}
	if len(b.Recovery) == 0 {
		return ErrNotFounded
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
	err = k.Agree(b.Founding)
	for name, data := range b.Recovery {
		err = errors.Join(err, keyfile.WriteNew(filepath.Join(dir, name), data, 0o600))
	}
	if err == nil && b.Succession != nil {
		err = k.Succeed(b.Succession, true)
	}
	if err == nil {
		err = keyfile.Create(filepath.Join(dir, "host.age"), b.Host, lock)
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// checkBundle recovers every share once, to see that the backup is whole, and
// compares the documents with each other.
func checkBundle(b *bundle) error {
	if err := b.Founding.Validate(); err != nil {
		return err
	}
	host, err := chilldkg.NewHostKey(b.Host)
	if err != nil {
		return err
	}
	defer host.Wipe()
	if host.Public() != b.Public.Host {
		return errors.New("its host key is not the one of its public keys")
	}
	for name, data := range b.Recovery {
		if filepath.Base(name) != name || !recoveryName.MatchString(name) {
			return fmt.Errorf("it holds a file %q, which is none of a guardian's", name)
		}
		result, err := chilldkg.Recover(host, data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		result.Share.Wipe()
	}
	return b.checkDocuments()
}

// recoveryName is what a file of recovery data is called.
var recoveryName = regexp.MustCompile(`^recovery-[0-9a-f]{16}\.dat$`)

// checkDocuments looks whether the documents are of one bank, and finds the recovery
// data of one of them. A newcomer may have none of its first document: when others
// took its place before their key was made.
func (b *bundle) checkDocuments() error {
	first, err := b.made(b.Founding)
	if err != nil {
		return err
	}
	last := (*chilldkg.Result)(nil)
	if b.Succession != nil {
		if last, err = b.made(b.Succession); err != nil {
			return err
		}
	}
	founded := b.Founding.Founded
	switch {
	case founded == nil && first == nil, first == nil && last == nil:
		return errors.New("the recovery data of its founding document is missing")
	case b.Succession == nil:
		return nil
	case founded == nil:
		policy := b.Founding.Policy(first.Group.Key())
		founded = &policy
	}
	if err := b.Succession.Validate(); err != nil {
		return err
	}
	return continues(b.Founding, *founded, b.Succession)
}

// made is the key generation of a document, nil when the backup has none.
func (b *bundle) made(f *guardian.Founding) (*chilldkg.Result, error) {
	data, found := b.Recovery[recoveryFile(f)]
	if !found {
		return nil, nil
	}
	result, err := chilldkg.RecoverCoordinator(data)
	if err != nil {
		return nil, err
	}
	want, err := f.Params().Hash()
	if err != nil {
		return nil, err
	}
	if got, err := result.Params.Hash(); err != nil || got != want {
		return nil, fmt.Errorf("%s is of another group than its document's", recoveryFile(f))
	}
	return result, nil
}
