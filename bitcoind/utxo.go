package bitcoind

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
)

// UTXO returns an unspent output in the active chain and its number of
// confirmations; nil when there is no such output or a block spends it. What
// the mempool does is left out.
func (c *Client) UTXO(ctx context.Context, at wire.OutPoint) (out *wire.TxOut, confirmations int64, err error) {
	var r *struct {
		Confirmations int64   `json:"confirmations"`
		Value         float64 `json:"value"` // bitcoins
		Script        struct {
			Hex string `json:"hex"`
		} `json:"scriptPubKey"`
	}
	if err := c.Call(ctx, "gettxout", &r, at.Hash.String(), at.Index, false); err != nil || r == nil {
		return nil, 0, err
	}
	script, err := hex.DecodeString(r.Script.Hex)
	if err != nil {
		return nil, 0, fmt.Errorf("bitcoind: output %s: %w", at, err)
	}
	value, err := btcutil.NewAmount(r.Value)
	if err != nil {
		return nil, 0, fmt.Errorf("bitcoind: output %s: %w", at, err)
	}
	return wire.NewTxOut(int64(value), script), r.Confirmations, nil
}
