package bitcoind

import (
	"context"

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
