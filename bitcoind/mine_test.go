package bitcoind

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// mineOne mines one block with options and returns it.
func mineOne(t *testing.T, node *Node, options ...MineOption) *wire.MsgBlock {
	t.Helper()
	hashes, err := node.Mine(t.Context(), 1, options...)
	must(t, err)
	block, err := node.Block(t.Context(), hashes[0])
	must(t, err)
	return block
}

// idsOf are the ids of a block's transactions without the coinbase.
func idsOf(block *wire.MsgBlock) []chainhash.Hash {
	var ids []chainhash.Hash
	for _, tx := range block.Transactions[1:] {
		ids = append(ids, tx.TxHash())
	}
	return ids
}

func TestMineOptionsDecideTheContents(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		first := fundKey(t, node, 100_000)
		other := fundKey(t, node, 100_000)
		parent := first.spend(t, first.script, 1000)
		child := spendable{key: first.key, script: first.script, amount: 99_000, coin: wire.OutPoint{Hash: parent.TxHash()}}.spend(t, someScript(t), 1000)

		if got := idsOf(mineOne(t, node, MineEmpty())); len(got) != 0 {
			t.Errorf("empty: holds %v", got)
		}
		if got, want := idsOf(mineOne(t, node, MineOnly(other.coin.Hash))), []chainhash.Hash{other.coin.Hash}; !slices.Equal(got, want) {
			t.Errorf("only one: holds %v, want %v", got, want)
		}
		must(t, node.Broadcast(ctx, parent))
		for name, txid := range map[string]chainhash.Hash{"not in the mempool": child.TxHash(), "its parent is not named": parent.TxHash()} {
			before, err := node.Tip(ctx)
			must(t, err)
			if _, err := node.Mine(ctx, 1, MineOnly(txid)); !errors.Is(err, ErrNotMineable) {
				t.Errorf("%s: %v, want ErrNotMineable", name, err)
			}
			if after, err := node.Tip(ctx); err != nil || after != before {
				t.Errorf("%s: tip %v, %v; want %v", name, after, err, before)
			}
		}
		// Never broadcast, yet mined, and the fee claimed.
		block := mineOne(t, node, MineOnly(first.coin.Hash, parent.TxHash()), MineTxs(child))
		if got, want := idsOf(block), []chainhash.Hash{first.coin.Hash, parent.TxHash(), child.TxHash()}; !slices.Equal(got, want) {
			t.Errorf("with a child of our own: %v, want %v", got, want)
		}
		_, height, err := node.Header(ctx, block.BlockHash())
		must(t, err)
		if paid := block.Transactions[0].TxOut[0].Value; paid < subsidy(height)+2000 {
			t.Errorf("coinbase pays %d, want at least the subsidy and 2,000", paid)
		}
	})
}

func TestMineOptionsDecideTheCoinbaseAndTheTime(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		script := someScript(t)
		if got := mineOne(t, node, MineTo(script)).Transactions[0].TxOut[0].PkScript; !bytes.Equal(got, script) {
			t.Errorf("pays %x, want %x", got, script)
		}
		address, err := btcutil.NewAddressTaproot(script[2:], &chaincfg.RegressionNetParams)
		must(t, err)
		if got := mineOne(t, node, MineToAddress(address.String())).Transactions[0].TxOut[0].PkScript; !bytes.Equal(got, script) {
			t.Errorf("address: pays %x, want %x", got, script)
		}
		mainnet, err := btcutil.NewAddressTaproot(script[2:], &chaincfg.MainNetParams)
		must(t, err)
		for _, bad := range []string{"nonsense", mainnet.String()} {
			if _, err := node.Mine(ctx, 1, MineToAddress(bad)); err == nil {
				t.Errorf("address %s: no error", bad)
			}
			if _, err := node.FundAddress(ctx, bad, 1000); err == nil {
				t.Errorf("fund address %s: no error", bad)
			}
		}
		mark := []byte{0x6a, 2, 0xca, 0xfe}
		coinbase := mineOne(t, node, MineCoinbase(func(tx *wire.MsgTx) { tx.AddTxOut(wire.NewTxOut(0, mark)) })).Transactions[0]
		if !bytes.Equal(coinbase.TxOut[1].PkScript, mark) {
			t.Errorf("coinbase has outputs %v, want the second %x", coinbase.TxOut, mark)
		}
		at := time.Now().Add(30 * time.Minute).Truncate(time.Second)
		hashes, err := node.Mine(ctx, 2, MineAt(at))
		must(t, err)
		for i, hash := range hashes {
			header, _, err := node.Header(ctx, hash)
			must(t, err)
			if want := at.Add(time.Duration(i) * time.Second); !header.Timestamp.Equal(want) {
				t.Errorf("block %d at %v, want %v", i, header.Timestamp, want)
			}
		}
		if _, err := node.Mine(ctx, 1, MineAt(time.Unix(1_300_000_000, 0))); !errors.Is(err, ErrBlockRefused) {
			t.Errorf("before the median time past: %v, want ErrBlockRefused", err)
		}
	})
}

func TestFundAddress(t *testing.T) {
	t.Parallel()
	node := Start(t, WithBlocks(120))
	script := someScript(t)
	address, err := btcutil.NewAddressTaproot(script[2:], &chaincfg.RegressionNetParams)
	must(t, err)
	coin, err := node.FundAddress(t.Context(), address.String(), 12_345)
	must(t, err)
	tx, _, _, err := node.Tx(t.Context(), coin.Hash)
	must(t, err)
	if out := tx.TxOut[coin.Index]; out.Value != 12_345 || !bytes.Equal(out.PkScript, script) {
		t.Errorf("paid %+v, want 12345 to %x", out, script)
	}
}

func TestMineUntilConfirmed(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		coin, err := node.Fund(ctx, someScript(t), 50_000)
		must(t, err)
		hashes, err := node.MineUntilConfirmed(ctx, coin.Hash, 3)
		must(t, err)
		_, confirmations, block, err := node.Tx(ctx, coin.Hash)
		if err != nil || confirmations != 3 || len(hashes) != 3 || *block != hashes[0] {
			t.Errorf("%d confirmations in %v, %v; mined %v", confirmations, block, err, hashes)
		}
		if hashes, err := node.MineUntilConfirmed(ctx, coin.Hash, 2); err != nil || len(hashes) != 0 {
			t.Errorf("confirmed before: mined %v, %v; want nothing", hashes, err)
		}
	})
}
