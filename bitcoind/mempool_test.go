package bitcoind

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire"
)

func TestAcceptanceIsTyped(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	ctx := t.Context()
	w := newWallet(t, node, 8, 1_000_000)
	build := func(p Payment) *wire.MsgTx {
		tx, err := w.Build(p)
		must(t, err)
		return tx
	}
	sent, err := w.Send(ctx, Payment{})
	must(t, err)
	mined, err := w.Send(ctx, Payment{})
	must(t, err)
	_, err = node.Mine(ctx, 1, MineOnly(mined.TxHash()))
	must(t, err)
	dust := build(Payment{Outputs: []*wire.TxOut{wire.NewTxOut(100, someScript(t))}})
	coins := []wire.OutPoint{sent.TxIn[0].PreviousOutPoint}
	unknown := build(Payment{})
	orphan := build(Payment{Coins: []wire.OutPoint{{Hash: unknown.TxHash()}}})
	for _, test := range []struct {
		name string
		tx   *wire.MsgTx
		want RejectReason
	}{
		{"good", build(Payment{}), ""},
		{"again", sent, ReasonAlreadyInMempool},
		{"confirmed", mined, ReasonAlreadyKnown},
		{"free", build(Payment{Fee: NoFee}), ReasonMinRelayFee},
		{"dust", dust, ReasonDust},
		{"poor replacement", build(Payment{Coins: coins, Fee: 10}), ReasonMinRelayFee},
		{"too little more", build(Payment{Coins: coins, FeeRate: 9000}), ReasonReplacementFee},
		{"parent unknown", orphan, ReasonMissingInputs},
		{"in the future", build(Payment{LockTime: 10_000}), ReasonNonFinal},
		{"too young", build(Payment{Coins: []wire.OutPoint{{Hash: mined.TxHash()}}, Sequence: 100}), ReasonNonBIP68Final},
	} {
		got, err := node.TestAccept(ctx, test.tx)
		must(t, err)
		if len(got) != 1 || got[0].TxID != test.tx.TxHash() || got[0].Reason != test.want || got[0].Allowed != (test.want == "") {
			t.Errorf("%s: %+v, want reason %q", test.name, got, test.want)
		}
		if test.want == "" && (got[0].VSize != vsizeOf(test.tx) || int64(got[0].Fee) != 10*got[0].VSize) {
			t.Errorf("%s: %+v, want a fee of 10 sat/vB", test.name, got)
		}
	}
	if in, err := node.InMempool(ctx, unknown.TxHash()); err != nil || in {
		t.Errorf("a test put something in: %v, %v", in, err)
	}
}

func TestSubmitPackage(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		w := newWallet(t, node, 2, 1_000_000)
		parent, child, err := w.BuildPackage(Payment{FeeRate: 3000})
		must(t, err)
		result, err := node.SubmitPackage(ctx, parent, child)
		if node.Info().Kind == "btcd" {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("btcd: %v, want ErrUnsupported", err)
			}
			return
		}
		must(t, err)
		if !result.Accepted || len(result.Txs) != 2 || result.Txs[0].Fee != 0 || !result.Txs[1].Allowed {
			t.Errorf("package: %+v", result)
		}
		if got, want := feeOf(t, node, child), feeFor(vsizeOf(parent)+vsizeOf(child), 3000); got < want || got > want+10 {
			t.Errorf("the child pays %d, want %d for both", got, want)
		}
		// A free parent with a child that pays too little.
		parent, child, err = w.BuildPackage(Payment{Fee: 5})
		must(t, err)
		if result, err = node.SubmitPackage(ctx, parent, child); err != nil || result.Accepted || result.Txs[0].Reason == "" {
			t.Errorf("poor package: %+v, %v", result, err)
		}
	})
}

func TestPrioritiseDecidesWhatIsMinedFirst(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	ctx := t.Context()
	w := newWallet(t, node, 2, 1_000_000)
	rich, err := w.Send(ctx, Payment{FeeRate: 9000})
	must(t, err)
	poor, err := w.Send(ctx, Payment{FeeRate: 1000})
	must(t, err)
	must(t, node.Prioritise(ctx, poor.TxHash(), 100_000))
	if ids := idsOf(mineOne(t, node)); len(ids) != 2 || ids[0] != poor.TxHash() || ids[1] != rich.TxHash() {
		t.Errorf("order %v, want %v first", ids, poor.TxHash())
	}
}

func TestFillMempoolRaisesTheFloor(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120), WithArgs("-maxmempool=5"))...)
	ctx := t.Context()
	w := newWallet(t, node, 5, 1_000_000)
	low, err := w.Send(ctx, Payment{FeeRate: 2000})
	must(t, err)
	high, err := w.Send(ctx, Payment{FeeRate: 50_000})
	must(t, err)
	const floor = 20_000
	must(t, node.FillMempool(ctx, floor))
	info, err := node.MempoolInfo(ctx)
	if err != nil || info.Floor < floor || info.Floor > floor*11/10 || info.Usage > info.Limit {
		t.Errorf("%+v, %v; want a floor of %d", info, err, floor)
	}
	for name, test := range map[string]struct {
		tx   *wire.MsgTx
		want bool
	}{"low": {low, false}, "high": {high, true}} {
		if in, err := node.InMempool(ctx, test.tx.TxHash()); err != nil || in != test.want {
			t.Errorf("%s: in mempool %v, %v; want %v", name, in, err, test.want)
		}
	}
	below, err := w.Build(Payment{FeeRate: floor - 1000})
	must(t, err)
	if got, err := node.TestAccept(ctx, below); err != nil || got[0].Reason != ReasonMempoolMinFee {
		t.Errorf("below the floor: %+v, %v; want %q", got, err, ReasonMempoolMinFee)
	}
	must(t, node.FillMempool(ctx, floor)) // is there already

	must(t, node.Evict(ctx, high.TxHash()))
	if in, err := node.InMempool(ctx, high.TxHash()); err != nil || in {
		t.Errorf("evicted, but in the mempool: %v, %v", in, err)
	}
	must(t, node.Broadcast(ctx, high)) // and counts as before
	if err := node.Evict(ctx, low.TxHash()); !errors.Is(err, ErrTxNotFound) {
		t.Errorf("evict what is not there: %v, want ErrTxNotFound", err)
	}
}

func TestFillMempoolNeedsALowLimit(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		if err := node.FillMempool(t.Context(), 10_000); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v, want ErrUnsupported", err)
		}
	})
}

func TestTeachFeeRate(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	for _, rate := range []int64{30_000, 5000} {
		must(t, node.TeachFeeRate(t.Context(), rate, 6))
		if got, err := node.FeeRate(t.Context(), 6); err != nil || got < rate*9/10 || got > rate*11/10 {
			t.Errorf("estimate %d, %v; want %d", got, err, rate)
		}
	}
}
