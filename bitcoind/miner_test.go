package bitcoind

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"golang.org/x/sync/errgroup"
)

func TestMineTakesTheMempoolInOrder(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		// More payments than the miner has mature coins, so that some spend the
		// unconfirmed change of others.
		const payments = spareCoins + 15
		want := make(map[wire.OutPoint]bool)
		for i := range payments {
			coin, err := node.Fund(ctx, someScript(t), btcutil.Amount(1000+i))
			must(t, err)
			want[coin] = true
		}
		hashes, err := node.Mine(ctx, 2)
		must(t, err)
		if len(hashes) != 2 {
			t.Fatalf("%d hashes, want 2", len(hashes))
		}
		for coin := range want {
			tx, confirmations, block, err := node.Tx(ctx, coin.Hash)
			if err != nil || confirmations < 2 || block == nil {
				t.Fatalf("payment %s: %d confirmations, %v", coin, confirmations, err)
			}
			if tx.TxHash() != coin.Hash {
				t.Errorf("asked for %s, got %s", coin.Hash, tx.TxHash())
			}
		}
		// The fees of the block went to the miner.
		block, err := node.Block(ctx, hashes[0])
		must(t, err)
		_, height, err := node.Header(ctx, hashes[0])
		must(t, err)
		if paid := block.Transactions[0].TxOut[0].Value; len(block.Transactions) > 1 && paid <= subsidy(height) {
			t.Errorf("coinbase pays %d, no more than the subsidy", paid)
		}
		if empty, err := node.Block(ctx, hashes[1]); err != nil || len(empty.Transactions) != 1 {
			t.Errorf("second block: %v, want only a coinbase", err)
		}
	})
}

func TestMinedTimesIncrease(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		hashes, err := node.Mine(t.Context(), 30)
		must(t, err)
		previous, _, err := node.Header(t.Context(), node.hashAt(t, 0))
		must(t, err)
		for i, hash := range hashes {
			header, height, err := node.Header(t.Context(), hash)
			must(t, err)
			if !header.Timestamp.After(previous.Timestamp) || height != int32(i+1) || header.PrevBlock != previous.BlockHash() {
				t.Errorf("block %d does not follow its parent: %+v", height, header)
			}
			previous = header
		}
	})
}

func TestFundManyPaysEachOutput(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		var outputs []*wire.TxOut
		for i := range 300 {
			outputs = append(outputs, wire.NewTxOut(int64(10_000+i), someScript(t)))
		}
		// The last needs several coinbases at once.
		outputs = append(outputs, wire.NewTxOut(210*btcutil.SatoshiPerBitcoin, someScript(t)))
		coins, err := node.FundMany(ctx, outputs)
		must(t, err)
		tx, _, block, err := node.Tx(ctx, coins[0].Hash)
		must(t, err)
		if block != nil {
			t.Error("the payment is in a block already")
		}
		for i, coin := range coins {
			out := tx.TxOut[coin.Index]
			if coin.Hash != tx.TxHash() || out.Value != outputs[i].Value || string(out.PkScript) != string(outputs[i].PkScript) {
				t.Fatalf("output %d: %+v, want %+v", i, out, outputs[i])
			}
		}
		_, err = node.Mine(ctx, 1)
		must(t, err)
		must(t, node.WaitConfirmed(ctx, tx.TxHash(), 1))
	})
}

func TestFundRefusesBadAmounts(t *testing.T) {
	t.Parallel()
	node := Start(t)
	for name, outputs := range map[string][]*wire.TxOut{
		"none":           nil,
		"negative":       {wire.NewTxOut(-1, nil)},
		"above 21 M":     {wire.NewTxOut(btcutil.MaxSatoshi+1, nil)},
		"overflow":       {wire.NewTxOut(btcutil.MaxSatoshi, nil), wire.NewTxOut(1, nil)},
		"dust (refused)": {wire.NewTxOut(1, someScript(t))},
	} {
		if _, err := node.FundMany(t.Context(), outputs); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	_, err := node.Fund(t.Context(), someScript(t), 1)
	if !errors.Is(err, &RPCError{Code: CodeVerifyRejected}) {
		t.Errorf("dust: %v, want code %d", err, CodeVerifyRejected)
	}
	// More than regtest can ever pay (15,000 BTC) ends, without mining for ever.
	if _, err := node.Fund(t.Context(), someScript(t), 16_000*btcutil.SatoshiPerBitcoin); !errors.Is(err, ErrNoCoins) {
		t.Errorf("16,000 BTC: %v, want ErrNoCoins", err)
	}
	// And the miner still pays.
	_, err = node.Fund(t.Context(), someScript(t), 100_000)
	must(t, err)
}

func TestFundAfterTheChainWasLost(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := node.Fund(ctx, someScript(t), 50_000)
		must(t, err)
		genesis := Block{Hash: node.hashAt(t, 0)}
		tip, err := node.Tip(ctx)
		must(t, err)
		// A longer chain without any of the miner's coins.
		stranger, err := NewMiner(node.Client, []byte("stranger"))
		must(t, err)
		if _, err := stranger.branch(ctx, genesis, int(tip.Height)+1); err != nil {
			t.Fatal(err)
		}
		must(t, node.WaitHeight(ctx, tip.Height+1))
		coin, err := node.Fund(ctx, someScript(t), 60_000)
		must(t, err)
		_, err = node.Mine(ctx, 1)
		must(t, err)
		must(t, node.WaitConfirmed(ctx, coin.Hash, 1))
	})
}

func TestMinerSeedDecidesTheKey(t *testing.T) {
	t.Parallel()
	node := Start(t, WithMinerSeed([]byte("seed")), WithPoll(7*time.Millisecond))
	if poll := node.Config().Poll; poll != 7*time.Millisecond {
		t.Errorf("poll %v", poll)
	}
	same, err := NewMiner(node.Client, []byte("seed"))
	must(t, err)
	random, err := NewMiner(node.Client, nil)
	must(t, err)
	if string(same.MinerScript()) != string(node.MinerScript()) || string(random.MinerScript()) == string(node.MinerScript()) {
		t.Error("the seed does not decide the key")
	}
	client := &Client{}
	client.params, err = chainParams("main")
	must(t, err)
	if _, err := NewMiner(client, nil); !errors.Is(err, ErrNotRegtest) {
		t.Errorf("mainnet: %v, want ErrNotRegtest", err)
	}
}

// TestMinersCompete has several miners add to one chain at once. None of them loses
// a block that it was told of, or takes away another's.
func TestMinersCompete(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		const miners, blocks = 3, 12
		var all [miners][]chainhash.Hash
		var group errgroup.Group
		for i := range all {
			miner, err := NewMiner(node.Client, nil)
			must(t, err)
			group.Go(func() (err error) {
				all[i], err = miner.Mine(ctx, blocks)
				return err
			})
		}
		must(t, group.Wait())
		if height, err := node.Height(ctx); err != nil || height != miners*blocks {
			t.Errorf("height %d, %v; want %d", height, err, miners*blocks)
		}
		for i, hashes := range all {
			last := int32(0)
			for _, hash := range hashes {
				_, height, err := node.Header(ctx, hash)
				must(t, err)
				if height <= last || node.hashAt(t, height) != hash {
					t.Errorf("miner %d: block %s at %d after %d is not in the active chain", i, hash, height, last)
				}
				last = height
			}
		}
	})
}

// TestFirstBlocks gives a new node more blocks than one request holds.
func TestFirstBlocks(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		const n = 450
		must(t, node.mineAlone(ctx, n))
		tip, err := node.Tip(ctx)
		must(t, err)
		header, _, err := node.Header(ctx, tip.Hash)
		must(t, err)
		if tip.Height != n || header.Timestamp.After(node.Now()) {
			t.Errorf("tip %v of %v, want height %d and no time of the future", tip, header.Timestamp, n)
		}
		// It knows their coins, and mines on.
		coin, err := node.Fund(ctx, someScript(t), btcutil.SatoshiPerBitcoin)
		must(t, err)
		_, err = node.MineUntilConfirmed(ctx, coin.Hash, 1)
		must(t, err)
		if height, err := node.Height(ctx); err != nil || height != n+1 {
			t.Errorf("height %d, %v; want %d: it mined to pay", height, err, n+1)
		}
	})
}
