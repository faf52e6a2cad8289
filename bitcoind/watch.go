package bitcoind

import (
	"context"
	"fmt"
	"iter"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// ChangeKind says what changed.
type ChangeKind int

const (
	BlockConnected    ChangeKind = iota + 1 // Change.Block was put on top
	BlockDisconnected                       // Change.Block was the top and was taken off
	TxEntered                               // Change.TxID is in the mempool now
	TxLeft                                  // Change.TxID is no longer, for whatever reason
)

// Change is one step of the active chain or of the mempool.
type Change struct {
	Kind  ChangeKind
	Block Block          // of the first two kinds
	TxID  chainhash.Hash // of the last two
}

// String returns the change as people read it.
func (c Change) String() string {
	switch c.Kind {
	case BlockConnected, BlockDisconnected:
		return Event{Connected: c.Kind == BlockConnected, Block: c.Block}.String()
	case TxEntered:
		return "entered the mempool: " + c.TxID.String()
	case TxLeft:
		return "left the mempool: " + c.TxID.String()
	}
	return fmt.Sprintf("change of kind %d", c.Kind)
}

// Watch is Follow for the mempool as well. It begins with the blocks after from
// and then what the mempool holds. No change is skipped or repeated: applying
// them always leaves a chain that the node had, with a mempool that it had on
// that chain. A transaction that enters and leaves between two looks is not
// reported, though its block is. One that is confirmed leaves right after its
// block; one that leaves without a block was replaced, evicted or expired.
// Transactions of one look come in no order. A node that restarts is waited for
// until it has read its mempool back. The sequence ends as Follow's does.
func (c *Client) Watch(ctx context.Context, from Block) iter.Seq2[Change, error] {
	return stream(ctx, c, func() func(context.Context) (Change, bool, error) {
		w := watcher{follower: follower{client: c, at: from}, pool: make(map[chainhash.Hash]bool)}
		return w.step
	})
}

type watcher struct {
	follower follower
	pool     map[chainhash.Hash]bool // as reported
	pending  []Change                // of one look at the mempool
}

// step reports one change: first of the chain, and of the mempool only while
// the chain stands still.
func (w *watcher) step(ctx context.Context) (Change, bool, error) {
	if len(w.pending) == 0 {
		event, moved, err := w.follower.step(ctx)
		if err != nil || moved {
			kind := BlockDisconnected
			if event.Connected {
				kind = BlockConnected
			}
			return Change{Kind: kind, Block: event.Block}, moved, err
		}
		if err := w.look(ctx); err != nil || len(w.pending) == 0 {
			return Change{}, false, err
		}
	}
	change := w.pending[0]
	w.pending = w.pending[1:]
	if change.Kind == TxEntered {
		w.pool[change.TxID] = true
	} else {
		delete(w.pool, change.TxID)
	}
	return change, true, nil
}

// look compares the mempool with what was reported. It does nothing while a
// starting node reads its mempool from disk, where transactions would seem to
// leave and come back, or when a block came in between.
func (w *watcher) look(ctx context.Context) error {
	c := w.follower.client
	if loaded, err := c.mempoolLoaded(ctx); err != nil || !loaded {
		return err
	}
	txids, err := c.Mempool(ctx)
	if err != nil {
		return err
	}
	var best hashJSON
	if err := c.Call(ctx, "getbestblockhash", &best); err != nil || best.Hash != w.follower.at.Hash {
		return err
	}
	now := setOf(txids)
	for txid := range w.pool {
		if !now[txid] {
			w.pending = append(w.pending, Change{Kind: TxLeft, TxID: txid})
		}
	}
	for _, txid := range txids {
		if !w.pool[txid] {
			w.pending = append(w.pending, Change{Kind: TxEntered, TxID: txid})
		}
	}
	return nil
}
