package bitcoind

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// Broadcast gives a transaction to the node. It returns nil when the node has
// it afterwards, also if it was in the mempool or in a block before; it is
// safe to repeat. A refusal is an *RPCError whose message is the node's
// reason. A node refuses fee rates above 0.1 BTC per 1,000 virtual bytes.
func (c *Client) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	raw, err := encodeHex(tx.Serialize)
	if err != nil {
		return fmt.Errorf("bitcoind: broadcast: %w", err)
	}
	err = c.Call(ctx, "sendrawtransaction", nil, raw)
	var refused *RPCError
	if !errors.As(err, &refused) {
		return err
	}
	// Nodes differ in how they refuse what they already have, and bitcoind
	// calls the inputs of a confirmed, spent transaction missing. So ask.
	_, _, _, lookup := c.Tx(ctx, tx.TxHash())
	switch {
	case lookup == nil:
		return nil
	case errors.Is(lookup, ErrTxNotFound):
		return err
	}
	return fmt.Errorf("bitcoind: broadcast: refused (%s), and whether the node has it already cannot be known: %w", refused.Message, lookup)
}

// Tx returns a transaction of the mempool or the active chain, its
// confirmations (zero in the mempool) and its block (nil in the mempool), or
// ErrTxNotFound, also for one whose block was disconnected and which did not
// return to the mempool. A node without txindex finds only its mempool; one that
// is making its txindex gives ErrIndexing for what it has not found yet.
func (c *Client) Tx(ctx context.Context, txid chainhash.Hash) (tx *wire.MsgTx, confirmations int64, block *chainhash.Hash, err error) {
	var r struct {
		Hex           string   `json:"hex"`
		Confirmations int64    `json:"confirmations"`
		BlockHash     hashJSON `json:"blockhash"`
	}
	err = c.Call(ctx, "getrawtransaction", &r, txid.String(), 1)
	inBlock := r.BlockHash.Hash != chainhash.Hash{}
	switch {
	case errors.Is(err, &RPCError{Code: CodeNotFound}):
		if err = c.indexed(ctx); err == nil {
			err = ErrTxNotFound
		}
		return nil, 0, nil, fmt.Errorf("bitcoind: transaction %s: %w", txid, err)
	case err == nil && inBlock && r.Confirmations <= 0:
		return nil, 0, nil, fmt.Errorf("bitcoind: transaction %s: %w", txid, ErrTxNotFound)
	case err != nil:
		return nil, 0, nil, err
	}
	if tx, err = decodeTx(r.Hex); err != nil {
		return nil, 0, nil, fmt.Errorf("bitcoind: transaction %s: %w", txid, err)
	}
	if inBlock {
		block = &r.BlockHash.Hash
	}
	return tx, r.Confirmations, block, nil
}

// indexed returns ErrIndexing while the node makes its txindex, which it does in
// the background, also after a crash. btcd makes it before it answers.
func (c *Client) indexed(ctx context.Context) error {
	if c.btcd {
		return nil
	}
	var r struct {
		TxIndex *struct {
			Synced bool `json:"synced"`
		} `json:"txindex"` // absent when the node keeps none
	}
	if err := c.Call(ctx, "getindexinfo", &r); err != nil {
		return err
	}
	if r.TxIndex != nil && !r.TxIndex.Synced {
		return ErrIndexing
	}
	return nil
}

// InMempool reports whether the transaction waits in the mempool.
func (c *Client) InMempool(ctx context.Context, txid chainhash.Hash) (bool, error) {
	_, _, block, err := c.Tx(ctx, txid)
	if errors.Is(err, ErrTxNotFound) {
		return false, nil
	}
	return err == nil && block == nil, err
}

func decodeTx(raw string) (*wire.MsgTx, error) {
	var tx wire.MsgTx
	if err := tx.Deserialize(hex.NewDecoder(strings.NewReader(raw))); err != nil {
		return nil, err
	}
	return &tx, nil
}
