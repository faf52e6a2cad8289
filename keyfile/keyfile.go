// Package keyfile keeps one secret in one file: encrypted with age, readable by
// its owner alone, never overwritten. It is for the programs of members and
// guardians.
//
// What opens a file is a Lock: a passphrase, which costs about a second and
// 256 MiB for each guess, or an age identity in another file, for programs that
// must start without a person. The secret is handed out as bytes that the caller
// wipes; nothing here logs or prints it. On failure nothing is half-written: a
// file is there whole, durably, or not at all.
package keyfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// Errors of Open and Create, for errors.Is.
var (
	// ErrWrongLock: the passphrase or identity does not open the file.
	ErrWrongLock = errors.New("it does not open with this passphrase or key file")
	// ErrExposed: group or others may read the file, so its secret counts as known.
	ErrExposed = errors.New("can be read or written by others")
	// ErrDamaged: the file is not what Create wrote.
	ErrDamaged = errors.New("it is damaged or not a key file")
)

// secretMax is the size in bytes of the largest secret.
const secretMax = 64 << 10

// Lock closes and opens key files.
type Lock interface {
	recipient() (age.Recipient, error)
	identity() (age.Identity, error)
}

// Passphrase is a Lock that a person remembers.
type Passphrase struct {
	Text []byte
	// WorkFactor is the logarithm of the work that each guess costs; 0 means
	// 18: about a second and 256 MiB. A small machine may need less.
	WorkFactor int
}

const workFactor = 18

func (p Passphrase) recipient() (age.Recipient, error) {
	r, err := age.NewScryptRecipient(string(p.Text))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(cmp.Or(p.WorkFactor, workFactor))
	return r, nil
}

func (p Passphrase) identity() (age.Identity, error) { return age.NewScryptIdentity(string(p.Text)) }

// IdentityFile is a Lock whose path holds an age identity (age-keygen's format,
// or what CreateIdentity wrote). It is as secret as what it opens.
type IdentityFile string

func (path IdentityFile) read() (*age.X25519Identity, error) {
	text, err := ReadPrivate(string(path))
	if err != nil {
		return nil, err
	}
	defer clear(text)
	list, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, fmt.Errorf("%s: want one age identity: %w", path, ErrDamaged)
	}
	id, ok := list[0].(*age.X25519Identity)
	if !ok {
		return nil, fmt.Errorf("%s: want an X25519 identity: %w", path, ErrDamaged)
	}
	return id, nil
}

func (path IdentityFile) recipient() (age.Recipient, error) {
	id, err := path.read()
	if err != nil {
		return nil, err
	}
	return id.Recipient(), nil
}

func (path IdentityFile) identity() (age.Identity, error) { return path.read() }

// CreateIdentity makes a new identity and writes it to a new file.
func CreateIdentity(path string) (IdentityFile, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	return IdentityFile(path), WriteNew(path, []byte(id.String()+"\n"), 0o600)
}

// Create encrypts a secret and writes it to a file that must not exist. Error:
// wraps fs.ErrExist.
func Create(path string, secret []byte, lock Lock) error {
	if len(secret) > secretMax {
		return fmt.Errorf("%s: a secret of %d bytes is too large", path, len(secret))
	}
	recipient, err := lock.recipient()
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	if _, err := w.Write(secret); err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("encrypt %s: %w", path, err)
	}
	return WriteNew(path, sealed.Bytes(), 0o600)
}

// Open decrypts a file that Create wrote. The caller wipes the secret with
// clear. Errors wrap fs.ErrNotExist, ErrExposed, ErrWrongLock or ErrDamaged.
func Open(path string, lock Lock) ([]byte, error) {
	sealed, err := ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	identity, err := lock.identity()
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, fmt.Errorf("%s: %w", path, ErrWrongLock)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", path, ErrDamaged, err)
	}
	secret := make([]byte, secretMax+1)
	n, err := io.ReadFull(r, secret)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		clear(secret)
		return nil, fmt.Errorf("%s: %w", path, ErrDamaged)
	}
	out := append([]byte(nil), secret[:n]...)
	clear(secret)
	return out, nil
}
