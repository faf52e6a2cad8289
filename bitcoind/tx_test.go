package bitcoind

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// spendable is a coin whose key the test has.
type spendable struct {
	key    *btcec.PrivateKey
	script []byte
	coin   wire.OutPoint
	amount int64
}

func fundKey(t *testing.T, node *Node, amount int64) spendable {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	must(t, err)
	script, err := txscript.PayToTaprootScript(txscript.ComputeTaprootKeyNoScript(key.PubKey()))
	must(t, err)
	coin, err := node.Fund(t.Context(), script, btcutil.Amount(amount))
	must(t, err)
	return spendable{key: key, script: script, coin: coin, amount: amount}
}

// spend pays all but a fee to a script.
func (s spendable) spend(t *testing.T, script []byte, fee int64) *wire.MsgTx {
	t.Helper()
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&s.coin, nil, nil))
	tx.AddTxOut(wire.NewTxOut(s.amount-fee, script))
	previous := txscript.NewCannedPrevOutputFetcher(s.script, s.amount)
	witness, err := txscript.TaprootWitnessSignature(tx, txscript.NewTxSigHashes(tx, previous), 0, s.amount, s.script, txscript.SigHashDefault, s.key)
	must(t, err)
	tx.TxIn[0].Witness = witness
	return tx
}

func TestBroadcastThroughATransactionsLife(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		first := fundKey(t, node, 100_000)
		second := spendable{key: first.key, script: first.script, amount: 99_000}
		tx := first.spend(t, first.script, 1000)
		second.coin = wire.OutPoint{Hash: tx.TxHash()}
		child := second.spend(t, someScript(t), 1000)

		check := func(state string, mempool bool, confirmations int64) {
			t.Helper()
			must(t, node.Broadcast(ctx, tx))
			in, err := node.InMempool(ctx, tx.TxHash())
			if err != nil || in != mempool {
				t.Errorf("%s: in mempool %v, %v; want %v", state, in, err, mempool)
			}
			_, got, block, err := node.Tx(ctx, tx.TxHash())
			if err != nil || got != confirmations || (block == nil) != mempool {
				t.Errorf("%s: %d confirmations in %v, %v; want %d", state, got, block, err, confirmations)
			}
		}
		if in, err := node.InMempool(ctx, tx.TxHash()); in || err != nil {
			t.Errorf("before: in mempool %v, %v", in, err)
		}
		if _, _, _, err := node.Tx(ctx, tx.TxHash()); !errors.Is(err, ErrTxNotFound) {
			t.Errorf("before: %v, want ErrTxNotFound", err)
		}
		check("new", true, 0)
		check("repeated", true, 0)
		must(t, node.WaitTx(ctx, tx.TxHash()))
		_, err := node.Mine(ctx, 1)
		must(t, err)
		check("mined", false, 1)
		must(t, node.Broadcast(ctx, child))
		_, err = node.Mine(ctx, 1)
		must(t, err)
		check("mined and spent", false, 2)
		must(t, node.WaitConfirmed(ctx, tx.TxHash(), 2))

		// Another spend of the same coin comes too late.
		err = node.Broadcast(ctx, first.spend(t, someScript(t), 2000))
		if refused := (*RPCError)(nil); !errors.As(err, &refused) || refused.Message == "" {
			t.Errorf("double spend: %v, want an RPCError with a reason", err)
		}
		// A broken signature is refused for it.
		third := fundKey(t, node, 100_000)
		broken := third.spend(t, someScript(t), 1000)
		broken.TxIn[0].Witness[0][0] ^= 1
		want := CodeVerifyRejected
		if node.Info().Kind == "btcd" {
			want = CodeVerifyError
		}
		if err := node.Broadcast(ctx, broken); !errors.Is(err, &RPCError{Code: want}) {
			t.Errorf("broken signature: %v, want code %d", err, want)
		}
	})
}

func TestTxOfADisconnectedBlock(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		coin := fundKey(t, node, 100_000)
		fork, err := node.Tip(ctx)
		must(t, err)
		tx := coin.spend(t, someScript(t), 1000)
		must(t, node.Broadcast(ctx, tx))
		_, err = node.Mine(ctx, 1)
		must(t, err)
		must(t, node.WaitConfirmed(ctx, tx.TxHash(), 1))
		// Without that block the transaction is back in the mempool, or gone; in
		// no case confirmed.
		tip, err := node.branch(ctx, fork, 2)
		must(t, err)
		must(t, node.WaitHeight(ctx, tip.Height))
		_, confirmations, block, err := node.Tx(ctx, tx.TxHash())
		if !errors.Is(err, ErrTxNotFound) && (err != nil || confirmations != 0 || block != nil) {
			t.Errorf("%d confirmations in %v, %v", confirmations, block, err)
		}
	})
}

func TestUnknownThings(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		if _, err := node.BlockHash(ctx, 1000); !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("height 1000: %v", err)
		}
		if _, err := node.BlockHash(ctx, -1); !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("height -1: %v", err)
		}
		if _, _, err := node.Header(ctx, chainhash.Hash{1}); !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("header: %v", err)
		}
		if _, err := node.Block(ctx, chainhash.Hash{1}); !errors.Is(err, ErrBlockNotFound) {
			t.Errorf("block: %v", err)
		}
		if _, err := node.FeeRate(ctx, 6); !errors.Is(err, ErrNoFeeEstimate) {
			t.Errorf("fee rate: %v", err)
		}
		genesis, height, err := node.Header(ctx, *chaincfg.RegressionNetParams.GenesisHash)
		if err != nil || height != 0 || genesis.BlockHash() != *chaincfg.RegressionNetParams.GenesisHash {
			t.Errorf("genesis: %v at %d, %v", genesis, height, err)
		}
		// By the second look the wait has seen what there is to see.
		proxy := node.Proxy(t)
		client, err := Dial(ctx, proxy.Config())
		must(t, err)
		waitCtx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			proxy.WaitCalls(ctx, "getrawtransaction", 2)
			cancel()
		}()
		err = client.WaitTx(waitCtx, chainhash.Hash{1})
		var wait *WaitError
		if !errors.As(err, &wait) || !errors.Is(err, context.Canceled) || wait.Last != "not in mempool or chain" {
			t.Errorf("wait: %v", err)
		}
	})
}

func TestScanDescriptor(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		account, err := hdkeychain.NewMaster(make([]byte, 32), &chaincfg.RegressionNetParams)
		must(t, err)
		public, err := account.Neuter()
		must(t, err)
		descriptors := []string{"wpkh(" + public.String() + "/*)"}
		if node.Info().Kind == "btcd" {
			if _, err := node.ScanDescriptor(ctx, descriptors, 5); !errors.Is(err, ErrUnsupported) {
				t.Errorf("btcd: %v, want ErrUnsupported", err)
			}
			return
		}
		single := fundKey(t, node, 7000)
		descriptors = append(descriptors, "rawtr("+hexOf(single.script[2:])+")")
		want := map[string]int64{string(single.script): 7000}
		for _, index := range []uint32{0, 3, 5, 6} {
			child, err := public.Derive(index)
			must(t, err)
			address, err := child.Address(&chaincfg.RegressionNetParams)
			must(t, err)
			script, err := txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(address.ScriptAddress()).Script()
			must(t, err)
			amount := int64(10_000 + index)
			_, err = node.Fund(ctx, script, btcutil.Amount(amount))
			must(t, err)
			if index <= 5 { // the range ends here, itself included
				want[string(script)] = amount
			}
		}
		if scan, err := node.ScanDescriptor(ctx, descriptors, 5); err != nil || scan.Total != 0 {
			t.Errorf("before confirmation: %v, %v", scan.Total, err)
		}
		_, err = node.Mine(ctx, 1)
		must(t, err)
		tip, err := node.Tip(ctx)
		must(t, err)
		scan, err := node.ScanDescriptor(ctx, descriptors, 5)
		must(t, err)
		var total int64
		for _, coin := range scan.Coins {
			if want[string(coin.Script)] != int64(coin.Amount) || coin.Height != tip.Height {
				t.Errorf("unexpected coin %+v", coin)
			}
			total += int64(coin.Amount)
		}
		if len(scan.Coins) != len(want) || int64(scan.Total) != total || scan.Height != tip.Height || scan.Hash != tip.Hash {
			t.Errorf("scan %+v, want %d coins at %v", scan, len(want), tip)
		}
		if _, err := node.ScanDescriptor(ctx, []string{"nonsense"}, 0); !errors.Is(err, &RPCError{Code: CodeNotFound}) {
			t.Errorf("nonsense: %v, want code %d", err, CodeNotFound)
		}
	})
}
