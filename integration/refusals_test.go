package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/settlement"
)

// TestNodeRefusesForReal lets a real node refuse a settlement, each time for another
// reason and in its own words. The settlement says so, waits, and is paid once, without
// a person, when the node takes it.
func TestNodeRefusesForReal(t *testing.T) {
	for _, tt := range []struct {
		reason string
		refuse func(b *bank) func(context.Context, *wire.MsgTx) error
	}{
		// The node is on another branch: it has never seen the coins.
		{"bad-txns-inputs-missingorspent", func(b *bank) func(context.Context, *wire.MsgTx) error {
			return bitcoind.Start(b.t).Broadcast
		}},
		// A settlement has no lock time, so the node is shown one that has: it says so before
		// it looks at the signatures.
		{"non-final", func(b *bank) func(context.Context, *wire.MsgTx) error {
			return func(ctx context.Context, tx *wire.MsgTx) error {
				tx = tx.Copy()
				tx.LockTime = 1_000_000
				return b.node.Broadcast(ctx, tx)
			}
		}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			b, destination := newBankWithWithdrawal(t)
			b.desk.Chain = &faultyChain{Client: b.node.Client, broadcast: tt.refuse(b)}
			b.advance()
			if got := b.status(2); got.Stage != string(settlement.StageSigned) || !strings.Contains(got.Refused, tt.reason) {
				t.Errorf("refused, the settlement reads %+v", got)
			}
			b.mine(1) // and the next version too
			if got := b.status(2); got.Stage != string(settlement.StageSigned) || got.Version != 2 || !strings.Contains(got.Refused, tt.reason) {
				t.Errorf("a block later the settlement reads %+v", got)
			}
			b.desk.Chain = b.node.Client
			b.mine(depth + 1)
			if got := b.status(2); got.Stage != string(settlement.StagePosted) || got.Refused != "" {
				t.Errorf("once the node takes it, the settlement reads %+v", got)
			}
			if got := b.receivedBy(destination); got != 70_000 {
				t.Errorf("the destination received %d sat, want 70,000 once", got)
			}
			b.expectSound()
		})
	}
}
