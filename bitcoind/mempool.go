package bitcoind

import (
	"context"
	"errors"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// Mempool returns the ids of the mempool's transactions, in no order.
func (c *Client) Mempool(ctx context.Context) ([]chainhash.Hash, error) {
	var r []hashJSON
	if err := c.Call(ctx, "getrawmempool", &r); err != nil {
		return nil, err
	}
	txids := make([]chainhash.Hash, len(r))
	for i, txid := range r {
		txids[i] = txid.Hash
	}
	return txids, nil
}

// MempoolInfo is the state of a mempool. Rates are in satoshis per 1,000 virtual
// bytes. btcd tells only Count and VBytes.
type MempoolInfo struct {
	Count       int
	VBytes      int64
	Usage       int64 // bytes of memory, which the limit is about
	Limit       int64 // of Usage
	Floor       int64 // the least rate that enters now; rises while the mempool is full
	MinRelay    int64 // the least that Floor can be
	Incremental int64 // the step by which a replacement pays more, and Floor rises
}

// MempoolInfo returns the state of the mempool.
func (c *Client) MempoolInfo(ctx context.Context) (MempoolInfo, error) {
	var r struct {
		Size        int        `json:"size"`
		Bytes       int64      `json:"bytes"`
		Usage       int64      `json:"usage"`
		Max         int64      `json:"maxmempool"`
		Floor       amountJSON `json:"mempoolminfee"`
		MinRelay    amountJSON `json:"minrelaytxfee"`
		Incremental amountJSON `json:"incrementalrelayfee"`
	}
	err := c.Call(ctx, "getmempoolinfo", &r)
	return MempoolInfo{
		Count: r.Size, VBytes: r.Bytes, Usage: r.Usage, Limit: r.Max,
		Floor: int64(r.Floor.Amount), MinRelay: int64(r.MinRelay.Amount), Incremental: int64(r.Incremental.Amount),
	}, err
}

// mempoolLoaded reports whether a node that has just started has read its mempool
// back from disk, which it does in the background. btcd keeps none.
func (c *Client) mempoolLoaded(ctx context.Context) (bool, error) {
	var r struct {
		Loaded *bool `json:"loaded"` // btcd has none
	}
	err := c.Call(ctx, "getmempoolinfo", &r)
	return r.Loaded == nil || *r.Loaded, err
}

// Prioritise makes the node count a transaction's fee as higher by an amount,
// or lower by a negative one, when it chooses what to mine and what to evict.
// Calls add up. The transaction need not be in the mempool yet.
func (c *Client) Prioritise(ctx context.Context, txid chainhash.Hash, delta btcutil.Amount) error {
	return c.Call(ctx, "prioritisetransaction", nil, txid.String(), 0, int64(delta))
}

// Relay returns two rates of MempoolInfo: what enters the mempool now, and the step
// by which a replacement pays more.
func (c *Client) Relay(ctx context.Context) (floor, step int64, err error) {
	info, err := c.MempoolInfo(ctx)
	return max(info.Floor, info.MinRelay), info.Incremental, err
}

// PooledFees returns what a transaction of the mempool and all that is built on it
// there pay, in satoshis: what one that replaces it has to exceed (BIP-125, rule 3).
// pooled is false when it is not in the mempool.
func (c *Client) PooledFees(ctx context.Context, txid chainhash.Hash) (sat int64, pooled bool, err error) {
	if c.btcd { // has no getmempoolentry
		return c.sumFees(ctx, txid)
	}
	var r struct {
		Fees struct {
			Descendant amountJSON `json:"descendant"`
		} `json:"fees"`
	}
	err = c.Call(ctx, "getmempoolentry", &r, txid.String())
	if errors.Is(err, &RPCError{Code: CodeNotFound}) {
		return 0, false, nil
	}
	return int64(r.Fees.Descendant.Amount), err == nil, err
}

// sumFees is PooledFees from a copy of the whole mempool.
func (c *Client) sumFees(ctx context.Context, txid chainhash.Hash) (sat int64, pooled bool, err error) {
	pool, err := c.pool(ctx)
	if err != nil || pool[txid.String()] == nil {
		return 0, false, err
	}
	counted := map[string]bool{txid.String(): true}
	sat = pool[txid.String()].fee
	for grown := true; grown; {
		grown = false
		for id, t := range pool {
			if !counted[id] && slices.ContainsFunc(t.depends, func(parent string) bool { return counted[parent] }) {
				counted[id], grown = true, true
				sat += t.fee
			}
		}
	}
	return sat, true, nil
}
