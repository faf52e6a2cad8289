package processor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
)

// book is all that must survive a restart.
type book struct {
	Tip      bitcoind.Block     `json:"tip"` // coins and heights are as of this block
	Invoices []Invoice          `json:"invoices"`
	Coins    []Coin             `json:"coins"` // ever received in the chain up to Tip
	Payouts  map[string]*Payout `json:"payouts"`

	path   string
	change []byte // script of that key
}

// Coin is an output that a key of the processor can spend.
type Coin struct {
	OutPoint  wire.OutPoint `json:"outpoint"`
	AmountSat int64         `json:"amount_sat"`
	Key       uint32        `json:"key"`
	Height    int32         `json:"height"`
}

func openBook(path string, start bitcoind.Block) (*book, error) {
	b := &book{Tip: start, Payouts: make(map[string]*Payout), path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, b); err != nil {
		return nil, fmt.Errorf("book %s: %w", path, err)
	}
	return b, nil
}

// save replaces the file, whole or not at all.
func (b *book) save() error {
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(b.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(b.path+".new", b.path)
}

// keyOf returns the number of the key that an output script pays.
func (b *book) keyOf(script []byte) (number uint32, ours bool) {
	if bytes.Equal(script, b.change) {
		return change, true
	}
	for _, invoice := range b.Invoices {
		if bytes.Equal(script, invoice.Script) {
			return invoice.Number, true
		}
	}
	return 0, false
}

// payoutOf returns the payout of which a transaction is a version, or nil.
func (b *book) payoutOf(txid chainhash.Hash) *Payout {
	for _, payout := range b.Payouts {
		for _, version := range payout.Versions {
			if version.TxID == txid {
				return payout
			}
		}
	}
	return nil
}

// reserved are the coins that payouts spend.
func (b *book) reserved() map[wire.OutPoint]bool {
	reserved := make(map[wire.OutPoint]bool)
	for _, payout := range b.Payouts {
		for _, coin := range payout.Coins {
			reserved[coin.OutPoint] = true
		}
	}
	return reserved
}
