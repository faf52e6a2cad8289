package keep

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

const (
	foundingFile   = "founding.json"
	successionFile = "succession.json"
)

// Founding reads the document that was agreed on first: of the founding, or of the
// succession with which the guardian came. Error: ErrNotFounded.
func (k *Keep) Founding() (*guardian.Founding, error) {
	return k.document(foundingFile)
}

// Succession reads the document that was agreed on last, nil when there is none
// but the first.
func (k *Keep) Succession() (*guardian.Founding, error) {
	f, err := k.document(successionFile)
	if errors.Is(err, ErrNotFounded) {
		return nil, nil
	}
	return f, err
}

func (k *Keep) document(name string) (*guardian.Founding, error) {
	raw, err := os.ReadFile(filepath.Join(k.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFounded
	}
	if err != nil {
		return nil, err
	}
	return guardian.ParseFounding(raw)
}

// Agree keeps the first document, for ever. Agreeing again to the same does
// nothing. Error: ErrOtherFounding.
func (k *Keep) Agree(f *guardian.Founding) error {
	old, err := k.Founding()
	switch {
	case errors.Is(err, ErrNotFounded):
		return writeJSON(filepath.Join(k.dir, foundingFile), f)
	case err != nil:
		return err
	case old.Hash() != f.Hash():
		return fmt.Errorf("%w (%s, not %s)", ErrOtherFounding, old.Hash(), f.Hash())
	}
	return nil
}

// Succeed keeps the document of the next guardians in the place of the last one.
// It must be of the same bank and the same founding. One that was agreed on for
// the same generation, or for a later one, gives way only with replace, for what the
// guardian signed for it until then stands. Errors: ErrOtherFounding, ErrNotFounded.
func (k *Keep) Succeed(f *guardian.Founding, replace bool) error {
	first, err := k.Founding()
	if err != nil {
		return err
	}
	founded, err := k.Founded()
	if err != nil {
		return err
	}
	if err := continues(first, founded, f); err != nil {
		return err
	}
	old, err := k.Succession()
	if err != nil {
		return err
	}
	if old == nil {
		old, err = k.Founding()
	}
	switch {
	case err != nil:
		return err
	case old.Hash() == f.Hash():
		return nil
	case f.Generation <= old.Generation && !replace:
		return fmt.Errorf("%w, for generation %d of the vault's key (%s); this one is for generation %d (%s): say so if it shall take its place",
			ErrOtherFounding, old.Generation, old.Hash(), f.Generation, f.Hash())
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.Replace(filepath.Join(k.dir, successionFile), append(raw, '\n'), 0o644)
}

// continues checks that a succession is of the bank of a first document, and of the
// vault that the bank was founded with. Error: ErrOtherFounding.
func continues(first *guardian.Founding, founded taproot.Policy, f *guardian.Founding) error {
	own, err := first.Charter()
	if err != nil {
		return err
	}
	charter, err := f.Charter()
	if err != nil {
		return err
	}
	if charter.ID() != own.ID() || f.Generation == 0 {
		return fmt.Errorf("%w: this one is not for the next guardians of that bank", ErrOtherFounding)
	}
	if !f.SucceedsVault(founded) {
		return fmt.Errorf("%w: this one names another vault of the founding", ErrOtherFounding)
	}
	return nil
}

// Founded is the policy of the vault of the bank's founding, from where the
// journal tells of the keys after it. Error: ErrNotFounded while its key is not
// made.
func (k *Keep) Founded() (taproot.Policy, error) {
	f, err := k.Founding()
	if err != nil {
		return taproot.Policy{}, err
	}
	if f.Founded != nil {
		return *f.Founded, nil
	}
	data, err := k.Recovery(f)
	if err != nil {
		return taproot.Policy{}, err
	}
	result, err := chilldkg.RecoverCoordinator(data)
	if err != nil {
		return taproot.Policy{}, err
	}
	return f.Policy(result.Group.Key()), nil
}

// recoveryFile is where the recovery data of a document's key generation lies.
func recoveryFile(f *guardian.Founding) string {
	return fmt.Sprintf("recovery-%.16s.dat", f.Hash())
}

// Recovery reads the recovery data of a document's key generation. Error:
// ErrNotFounded.
func (k *Keep) Recovery(f *guardian.Founding) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(k.dir, recoveryFile(f)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFounded
	}
	return raw, err
}

// recoveries reads the recovery data of every key generation that the guardian has
// finished, by file.
func (k *Keep) recoveries() (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(k.dir, "recovery-*.dat"))
	if err != nil {
		return nil, err
	}
	list := make(map[string][]byte, len(paths))
	for _, path := range paths {
		if list[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Shares computes the guardian's shares of all keys that it helped to make. The
// caller wipes them.
func (k *Keep) Shares(host *chilldkg.HostKey) ([]*chilldkg.Result, error) {
	files, err := k.recoveries()
	if err != nil {
		return nil, err
	}
	var list []*chilldkg.Result
	for _, name := range slices.Sorted(maps.Keys(files)) {
		result, err := chilldkg.Recover(host, files[name])
		if err != nil {
			for _, made := range list {
				made.Share.Wipe()
			}
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, result)
	}
	return list, nil
}

// SaveRecovery keeps the recovery data of a finished key generation. Saving the
// same again does nothing. Error: ErrOldKey.
func (k *Keep) SaveRecovery(f *guardian.Founding, data []byte) error {
	name := recoveryFile(f)
	if err := k.isNew(name, data); err != nil {
		return err
	}
	err := keyfile.WriteNew(filepath.Join(k.dir, name), data, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	old, err := k.Recovery(f)
	if err == nil && !bytes.Equal(old, data) {
		err = fmt.Errorf("%s of another key generation is here: it is not overwritten", name)
	}
	return err
}

// isNew checks that no other key generation of this guardian made the key. Nothing in
// recovery data says for which document it is, so that a coordinator could hand that
// of old on when the same guardians are named again.
func (k *Keep) isNew(name string, data []byte) error {
	made, err := chilldkg.RecoverCoordinator(data)
	if err != nil {
		return err
	}
	files, err := k.recoveries()
	if err != nil {
		return err
	}
	for other, raw := range files {
		old, err := chilldkg.RecoverCoordinator(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", other, err)
		}
		if other != name && old.Group.Key() == made.Group.Key() {
			return fmt.Errorf("%w: it is in %s", ErrOldKey, other)
		}
	}
	return nil
}
