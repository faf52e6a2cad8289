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
//	founding.json    what guardians agreed to; made by "daobank found", with both keys, in one rename
//	operator.key     the key that signs batch headers, 0600
//	coordinator.key  the key by which guardians know this end, 0600
//	group.json       the public shares, once the guardians have made their key
//	bank.json        what everyone may know: charter and vault policy; written last
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
	raw, err := os.ReadFile(filepath.Join(data, foundingFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no bank in %s: write its founding document first, with: daobank found --data %s", data, data)
	}
	if err != nil {
		return nil, err
	}
	if d.founding, err = guardian.ParseFounding(raw); err != nil {
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

// finished reports whether the guardians have made their key.
func (d *bankDir) finished() bool {
	_, err := os.Stat(filepath.Join(d.path, filepath.Base(bankFileName)))
	return err == nil
}

// finish keeps the group that the guardians have made. The group's file comes
// first, so that a bank file never stands without it.
func (d *bankDir) finish(group *frost.Group) error {
	info, err := json.MarshalIndent(group.Info(), "", "  ")
	if err != nil {
		return err
	}
	if err := keyfile.Replace(filepath.Join(d.path, "group.json"), append(info, '\n'), 0o644); err != nil {
		return err
	}
	d.Policy = d.founding.Policy(group.Key())
	return writeBankFile(filepath.Join(d.path, filepath.Base(bankFileName)), d.bankFile)
}

// group is the guardians' group, whose key the policy names.
func (d *bankDir) group() (*frost.Group, error) {
	raw, err := os.ReadFile(filepath.Join(d.path, "group.json"))
	if err != nil {
		return nil, err
	}
	var info frost.ThresholdInfo
	if err := json.Unmarshal(raw, &info); err != nil {
		return nil, fmt.Errorf("group.json: %w", err)
	}
	group, err := frost.NewGroup(info)
	if err != nil {
		return nil, fmt.Errorf("group.json: %w", err)
	}
	if group.Key() != d.Policy.GroupKey {
		return nil, errors.New("group.json is of another group than bank.json")
	}
	return group, nil
}

// hostKeys are the guardians' public host keys, by id.
func (d *bankDir) hostKeys() ([]*btcec.PublicKey, error) {
	keys := make([]*btcec.PublicKey, len(d.founding.Guardians))
	for i, g := range d.founding.Guardians {
		var err error
		if keys[i], err = btcec.ParsePubKey(g[:]); err != nil {
			return nil, fmt.Errorf("host key of guardian %d: %w", i, err)
		}
	}
	return keys, nil
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
