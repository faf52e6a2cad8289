package bitcoind

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// model applies changes as a consumer would and refuses any that does not fit.
type model struct {
	stack
	pool      map[chainhash.Hash]bool
	confirmed []Change                            // for the block that is connected next
	txs       map[chainhash.Hash][]chainhash.Hash // of each block
}

func newModel(bottom Block) *model {
	return &model{
		stack: stack{blocks: []Block{bottom}},
		pool:  make(map[chainhash.Hash]bool), txs: make(map[chainhash.Hash][]chainhash.Hash),
	}
}

func (m *model) apply(change Change) error {
	if change.Kind == TxConfirmed {
		m.confirmed = append(m.confirmed, change)
		return nil
	}
	if len(m.confirmed) > 0 && change.Kind != BlockConnected {
		return fmt.Errorf("%v between what is confirmed and its block", change)
	}
	switch change.Kind {
	case BlockConnected, BlockDisconnected:
		for _, tx := range m.confirmed {
			if tx.Block != change.Block {
				return fmt.Errorf("%v before %v", tx, change)
			}
			m.txs[change.Block.Hash] = append(m.txs[change.Block.Hash], tx.TxID)
		}
		m.confirmed = nil
		if change.Kind == BlockDisconnected {
			delete(m.txs, change.Block.Hash)
		}
		return m.stack.apply(Event{Connected: change.Kind == BlockConnected, Block: change.Block})
	case TxEntered:
		if m.pool[change.TxID] {
			return fmt.Errorf("%v twice", change)
		}
		m.pool[change.TxID] = true
	case TxLeft:
		if !m.pool[change.TxID] {
			return fmt.Errorf("%v, but it was not there", change)
		}
		delete(m.pool, change.TxID)
	default:
		return fmt.Errorf("%v", change)
	}
	return nil
}

// check compares what was confirmed with the node's blocks.
func (m *model) check(t *testing.T, node *Node) {
	t.Helper()
	for _, at := range m.blocks[1:] {
		block, err := node.Block(t.Context(), at.Hash)
		must(t, err)
		txids, err := block.TxHashes()
		must(t, err)
		if !slices.Equal(m.txs[at.Hash], txids) {
			t.Errorf("block %v: reported %v, want %v", at, m.txs[at.Hash], txids)
		}
	}
}

// TestWatchWhileEverythingMoves pays, mines, reorganises and restarts under a
// watcher, by looking and with announcements.
func TestWatchWhileEverythingMoves(t *testing.T) {
	for name, options := range map[string][]Option{"polling": local(), "ZMQ": append(local(), WithZMQ()), "btcd": {WithBtcd(), WithBlocks(432)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := Start(t, options...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			seen := newModel(Block{Hash: node.hashAt(t, 0)})
			asked, answers := make(chan func(*model) bool), make(chan error)
			go watchInto(ctx, node, seen, asked, answers)
			until := func(what string, reached func(*model) bool) {
				t.Helper()
				select {
				case asked <- reached:
				case err := <-answers: // it has failed already
					t.Fatalf("%s: %v", what, err)
				}
				if err := <-answers; err != nil {
					t.Fatalf("%s: %v; top %v, %d in the mempool", what, err, seen.blocks[len(seen.blocks)-1], len(seen.pool))
				}
			}
			atTip := func(m *model) bool {
				tip, err := node.Tip(ctx)
				return err == nil && m.blocks[len(m.blocks)-1] == tip
			}
			coin, err := node.Fund(ctx, someScript(t), 50_000)
			must(t, err)
			until("a payment enters", func(m *model) bool { return m.pool[coin.Hash] })
			_, err = node.MineUntilConfirmed(ctx, coin.Hash, 2)
			must(t, err)
			until("its block", func(m *model) bool { return atTip(m) && !m.pool[coin.Hash] })
			_, err = node.Reorg(ctx, 2)
			must(t, err)
			if name != "btcd" { // there it may be kept with a stale parent, or not
				until("it returns", func(m *model) bool { return atTip(m) && m.pool[coin.Hash] })
			}
			must(t, node.Restart(ctx))
			until("the node comes back", atTip)
			second, err := node.Fund(ctx, someScript(t), 60_000)
			must(t, err)
			until("another payment enters", func(m *model) bool { return m.pool[second.Hash] })
			must(t, node.Kill())
			must(t, node.Restart(ctx))
			_, err = node.Mine(ctx, 3)
			must(t, err)
			until("the end", func(m *model) bool {
				txids, err := node.Mempool(ctx)
				return err == nil && atTip(m) && len(m.pool) == len(txids)
			})
			seen.check(t, node)
		})
	}
}

// TestWatchMissesNothingThatIsMined does between two looks, while the watcher waits
// for its consumer, what no look at the mempool can see.
func TestWatchMissesNothingThatIsMined(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := newWallet(t, node, 2, 1_000_000)
		_, err := node.Fund(ctx, someScript(t), 40_000)
		must(t, err)
		from, err := node.Tip(ctx)
		must(t, err)
		seen := newModel(from)
		var mined []chainhash.Hash
		var last chainhash.Hash
		for change, err := range node.Watch(ctx, from) {
			must(t, err)
			must(t, seen.apply(change))
			if last == (chainhash.Hash{}) { // the first payment has entered
				coin, err := node.Fund(ctx, someScript(t), 50_000)
				must(t, err)
				_, err = node.Mine(ctx, 1) // it came and went
				must(t, err)
				tx, err := w.Build(Payment{})
				must(t, err)
				_, err = node.Mine(ctx, 1, MineTxs(tx)) // it was never there
				must(t, err)
				final, err := w.Send(ctx, Payment{FeeRate: 2000})
				must(t, err)
				if !node.btcd { // which replaces nothing of this wallet
					final, err = w.Send(ctx, Payment{Coins: []wire.OutPoint{final.TxIn[0].PreviousOutPoint}, FeeRate: 50_000})
					must(t, err)
				}
				mined, last = []chainhash.Hash{coin.Hash, tx.TxHash()}, final.TxHash()
			} else if change.Kind == TxEntered && change.TxID != last {
				t.Errorf("%v, and was gone when the watcher looked", change)
			}
			if seen.pool[last] {
				break
			}
		}
		seen.check(t, node)
		for _, txid := range mined {
			if !slices.Contains(slices.Concat(slices.Collect(maps.Values(seen.txs))...), txid) {
				t.Errorf("payment %s was mined and not reported", txid)
			}
		}
	})
}

// watchInto applies changes, and from time to time checks what was asked last.
func watchInto(ctx context.Context, node *Node, seen *model, asked <-chan func(*model) bool, answers chan<- error) {
	changes, failed := make(chan Change), make(chan error, 1)
	go func() {
		for change, err := range node.Watch(ctx, Block{}) {
			if err != nil {
				failed <- err
				return
			}
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	reached := func(*model) bool { return false }
	open := false
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		idle := false
		select {
		case change := <-changes:
			err = seen.apply(change)
		case err = <-failed:
		case reached = <-asked:
			open = true
		case <-tick.C:
			idle = true
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			answers <- err
			return
		}
		if open && idle && reached(seen) {
			open = false
			answers <- nil
		}
	}
}

// TestAnnouncementsWakeAFollower never looks by itself: after the first look and
// the one at the subscription every step comes from an announcement.
func TestAnnouncementsWakeAFollower(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithZMQ())...)
	if node.Config().ZMQ == "" {
		t.Skip("no local bitcoind")
	}
	config := node.Config()
	config.Poll = time.Hour
	client, err := Dial(t.Context(), config)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// The subscription takes a moment, in which announcements are lost: mine on.
	mined, mining := make(chan error, 1), make(chan struct{})
	go func() {
		for pause(ctx, 50*time.Millisecond) == nil {
			select {
			case <-mining:
				mined <- nil
				return
			default:
			}
			if _, err := node.Mine(ctx, 1); err != nil {
				mined <- err
				return
			}
		}
		mined <- ctx.Err()
	}()
	arrivals := 0 // at the tip; beyond the second each needs an announcement
	for event, err := range client.Follow(ctx, Block{}) {
		must(t, err)
		if tip, err := node.Tip(ctx); err == nil && tip == event.Block {
			arrivals++
		}
		if arrivals == 5 {
			break
		}
	}
	close(mining)
	must(t, <-mined)
}
