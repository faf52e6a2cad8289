package bitcoind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"golang.org/x/sync/errgroup"
)

// poolTx is one mempool transaction.
type poolTx struct {
	id      chainhash.Hash
	depends []string // its parents in the mempool
	fee     int64    // in satoshis
	score   float64  // fee with what Prioritise added, per virtual byte
	vsize   int64
	tx      *wire.MsgTx // nil when it cannot be mined: it left the mempool, or its inputs did
}

// weight is that of the block space it takes.
func (t *poolTx) weight() int64 {
	return int64(3*t.tx.SerializeSizeStripped() + t.tx.SerializeSize())
}

// pool reads the whole mempool. The template of getblocktemplate would be
// simpler, but both bitcoind and btcd keep one for seconds and then leave out a
// transaction that they accepted just before.
func (c *Client) pool(ctx context.Context) (map[string]*poolTx, error) {
	var entries map[string]struct {
		Depends []string `json:"depends"`
		VSize   int64    `json:"vsize"`
		Fee     float64  `json:"fee"` // btcd
		Fees    struct {
			Base     float64 `json:"base"`     // bitcoind
			Modified float64 `json:"modified"` // by Prioritise
		} `json:"fees"`
	}
	if err := c.Call(ctx, "getrawmempool", &entries, true); err != nil {
		return nil, err
	}
	pool := make(map[string]*poolTx, len(entries))
	for txid, entry := range entries {
		t := &poolTx{depends: entry.Depends, vsize: max(entry.VSize, 1)}
		if err := chainhash.Decode(&t.id, txid); err != nil {
			return nil, fmt.Errorf("bitcoind: mempool: %w", err)
		}
		var err error
		if t.fee, err = satoshis(max(entry.Fee, entry.Fees.Base)); err != nil {
			return nil, fmt.Errorf("bitcoind: mempool: fee of %s: %w", txid, err)
		}
		t.score = (entry.Fee + entry.Fees.Modified) / float64(t.vsize)
		pool[txid] = t
	}
	parent := ctx // the group's ends with the group
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, t := range pool {
		group.Go(func() error {
			tx, _, block, err := c.Tx(ctx, t.id)
			if err != nil && !errors.Is(err, ErrTxNotFound) {
				return err
			}
			if block == nil {
				t.tx = tx
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if c.btcd {
		return pool, c.dropOrphans(parent, pool)
	}
	return pool, nil
}

// selectTxs fills a block: the best score first, parents before children,
// whatever no longer fits left out with all its descendants. It does not look
// at the node's own floor for blocks, so a free transaction of the mempool is mined
// as well.
func selectTxs(pool map[string]*poolTx) (txs []*wire.MsgTx, fees int64) {
	order := make([]string, 0, len(pool))
	for txid := range pool {
		order = append(order, txid)
	}
	slices.SortFunc(order, func(a, b string) int {
		// Equal rates by txid, so that one mempool always makes one block.
		return cmp.Or(cmp.Compare(pool[b].score, pool[a].score), strings.Compare(a, b))
	})
	const (
		included = 1
		refused  = 2
	)
	state := make(map[string]int, len(pool))
	weight := int64(0)
	var visit func(txid string) bool
	visit = func(txid string) bool {
		if state[txid] != 0 {
			return state[txid] == included
		}
		state[txid] = refused // until proven otherwise; ends a cycle, which cannot be
		t := pool[txid]
		if t == nil || t.tx == nil {
			return false
		}
		for _, parent := range t.depends {
			if !visit(parent) {
				return false
			}
		}
		if weight+t.weight() > maxBlockWeight {
			return false
		}
		state[txid] = included
		weight += t.weight()
		txs, fees = append(txs, t.tx), fees+t.fee
		return true
	}
	for _, txid := range order {
		visit(txid)
	}
	return txs, fees
}
