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
	TxConfirmed                             // Change.TxID is in Change.Block, which is connected next
)

// Change is one step of the active chain or of the mempool.
type Change struct {
	Kind  ChangeKind
	Block Block          // of the block kinds and TxConfirmed
	TxID  chainhash.Hash // of the transaction kinds
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
	case TxConfirmed:
		return "confirmed: " + c.TxID.String() + " in block " + c.Block.String()
	}
	return fmt.Sprintf("change of kind %d", c.Kind)
}

// Watch is Follow for transactions as well. It begins with the blocks after from
// and then what the mempool holds. Nothing is repeated, and applying the changes
// always leaves a chain that the node had, with a mempool that it had on that
// chain.
//
// What is mined is never missed: each transaction of a block, the coinbase too, is
// TxConfirmed before the block is BlockConnected, in the block's order, also when
// it was never seen in the mempool. BlockDisconnected takes back what was
// confirmed in that block. A consumer that stores the last block connected and
// begins from it again may see the TxConfirmed of one more block twice, and
// misses none.
//
// The mempool is looked at, every Config.Poll, or sooner by ZMQ. A transaction
// that is there at a look is TxEntered, and TxLeft at the first look at which it
// is not; those of one look come in no order. One that enters and, without
// being mined, leaves between two looks is not reported: it was replaced,
// evicted or lost with the node. One that is confirmed leaves right after its
// block. A node that restarts is waited for until it has read its mempool back.
//
// The sequence ends as Follow's does.
func (c *Client) Watch(ctx context.Context, from Block) iter.Seq2[Change, error] {
	return stream(ctx, c, func() func(context.Context) (Change, bool, error) {
		w := &watcher{follower: follower{client: c, at: from}, pool: make(map[chainhash.Hash]bool)}
		w.follower.read = w.read
		return w.step
	})
}

type watcher struct {
	follower follower
	pool     map[chainhash.Hash]bool // as reported
	block    []chainhash.Hash        // of the block that is connected next
	pending  []Change                // of one look at the mempool, or one block
}

// step reports one change: first of the chain, and of the mempool only while
// the chain stands still.
func (w *watcher) step(ctx context.Context) (Change, bool, error) {
	if len(w.pending) == 0 {
		event, moved, err := w.follower.step(ctx)
		switch {
		case err != nil:
			return Change{}, false, err
		case moved:
			w.moved(event)
		default:
			err = w.look(ctx)
		}
		if err != nil || len(w.pending) == 0 {
			return Change{}, false, err
		}
	}
	change := w.pending[0]
	w.pending = w.pending[1:]
	switch change.Kind {
	case TxEntered:
		w.pool[change.TxID] = true
	case TxLeft:
		delete(w.pool, change.TxID)
	}
	return change, true, nil
}

// read asks for the transactions of a block before the follower steps on it: once
// it has, the node may lose the block before it tells.
func (w *watcher) read(ctx context.Context, block chainhash.Hash) (err error) {
	w.block, err = w.follower.client.blockTxs(ctx, block)
	return err
}

// moved reports a step of the chain.
func (w *watcher) moved(event Event) {
	if !event.Connected {
		w.pending = append(w.pending, Change{Kind: BlockDisconnected, Block: event.Block})
		return
	}
	for _, txid := range w.block {
		w.pending = append(w.pending, Change{Kind: TxConfirmed, Block: event.Block, TxID: txid})
	}
	w.pending = append(w.pending, Change{Kind: BlockConnected, Block: event.Block})
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
