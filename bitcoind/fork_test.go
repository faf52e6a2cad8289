package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// reorgIDs are transactions by the letters of TestReorgTable.
type reorgIDs map[string]chainhash.Hash

// names returns the letters of transactions in order, and a stranger in full.
func (id reorgIDs) names(txids []chainhash.Hash) string {
	var found []string
	for name, txid := range id {
		if slices.Contains(txids, txid) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	if len(found) != len(txids) {
		found = append(found, fmt.Sprint(txids))
	}
	return strings.Join(found, " ")
}

var reorgCases = []struct {
	name    string
	options func(reorgIDs, *wire.MsgTx) []ReorgOption

	reconfirmed, returned, evicted string
	err                            error
}{
	{name: "an empty chain", returned: "A B C"},
	{name: "all kept", reconfirmed: "A B C", options: func(reorgIDs, *wire.MsgTx) []ReorgOption { return []ReorgOption{ReorgKeepAll()} }},
	{name: "one kept", reconfirmed: "C", returned: "A B", options: func(id reorgIDs, _ *wire.MsgTx) []ReorgOption { return []ReorgOption{ReorgKeep(id["C"])} }},
	{name: "a child kept with its parent", reconfirmed: "A B", returned: "C", options: func(id reorgIDs, _ *wire.MsgTx) []ReorgOption {
		return []ReorgOption{ReorgKeep(id["B"]), ReorgLonger(3)}
	}},
	{name: "a parent dropped with its child", reconfirmed: "C", returned: "A B", options: func(id reorgIDs, _ *wire.MsgTx) []ReorgOption {
		return []ReorgOption{ReorgKeepAll(), ReorgDrop(id["A"])}
	}},
	{name: "a double spend", reconfirmed: "C", evicted: "A B", options: func(id reorgIDs, d *wire.MsgTx) []ReorgOption {
		return []ReorgOption{ReorgKeepAll(), ReorgReplace(id["A"], d)}
	}},
	{name: "keep what is dropped", err: ErrCannotKeep, options: func(id reorgIDs, _ *wire.MsgTx) []ReorgOption {
		return []ReorgOption{ReorgKeep(id["A"]), ReorgDrop(id["A"])}
	}},
	{name: "keep a child of what is dropped", err: ErrCannotKeep, options: func(id reorgIDs, _ *wire.MsgTx) []ReorgOption {
		return []ReorgOption{ReorgKeep(id["B"]), ReorgDrop(id["A"])}
	}},
	{name: "keep what is not there", err: ErrCannotKeep, options: func(id reorgIDs, _ *wire.MsgTx) []ReorgOption {
		return []ReorgOption{ReorgKeep(id["M"])}
	}},
}

// TestReorgTable sends A and its child B in one block, C in the next, leaves M
// in the mempool, and replaces both blocks. D is a double spend of A.
func TestReorgTable(t *testing.T) {
	node := Start(t, append(local(), WithBlocks(120))...)
	for _, test := range reorgCases {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			first, second, third := fundKey(t, node, 100_000), fundKey(t, node, 100_000), fundKey(t, node, 100_000)
			_, err := node.Mine(ctx, 1)
			must(t, err)
			fork, err := node.Tip(ctx)
			must(t, err)
			a := first.spend(t, first.script, 1000)
			b := spendable{key: first.key, script: first.script, amount: 99_000, coin: wire.OutPoint{Hash: a.TxHash()}}.spend(t, someScript(t), 1000)
			c, d, m := second.spend(t, someScript(t), 1000), first.spend(t, someScript(t), 3000), third.spend(t, someScript(t), 1000)
			id := reorgIDs{"A": a.TxHash(), "B": b.TxHash(), "C": c.TxHash(), "M": m.TxHash()}
			_, err = node.Mine(ctx, 1, MineTxs(a, b))
			must(t, err)
			_, err = node.Mine(ctx, 1, MineTxs(c))
			must(t, err)
			must(t, node.Broadcast(ctx, m))
			before, err := node.Tip(ctx)
			must(t, err)

			var options []ReorgOption
			if test.options != nil {
				options = test.options(id, d)
			}
			result, err := node.Reorg(ctx, 2, options...)
			tip, lookup := node.Tip(ctx)
			must(t, lookup)
			if test.err != nil {
				if !errors.Is(err, test.err) || tip != before {
					t.Errorf("%v and tip %v, want %v and the tip as before", err, tip, test.err)
				}
				return
			}
			must(t, err)
			if result.Fork != fork || len(result.Disconnected) != 2 || result.Disconnected[0] != before ||
				len(result.Connected) < 3 || result.Connected[len(result.Connected)-1] != tip {
				t.Errorf("from %v to %v over %v: %+v", before, tip, fork, result)
			}
			for what, pair := range map[string][2]string{
				"reconfirmed": {id.names(result.Reconfirmed), test.reconfirmed},
				"returned":    {id.names(result.Returned), test.returned},
				"evicted":     {id.names(result.Evicted), test.evicted},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s %q, want %q", what, pair[0], pair[1])
				}
			}
			if in, err := node.InMempool(ctx, m.TxHash()); err != nil || !in {
				t.Errorf("M in mempool %v, %v", in, err)
			}
			_, err = node.Mine(ctx, 1) // leave nothing to the next case
			must(t, err)
		})
	}
}

func TestReorgOfEachKind(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		coin := fundKey(t, node, 100_000)
		_, err := node.MineUntilConfirmed(ctx, coin.coin.Hash, 1)
		must(t, err)
		tx := coin.spend(t, someScript(t), 1000)
		must(t, node.Broadcast(ctx, tx))
		_, err = node.MineUntilConfirmed(ctx, tx.TxHash(), 3)
		must(t, err)
		result, err := node.Reorg(ctx, 3, ReorgKeepAll())
		must(t, err)
		if !slices.Equal(result.Reconfirmed, []chainhash.Hash{tx.TxHash()}) {
			t.Errorf("reconfirmed %v, want %v", result.Reconfirmed, tx.TxHash())
		}
		// The new chain is one longer, and the transaction at its old height.
		must(t, node.WaitConfirmed(ctx, tx.TxHash(), 4))
		height, err := node.Height(ctx)
		must(t, err)
		if _, err := node.Reorg(ctx, int(height)+1); !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("deeper than the chain: %v, want ErrBlockNotFound", err)
		}
	})
}

func TestForkIsReleasedOnDemand(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		_, err := node.Mine(ctx, 5)
		must(t, err)
		fork, err := node.PrepareFork(ctx, 2)
		must(t, err)
		if _, _, err := node.Header(ctx, fork.Blocks()[0].Hash); !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("the node knows a withheld block: %v", err)
		}
		// The public chain overtakes the withheld one, which then catches up.
		_, err = node.Mine(ctx, 4)
		must(t, err)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := fork.Release(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("by a caller that has gone: %v, want Canceled", err)
		}
		result, err := fork.Release(ctx) // nothing had been shown
		must(t, err)
		tip, err := node.Tip(ctx)
		must(t, err)
		if result.Fork.Height != 3 || result.Fork != fork.Base() || len(result.Disconnected) != 6 ||
			len(result.Connected) != 7 || tip != result.Connected[6] || tip.Height != 10 {
			t.Errorf("tip %v after %+v", tip, result)
		}
		if _, err := fork.Release(ctx); !errors.Is(err, ErrReleased) {
			t.Errorf("released again: %v, want ErrReleased", err)
		}
	})
}

// TestForkWithABadBlock says which block the node refuses, and why.
func TestForkWithABadBlock(t *testing.T) {
	t.Parallel()
	node := Start(t)
	ctx := t.Context()
	coin := fundKey(t, node, 100_000)
	_, err := node.Mine(ctx, 1)
	must(t, err)
	good := coin.spend(t, someScript(t), 1000)
	bad := coin.spend(t, someScript(t), 2000)
	bad.TxIn[0].Witness[0][0] ^= 1
	_, err = node.Mine(ctx, 1, MineTxs(good))
	must(t, err)
	before, err := node.Tip(ctx)
	must(t, err)
	_, err = node.Reorg(ctx, 1, ReorgReplace(good.TxHash(), bad))
	if !errors.Is(err, ErrBlockRefused) || !strings.Contains(err.Error(), "block 1 of the fork") {
		t.Errorf("%v, want ErrBlockRefused of the first block", err)
	}
	if tip, err := node.Tip(ctx); err != nil || tip != before {
		t.Errorf("tip %v, %v; want %v", tip, err, before)
	}
}
