package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// A bankDir is the folder "bank" of a data directory:
//
//	bank.json        what everyone may know: charter and vault policy
//	group.json       what every guardian knows: the public shares
//	operator.key     the key that signs batch headers, 0600
//	guardian-N.share a guardian's share, 0600; moved away, that guardian is away
//
// It is made in one rename, so it is there whole or not at all.
type bankDir struct {
	bankFile
	path     string
	operator *btcec.PrivateKey
}

// founding is what a new bank is made with.
type founding struct {
	Name      string
	Depth     uint32
	Threshold int
	Guardians int
}

func defaultFounding() founding {
	return founding{Name: "regtest bank", Depth: 3, Threshold: 3, Guardians: 5}
}

const (
	withdrawalMin = 1_000  // satoshis
	recoveryDelay = 52_560 // blocks: a year
)

// openBankDir reads the bank of a data directory, or founds one there.
func openBankDir(ctx context.Context, data string, node *bitcoind.Client, f founding, log *slog.Logger) (*bankDir, error) {
	path := filepath.Dir(filepath.Join(data, bankFileName))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := found(ctx, path, node, f); err != nil {
			return nil, fmt.Errorf("found a bank in %s: %w", data, err)
		}
		log.Info("founded a bank", "name", f.Name, "guardians", f.Guardians, "threshold", f.Threshold, "dir", path)
	}
	d := &bankDir{path: path}
	var err error
	if d.bankFile, err = readBankFile(filepath.Join(data, bankFileName)); err != nil {
		return nil, err
	}
	genesis, err := node.BlockHash(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	if ledger.Hash(genesis) != d.Charter.Chain {
		return nil, fmt.Errorf("the node follows another chain (genesis %s) than this bank: give the node that the bank was founded on", genesis)
	}
	secret, err := readSecret(filepath.Join(path, "operator.key"))
	if err != nil {
		return nil, err
	}
	d.operator, _ = btcec.PrivKeyFromBytes(secret)
	clear(secret)
	if ledger.KeyOf(d.operator) != d.Charter.Operator {
		return nil, fmt.Errorf("%s is not the key of the bank's operator", filepath.Join(path, "operator.key"))
	}
	return d, nil
}

// found makes a new bank beside path and moves it there whole.
func found(ctx context.Context, path string, node *bitcoind.Client, f founding) error {
	genesis, err := node.BlockHash(ctx, 0)
	if err != nil {
		return err
	}
	if genesis != *chaincfg.RegressionNetParams.GenesisHash {
		return errors.New("the guardians' shares are dealt inside this process, which is for regtest only: point --bitcoind at a regtest node")
	}
	tip, err := node.Tip(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".founding-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := foundIn(dir, tip, f); err != nil {
		return err
	}
	if err := os.Rename(dir, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func foundIn(dir string, tip bitcoind.Block, f founding) error {
	operator, err := btcec.NewPrivateKey()
	if err != nil {
		return err
	}
	group, shares, err := frost.TrustedDealer(f.Threshold, f.Guardians, nil)
	if err != nil {
		return err
	}
	recovery, err := dealRecovery(dir, f)
	if err != nil {
		return err
	}
	charter := ledger.Charter{Name: f.Name, Chain: ledger.Hash(*chaincfg.RegressionNetParams.GenesisHash),
		Operator: ledger.KeyOf(operator), BirthHeight: uint32(tip.Height), BirthHash: ledger.Hash(tip.Hash),
		Depth: f.Depth, WithdrawalMin: withdrawalMin}
	if err := charter.Validate(); err != nil {
		return err
	}
	policy := taproot.Policy{Threshold: f.Threshold, Guardians: f.Guardians, GroupKey: group.Key(),
		Recovery: recovery, Network: "regtest"}
	if err := policy.Validate(); err != nil {
		return err
	}
	for _, share := range shares {
		secret, err := share.Reveal()
		if err != nil {
			return err
		}
		err = writeSecret(filepath.Join(dir, shareName(share.ID())), secret)
		clear(secret)
		share.Wipe()
		if err != nil {
			return err
		}
	}
	if err := writeSecret(filepath.Join(dir, "operator.key"), operator.Serialize()); err != nil {
		return err
	}
	info, err := json.MarshalIndent(group.Info(), "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "group.json"), append(info, '\n'), 0o644); err != nil {
		return err
	}
	return writeBankFile(filepath.Join(dir, filepath.Base(bankFileName)), bankFile{Charter: charter, Policy: policy})
}

// dealRecovery makes the keys of the recovery leaf, as many as guardians and
// with the same threshold, which open it after a year.
func dealRecovery(dir string, f founding) (taproot.Recovery, error) {
	r := taproot.Recovery{Threshold: f.Threshold, Delay: recoveryDelay}
	for i := range f.Guardians {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			return r, err
		}
		r.Keys = append(r.Keys, taproot.XOnlyKey(ledger.KeyOf(key)))
		if err := writeSecret(filepath.Join(dir, fmt.Sprintf("recovery-%d.key", i)), key.Serialize()); err != nil {
			return r, err
		}
		key.Zero()
	}
	return r, nil
}

func shareName(id frost.ID) string { return fmt.Sprintf("guardian-%d.share", id) }

// shares reads the group and the shares that are there.
func (d *bankDir) shares() (*frost.Group, []*frost.Share, error) {
	raw, err := os.ReadFile(filepath.Join(d.path, "group.json"))
	if err != nil {
		return nil, nil, err
	}
	var info frost.ThresholdInfo
	if err := json.Unmarshal(raw, &info); err != nil {
		return nil, nil, fmt.Errorf("group.json: %w", err)
	}
	group, err := frost.NewGroup(info)
	if err != nil {
		return nil, nil, fmt.Errorf("group.json: %w", err)
	}
	var shares []*frost.Share
	for id := range frost.ID(group.Participants()) {
		secret, err := readSecret(filepath.Join(d.path, shareName(id)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		share, err := frost.NewShare(id, secret)
		clear(secret)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", shareName(id), err)
		}
		shares = append(shares, share)
	}
	return group, shares, nil
}

// writeSecret writes 32 bytes in hex to a new file that only its owner can read.
func writeSecret(path string, secret []byte) error {
	text := hex.AppendEncode(nil, secret)
	defer clear(text)
	return writeFile(path, append(text, '\n'), 0o600)
}

// readSecret reads what writeSecret wrote and refuses a file that others can read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others: chmod 600 it, and think of its key as known", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	secret := make([]byte, 32)
	if len(text) < 64 {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	if _, err := hex.Decode(secret, text[:64]); err != nil {
		return nil, fmt.Errorf("%s holds no key", path)
	}
	return secret, nil
}

// writeFile writes a new file and makes it durable.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
