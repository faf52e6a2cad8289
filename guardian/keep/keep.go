// Package keep is a guardian's folder: what a guardian must not lose, and must
// not show.
//
//	host.age       the host key: its identity, and with recovery.dat its share; encrypted
//	recovery.age   the key of its part of the recovery leaf; encrypted; move it elsewhere
//	public.json    both public keys, to be given to the one who writes the founding document
//	founding.json  the document that was agreed on first
//	succession.json  the one that was agreed on last, when the guardians change
//	recovery-*.dat ChillDKG's recovery data, one for each key generation, named after its document:
//	               not confidential, and needed besides host.age
//	signed.log     every settlement it has agreed to sign
//	headers        every batch header it has replayed
//	consent.json   the proof of reserves to which its owner has consented last
//	evidence/      proofs against the operator
//
// A share itself is never stored: it is computed from host.age and its
// recovery data at each start and lives in memory alone. Every file is there
// whole, durably, or not at all. One process uses a folder at a time.
package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// Errors of a Keep, for errors.Is.
var (
	// ErrInUse: another process has the folder open.
	ErrInUse = errors.New("another process uses this guardian's folder")
	// ErrNotFounded: the guardian has taken part in no key generation yet.
	ErrNotFounded = errors.New("this guardian holds no share yet: take part in a key generation first")
	// ErrOtherFounding: the folder belongs to another bank, or to another document
	// of the same generation.
	ErrOtherFounding = errors.New("this guardian has agreed to another founding document")
	// ErrOldKey: the key of a document is to be that of another, for which it was made.
	ErrOldKey = errors.New("this key was made for another document")
)

// Public is what a guardian tells the one who writes the founding document.
type Public struct {
	Host     chilldkg.HostPublicKey `json:"host"`
	Recovery taproot.XOnlyKey       `json:"recovery"`
}

// Keep is an open folder.
type Keep struct {
	dir  string
	lock *os.File
}

// Init makes the folder of a new guardian with keys of its own. A folder that
// holds keys is left as it is: the error wraps fs.ErrExist.
func Init(dir string, lock keyfile.Lock) (Public, error) {
	var p Public
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return p, err
	}
	host, err := chilldkg.GenerateHostKey(nil)
	if err != nil {
		return p, err
	}
	defer host.Wipe()
	recovery, err := btcec.NewPrivateKey()
	if err != nil {
		return p, err
	}
	defer recovery.Zero()
	p = Public{Host: host.Public(), Recovery: taproot.XOnlyKey(ledger.KeyOf(recovery))}
	secret, err := host.Reveal()
	if err != nil {
		return p, err
	}
	defer clear(secret)
	// The recovery key first: host.age is what makes the folder a guardian's.
	rec := recovery.Serialize()
	defer clear(rec)
	if err := keyfile.Create(filepath.Join(dir, "recovery.age"), rec, lock); err != nil {
		return p, err
	}
	if err := writeJSON(filepath.Join(dir, "public.json"), p); err != nil {
		return p, err
	}
	return p, keyfile.Create(filepath.Join(dir, "host.age"), secret, lock)
}

// Open opens a guardian's folder for this process alone. Error: ErrInUse.
func Open(dir string) (*Keep, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the guardian's folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return &Keep{dir: dir, lock: f}, nil
}

// Close lets another process use the folder.
func (k *Keep) Close() error { return k.lock.Close() }

// HostKey decrypts the host key. The caller wipes it.
func (k *Keep) HostKey(lock keyfile.Lock) (*chilldkg.HostKey, error) {
	secret, err := keyfile.Open(filepath.Join(k.dir, "host.age"), lock)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return chilldkg.NewHostKey(secret)
}

// Public reads the guardian's public keys.
func (k *Keep) Public() (Public, error) {
	var p Public
	raw, err := os.ReadFile(filepath.Join(k.dir, "public.json"))
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(raw, &p)
}

// Memory opens what the guardian has signed.
func (k *Keep) Memory() (*guardian.Memory, error) {
	return guardian.OpenMemory(filepath.Join(k.dir, "signed.log"))
}

// Headers opens what the guardian has replayed.
func (k *Keep) Headers() (*guardian.Headers, error) {
	return guardian.OpenHeaders(filepath.Join(k.dir, "headers"))
}

func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.WriteNew(path, append(raw, '\n'), 0o644)
}
