package bitcoind

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// Scan is what a node's set of unspent outputs held for some descriptors.
type Scan struct {
	Height int32          // of the tip at the time of the scan
	Hash   chainhash.Hash // of that tip
	Total  btcutil.Amount // sum of Coins
	Coins  []ScanCoin
}

// ScanCoin is one unspent output.
type ScanCoin struct {
	OutPoint wire.OutPoint
	Script   []byte
	Amount   btcutil.Amount
	Height   int32 // of its block
}

// ScanDescriptor looks for the coins of output descriptors in the confirmed
// unspent outputs. A descriptor with a wildcard is expanded for the indexes 0
// to rangeEnd, both included. A node runs one scan at a time; calls through
// one Client wait for each other. btcd cannot: ErrUnsupported.
func (c *Client) ScanDescriptor(ctx context.Context, descriptors []string, rangeEnd int) (Scan, error) {
	type ranged struct {
		Descriptor string `json:"desc"`
		Range      int    `json:"range"`
	}
	objects := make([]any, 0, len(descriptors))
	for _, d := range descriptors {
		if strings.Contains(d, "*") {
			objects = append(objects, ranged{Descriptor: d, Range: rangeEnd})
		} else {
			objects = append(objects, d)
		}
	}
	c.scan.Lock()
	defer c.scan.Unlock()
	var r struct {
		Success   bool     `json:"success"`
		Height    int32    `json:"height"`
		BestBlock hashJSON `json:"bestblock"`
		Unspents  []struct {
			TxID   hashJSON `json:"txid"`
			Vout   uint32   `json:"vout"`
			Script string   `json:"scriptPubKey"`
			Amount float64  `json:"amount"`
			Height int32    `json:"height"`
		} `json:"unspents"`
	}
	err := c.Call(ctx, "scantxoutset", &r, "start", objects)
	if errors.Is(err, &RPCError{Code: CodeMethodNotFound}) {
		return Scan{}, fmt.Errorf("bitcoind: scan descriptors: %w", ErrUnsupported)
	}
	if err != nil {
		return Scan{}, err
	}
	if !r.Success {
		return Scan{}, errors.New("bitcoind: scan descriptors: the node broke it off")
	}
	scan := Scan{Height: r.Height, Hash: r.BestBlock.Hash, Coins: make([]ScanCoin, 0, len(r.Unspents))}
	for _, u := range r.Unspents {
		coin := ScanCoin{OutPoint: wire.OutPoint{Hash: u.TxID.Hash, Index: u.Vout}, Height: u.Height}
		if coin.Script, err = hex.DecodeString(u.Script); err != nil {
			return Scan{}, fmt.Errorf("bitcoind: script of %s: %w", coin.OutPoint, err)
		}
		if coin.Amount, err = btcutil.NewAmount(u.Amount); err != nil {
			return Scan{}, fmt.Errorf("bitcoind: amount of %s: %w", coin.OutPoint, err)
		}
		scan.Total += coin.Amount
		scan.Coins = append(scan.Coins, coin)
	}
	return scan, nil
}
