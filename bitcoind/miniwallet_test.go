package bitcoind

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

func newWallet(t *testing.T, node *Node, coins int, each btcutil.Amount) *MiniWallet {
	t.Helper()
	w, err := node.NewMiniWallet(t.Context(), coins, each)
	must(t, err)
	return w
}

// feeOf is what the node sees as a mempool transaction's fee.
func feeOf(t *testing.T, node *Node, tx *wire.MsgTx) int64 {
	t.Helper()
	pool, err := node.pool(t.Context())
	must(t, err)
	entry := pool[tx.TxHash().String()]
	if entry == nil {
		t.Fatalf("%s is not in the mempool", tx.TxHash())
	}
	return entry.fee
}

func TestMiniWalletPays(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		w := newWallet(t, node, 3, 1_000_000)
		script := someScript(t)
		for name, test := range map[string]struct {
			payment Payment
			fee     func(vsize int64) int64
		}{
			"by default":        {Payment{}, func(v int64) int64 { return v * 10 }},
			"at a rate":         {Payment{Outputs: []*wire.TxOut{wire.NewTxOut(5000, script)}, FeeRate: 2500}, func(v int64) int64 { return (v*2500 + 999) / 1000 }},
			"at a fee":          {Payment{Outputs: []*wire.TxOut{wire.NewTxOut(5000, script)}, Fee: 777}, func(int64) int64 { return 777 }},
			"from several":      {Payment{Outputs: []*wire.TxOut{wire.NewTxOut(1_500_000, script)}}, func(v int64) int64 { return v * 10 }},
			"padded":            {Payment{VSize: 5000, FeeRate: 1000}, func(v int64) int64 { return 5000 }},
			"with a lock time":  {Payment{LockTime: 10, Sequence: 0xfffffffd}, func(v int64) int64 { return v * 10 }},
			"with another's v1": {Payment{Version: 1}, func(v int64) int64 { return v * 10 }},
		} {
			tx, err := w.Send(ctx, test.payment)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got, want := feeOf(t, node, tx), test.fee(vsizeOf(tx)); got != want {
				t.Errorf("%s: fee %d for %d virtual bytes, want %d", name, got, vsizeOf(tx), want)
			}
			if len(test.payment.Outputs) > 0 && string(tx.TxOut[0].PkScript) != string(script) {
				t.Errorf("%s: does not pay first", name)
			}
			if test.payment.LockTime != tx.LockTime || test.payment.Sequence != 0 && tx.TxIn[0].Sequence != test.payment.Sequence {
				t.Errorf("%s: lock time %d, sequence %d", name, tx.LockTime, tx.TxIn[0].Sequence)
			}
		}
	})
}

func TestMiniWalletReplacesAndRefuses(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	ctx := t.Context()
	w := newWallet(t, node, 2, 100_000)
	first, err := w.Send(ctx, Payment{FeeRate: 1000})
	must(t, err)
	before := w.Coins()
	coins := []wire.OutPoint{first.TxIn[0].PreviousOutPoint}
	// A replacement must pay more; a refused one changes nothing.
	if _, err := w.Send(ctx, Payment{Coins: coins, FeeRate: 900}); !errors.Is(err, &RPCError{Code: CodeVerifyRejected}) {
		t.Errorf("less: %v, want code %d", err, CodeVerifyRejected)
	}
	if after := w.Coins(); len(after) != len(before) {
		t.Errorf("coins %v after a refusal, want %v", after, before)
	}
	second, err := w.Send(ctx, Payment{Coins: coins, FeeRate: 5000})
	must(t, err)
	if in, err := node.InMempool(ctx, first.TxHash()); err != nil || in {
		t.Errorf("the replaced one is in the mempool: %v, %v", in, err)
	}
	w.Forget(first.TxHash())
	if _, err := w.Send(ctx, Payment{Coins: []wire.OutPoint{{Hash: second.TxHash()}}}); err != nil {
		t.Errorf("spend the change of the replacement: %v", err)
	}
	if _, err := w.Build(Payment{Outputs: []*wire.TxOut{wire.NewTxOut(10_000_000, w.Script())}}); !errors.Is(err, ErrNoCoins) {
		t.Errorf("too much: %v, want ErrNoCoins", err)
	}
	if _, err := w.Build(Payment{Coins: []wire.OutPoint{{Index: 7}}}); err == nil {
		t.Error("a stranger's coin: no error")
	}
	if _, err := node.FundAddress(ctx, w.Address(), 1000); err != nil {
		t.Errorf("fund its address: %v", err)
	}
}

func TestMiniWalletChain(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		w := newWallet(t, node, 1, 1_000_000)
		txs, err := w.BuildChain(20, Payment{FeeRate: 2000})
		must(t, err)
		for _, tx := range txs {
			must(t, node.Broadcast(t.Context(), tx))
		}
		block := mineOne(t, node)
		if got := len(idsOf(block)); got != 20 {
			t.Errorf("a block of %d transactions, want 20", got)
		}
	})
}

func TestPadReachesTheSizeExactly(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	script := append([]byte{txscript.OP_1, 32}, make([]byte, 32)...)
	for _, inputs := range []int{1, 3} {
		for range 200 {
			tx := wire.NewMsgTx(2)
			for range inputs {
				tx.AddTxIn(&wire.TxIn{Witness: wire.TxWitness{make([]byte, 64)}})
			}
			tx.AddTxOut(wire.NewTxOut(0, script))
			want := vsizeOf(tx) + 10 + random.Int64N(40_000)
			paid, err := pad(tx, want, script)
			if err != nil {
				// Where the count of outputs gets longer, two sizes do not exist.
				if paid, err = pad(tx, want+2, script); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				want += 2
			}
			var sum int64
			for _, out := range tx.TxOut {
				sum += out.Value
			}
			if vsizeOf(tx) != want || paid != sum {
				t.Fatalf("seed %d: %d virtual bytes costing %d (told %d), want %d", seed, vsizeOf(tx), sum, paid, want)
			}
		}
	}
	tx := wire.NewMsgTx(2)
	if _, err := pad(tx, vsizeOf(tx)+9, script); err == nil {
		t.Error("nine bytes: no error")
	}
}
