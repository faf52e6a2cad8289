package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// A bankDir is the folder "bank" of a data directory:
//
//	founding.json      what guardians agreed to; made by "daobank found", with both keys, in one rename
//	succession-N.json  what the guardians of generation N agree to; made by "daobank rotate"
//	operator.key       the key that signs batch headers, 0600
//	coordinator.key    the key by which guardians know this end, 0600
//	key-HASH.json      the proof that the guardians of a document made their key; named after the document
//	operator.sock      where the running serve answers its operator
//	bank.json          what everyone may know: charter and vault policies; written last
//
// It holds no share of the vault's key.
type bankDir struct {
	bankFile // zero until the guardians have made their key

	path        string
	founding    *guardian.Founding
	operator    *btcec.PrivateKey
	coordinator *btcec.PrivateKey
}

// foundingFileName is where a data directory keeps its founding document.
var foundingFileName = filepath.Join(filepath.Dir(bankFileName), "founding.json")

// openBankDir reads the bank of a data directory.
func openBankDir(ctx context.Context, data string, node *bitcoind.Client) (*bankDir, error) {
	d := &bankDir{path: filepath.Dir(filepath.Join(data, bankFileName))}
	var err error
	d.founding, err = parseFounding(filepath.Join(data, foundingFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no bank in %s: write its founding document first, with: daobank found --data %s", data, data)
	}
	if err != nil {
		return nil, err
	}
	if err := d.readKeys(); err != nil {
		return nil, err
	}
	if d.Charter, err = d.founding.Charter(); err != nil {
		return nil, err
	}
	genesis, err := node.BlockHash(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	if ledger.Hash(genesis) != d.Charter.Chain {
		return nil, fmt.Errorf("the node follows another chain (genesis %s) than this bank: give the node that the bank was founded on", genesis)
	}
	if !d.finished() {
		return d, nil
	}
	d.bankFile, err = readBankFile(filepath.Join(data, bankFileName))
	return d, err
}

// readKeys reads both secrets and compares them with the founding document.
func (d *bankDir) readKeys() (err error) {
	if d.operator, err = readSecret(filepath.Join(d.path, "operator.key")); err != nil {
		return err
	}
	if ledger.KeyOf(d.operator) != d.founding.Operator {
		return fmt.Errorf("%s is not the key of the bank's operator", filepath.Join(d.path, "operator.key"))
	}
	if d.coordinator, err = readSecret(filepath.Join(d.path, "coordinator.key")); err != nil {
		return err
	}
	if chilldkg.HostPublicKey(d.coordinator.PubKey().SerializeCompressed()) != d.founding.Coordinator {
		return fmt.Errorf("%s is not the key of the bank's coordinator", filepath.Join(d.path, "coordinator.key"))
	}
	return nil
}

// finished reports whether the guardians have made the vault's first key.
func (d *bankDir) finished() bool {
	_, err := os.Stat(filepath.Join(d.path, filepath.Base(bankFileName)))
	return err == nil
}

// finish makes the bank public, once its guardians' proof is kept.
func (d *bankDir) finish(group *frost.Group) error {
	d.Policy = d.founding.Policy(group.Key())
	return d.publish()
}

// publish writes what everyone may know.
func (d *bankDir) publish() error {
	return writeBankFile(filepath.Join(d.path, filepath.Base(bankFileName)), d.bankFile)
}

// document is what the guardians of a generation agreed to. The error wraps
// fs.ErrNotExist when there is none.
func (d *bankDir) document(generation uint32) (*guardian.Founding, error) {
	if generation == 0 {
		return d.founding, nil
	}
	return parseFounding(d.successionPath(generation))
}

func (d *bankDir) successionPath(generation uint32) string {
	return filepath.Join(d.path, fmt.Sprintf("succession-%d.json", generation))
}

// A keyFile shows that the guardians of a document made their key. It is public.
type keyFile struct {
	Document *guardian.Founding `json:"document"`
	guardian.KeyProof
}

// made reads the proof that the guardians of a document made their key. The error
// wraps fs.ErrNotExist when they have not.
func (d *bankDir) made(f *guardian.Founding) (*keyFile, *frost.Group, error) {
	return readKeyFile(d.keyPath(f))
}

func readKeyFile(path string) (*keyFile, *frost.Group, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	k := &keyFile{}
	err = json.Unmarshal(raw, k)
	if err == nil && k.Document == nil {
		err = errors.New("it names no document")
	}
	var group *frost.Group
	if err == nil {
		group, err = k.Group(k.Document)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return k, group, nil
}

// holders are the guardians who made a key.
func (d *bankDir) holders(key frost.PublicKey) (*keyFile, *frost.Group, error) {
	paths, err := filepath.Glob(filepath.Join(d.path, "key-*.json"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		k, group, err := readKeyFile(path)
		if err != nil {
			return nil, nil, err
		}
		if group.Key() == key {
			return k, group, nil
		}
	}
	return nil, nil, fmt.Errorf("no key-….json in %s is of the vault's key %s", d.path, key)
}

// keep keeps a proof.
func (d *bankDir) keep(f *guardian.Founding, proof *guardian.KeyProof) error {
	raw, err := json.Marshal(keyFile{Document: f, KeyProof: *proof})
	if err != nil {
		return err
	}
	return keyfile.Replace(d.keyPath(f), append(raw, '\n'), 0o644)
}

func (d *bankDir) keyPath(f *guardian.Founding) string {
	return filepath.Join(d.path, fmt.Sprintf("key-%.16s.json", f.Hash()))
}

// writeSecret writes 32 bytes in hex to a new file that only its owner can read.
func writeSecret(path string, secret []byte) error {
	text := hex.AppendEncode(nil, secret)
	defer clear(text)
	return keyfile.WriteNew(path, append(text, '\n'), 0o600)
}

// readSecret reads what writeSecret wrote and refuses a file that others can read.
func readSecret(path string) (*btcec.PrivateKey, error) {
	text, err := keyfile.ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	secret := make([]byte, 32)
	defer clear(secret)
	if len(text) < 64 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	if _, err := hex.Decode(secret, text[:64]); err != nil {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	return key, nil
}
