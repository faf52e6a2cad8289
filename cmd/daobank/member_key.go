package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
)

// keyFileVersion is the version of a key file's content: one age file, encrypted
// with a passphrase, whose plaintext is a keyContent in JSON.
const keyFileVersion = 1

type keyContent struct {
	Version int    `json:"version"`
	Secret  secret `json:"secret"`
}

// secret is a private key. It is written and read through byte slices, which
// can be wiped; a string cannot.
type secret [32]byte

func (s *secret) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

func (s *secret) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(s) || len(text)%2 != 0 {
		return errors.New("the secret has the wrong length")
	}
	if _, err := hex.Decode(s[:], text); err != nil {
		return errors.New("the secret is not hex") // without the digit
	}
	return nil
}

// scryptWorkFactor is keyfile's own, unless a test lowers it.
var scryptWorkFactor = 0

func lock(passphrase string) keyfile.Lock {
	return keyfile.Passphrase{Text: []byte(passphrase), WorkFactor: scryptWorkFactor}
}

// createKey makes a key and writes it, encrypted, to a file that must not exist.
func createKey(file, passphrase string) (ledger.Key, error) {
	priv, err := btcec.NewPrivateKey()
	if err != nil {
		return ledger.Key{}, fmt.Errorf("make a key: %w", err)
	}
	defer priv.Zero()
	content := keyContent{Version: keyFileVersion, Secret: secret(priv.Serialize())}
	defer clear(content.Secret[:])
	plain, err := json.Marshal(&content)
	if err != nil {
		return ledger.Key{}, fmt.Errorf("encode the key: %w", err)
	}
	defer clear(plain)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return ledger.Key{}, err
	}
	err = keyfile.Create(file, plain, lock(passphrase))
	if errors.Is(err, fs.ErrExist) {
		return ledger.Key{}, fmt.Errorf("%s exists already and is not overwritten: name another file with --key", file)
	}
	return ledger.KeyOf(priv), err
}

// openKey decrypts a key file. The caller wipes the key with Zero.
func openKey(file, passphrase string) (*btcec.PrivateKey, error) {
	plain, err := keyfile.Open(file, lock(passphrase))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no key in %s: make one with \"daobank member init\", or name its file with --key", file)
	case errors.Is(err, keyfile.ErrWrongLock):
		return nil, fmt.Errorf("the passphrase does not open %s: try again", file)
	case err != nil:
		return nil, err
	}
	defer clear(plain)
	var content keyContent
	defer clear(content.Secret[:])
	if err := json.Unmarshal(plain, &content); err != nil || content.Version != keyFileVersion {
		return nil, fmt.Errorf("%s does not hold a key of version %d", file, keyFileVersion)
	}
	priv, _ := btcec.PrivKeyFromBytes(content.Secret[:])
	return priv, nil
}

// unlock asks for the passphrase and opens the member's key.
func (m *member) unlock(cmd *cobra.Command) (*btcec.PrivateKey, error) {
	// A missing file is told before anyone types a passphrase.
	if _, err := os.Stat(m.keyFile); errors.Is(err, fs.ErrNotExist) {
		return openKey(m.keyFile, "")
	}
	passphrase, err := askPassphrase(cmd, m.passphraseFile, "Passphrase: ")
	if err != nil {
		return nil, err
	}
	return openKey(m.keyFile, passphrase)
}

func (m *member) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Make a key and encrypt it with a passphrase",
		Long: `init makes the key of a new account and writes it, encrypted with a passphrase,
to a file that only you can read. An existing file is never overwritten.

Keep a copy of the file and of the passphrase: whoever has both can spend, and
without them nobody can, not even the bank.`,
		Example: `  daobank member init
  daobank member init --key ~/keys/shop.key --passphrase-file ~/keys/shop.passphrase`,
		Args: cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			if _, err := os.Lstat(m.keyFile); err == nil {
				return fmt.Errorf("%s exists already and is not overwritten: name another file with --key", m.keyFile)
			}
			passphrase, err := askNewPassphrase(cmd, m.passphraseFile)
			if err != nil {
				return err
			}
			key, err := createKey(m.keyFile, passphrase)
			if err != nil {
				return err
			}
			return m.print(cmd, map[string]string{"key_file": m.keyFile, "key": key.String()},
				fmt.Sprintf("Your key is in %s.\nIts public part is %s.\nNext: daobank member open", m.keyFile, key))
		}),
	}
}
