package guardian_test

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/taproot/roast"
)

// node is a guardian's node that shows its coins otherwise than its blocks have
// them.
type node struct {
	*audittest.Chain
	show func(out *wire.TxOut, depth *int64) error // nil shows them as they are
}

func (n *node) UTXO(ctx context.Context, at wire.OutPoint) (*wire.TxOut, int64, error) {
	out, depth, err := n.Chain.UTXO(ctx, at)
	if err == nil && out != nil && n.show != nil {
		err = n.show(out, &depth)
	}
	return out, depth, err
}

// spend is a transaction that spends a coin of the settlement in flight.
func (w *town) spend(input int) *wire.MsgTx {
	tx := w.Payment(wire.NewTxOut(1_000, audittest.Script("mallory")))
	tx.AddTxIn(wire.NewTxIn(&w.built.Tx.TxIn[input].PreviousOutPoint, nil, nil))
	return tx
}

// A guardian's books may be right and the coins gone all the same: it looks each
// one up before it signs, and looks again when it is asked again.
func TestGuardianLooksCoinsUp(t *testing.T) {
	errAway := errors.New("the node is away")
	w := newTown(t)
	here := &node{Chain: w.Chain}
	config := w.config(w.Shares[0])
	config.Chain = here
	g := w.guardian(config)

	for _, tt := range []struct {
		name string
		part func() (mend func())
		want string // of the refusal; "" for errAway, which is none
	}{
		{"a coin spent", func() func() {
			w.Chain.Mine(w.spend(1))
			return func() { w.Chain.Drop(1) }
		}, "is not there or is spent"},
		{"another coin spent", func() func() {
			w.Chain.Mine(w.spend(2))
			return func() { w.Chain.Drop(1) }
		}, "is not there or is spent"},
		{"the settlement mined already", func() func() {
			w.Chain.Mine(w.Sign(w.built))
			return func() { w.Chain.Drop(1) }
		}, "is not there or is spent"},
		{"coins not there", func() func() {
			dropped := w.Chain.Drop(audittest.Depth) // the block of the last deposit is the first of them
			return func() { w.Chain.Restore(dropped) }
		}, "is not there or is spent"},
		{"coins not there on another branch", func() func() {
			dropped := w.Chain.Drop(audittest.Depth)
			for range audittest.Depth + 1 {
				w.Chain.Mine()
			}
			return func() { w.Chain.Restore(dropped) }
		}, "is not there or is spent"},
		{"coins not deep enough", func() func() {
			dropped := w.Chain.Drop(1)
			return func() { w.Chain.Restore(dropped) }
		}, "has 1 confirmations, the charter wants 2"},
		{"no confirmations", func() func() {
			here.show = func(_ *wire.TxOut, depth *int64) error { *depth = 0; return nil }
			return func() { here.show = nil }
		}, "has 0 confirmations, the charter wants 2"},
		{"a coin of less", func() func() {
			here.show = func(out *wire.TxOut, _ *int64) error { out.Value--; return nil }
			return func() { here.show = nil }
		}, "sat on chain, the books say"},
		{"a coin of more", func() func() {
			here.show = func(out *wire.TxOut, _ *int64) error { out.Value++; return nil }
			return func() { here.show = nil }
		}, "sat on chain, the books say"},
		{"a coin of somebody else", func() func() {
			here.show = func(out *wire.TxOut, _ *int64) error { out.PkScript = audittest.Script("mallory"); return nil }
			return func() { here.show = nil }
		}, "sat on chain, the books say"},
		{"the node away", func() func() {
			here.show = func(*wire.TxOut, *int64) error { return errAway }
			return func() { here.show = nil }
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.checkWilling(t, g)
			mend := tt.part()
			nonces, err := g.Commit(t.Context(), w.proposal(), w.request())
			if nonces != nil {
				t.Errorf("%d nonces were given out", len(nonces))
			}
			var refusal *roast.RefusalError
			if tt.want != "" {
				checkRefused(t, err, tt.want)
			} else if !errors.Is(err, errAway) || errors.As(err, &refusal) {
				t.Errorf("got %v, want %v", err, errAway)
			}
			mend()
			w.checkWilling(t, g)
		})
	}
}

// checkWilling asserts that a guardian gives nonces for the right proposal.
func (w *town) checkWilling(t *testing.T, g seated) {
	t.Helper()
	nonces, err := g.Commit(t.Context(), w.proposal(), w.request())
	if err != nil || len(nonces) != len(w.built.Tx.TxIn) {
		t.Errorf("%d nonces, %v", len(nonces), err)
	}
}
