package integration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
)

// errCrash stands for the process ending at this point: nothing after it runs.
var errCrash = errors.New("crash")

// faultyChain is the real node with one fault put in front of it.
type faultyChain struct {
	*bitcoind.Client
	// broadcast replaces Broadcast when it is set.
	broadcast func(ctx context.Context, tx *wire.MsgTx) error
}

func (c *faultyChain) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	if c.broadcast != nil {
		return c.broadcast(ctx, tx)
	}
	return c.Client.Broadcast(ctx, tx)
}

// signerFunc is a settlement.Signer.
type signerFunc func(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error)

// Reachable says that nobody is away.
func (f signerFunc) Reachable(uint32) bool { return true }

func (f signerFunc) Sign(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error) {
	return f(ctx, t, batch)
}

// TestStopBetweenStages stops the bank between any two stages of a settlement,
// opens it anew on what is stored, and finds the same transaction on chain,
// once, with every payout.
func TestStopBetweenStages(t *testing.T) {
	noSigner := signerFunc(func(context.Context, *netting.Transaction, uint64) ([][]byte, error) { return nil, errCrash })
	noNode := func(context.Context, *wire.MsgTx) error { return errCrash }
	for _, at := range []struct {
		name  string
		stage settlement.Stage // that is stored when the bank stops
		stop  func(b *bank)
	}{
		{"after the cut", settlement.StageCut, func(b *bank) {
			b.desk.Signer = noSigner
			b.crashes()
		}},
		{"after signing", settlement.StageSigned, func(b *bank) {
			b.desk.Chain = &faultyChain{Client: b.node.Client, broadcast: noNode}
			b.advance() // the refusal is recorded, and the desk waits
		}},
		{"node took it, reply lost", settlement.StageSigned, func(b *bank) {
			b.desk.Chain = &faultyChain{Client: b.node.Client, broadcast: func(ctx context.Context, tx *wire.MsgTx) error {
				b.must(b.node.Broadcast(ctx, tx))
				return errCrash
			}}
			b.advance()
		}},
		{"after broadcast", settlement.StageBroadcast, func(b *bank) { b.advance() }},
		{"mined unseen", settlement.StageBroadcast, func(b *bank) {
			b.advance()
			_, err := b.node.Mine(b.ctx, 1)
			b.must(err)
		}},
		{"mined", settlement.StageMined, func(b *bank) {
			b.advance()
			b.mine(1)
		}},
		{"deep unseen", settlement.StageMined, func(b *bank) {
			b.advance()
			b.mine(1)
			_, err := b.node.Mine(b.ctx, depth+2)
			b.must(err)
		}},
	} {
		t.Run(at.name, func(t *testing.T) {
			b, destination := newBankWithWithdrawal(t)
			at.stop(b)
			before := b.status(2)
			if before.Stage != string(at.stage) {
				t.Fatalf("the bank stops at stage %s, the case is about %s", before.Stage, at.stage)
			}
			b.open(1, 2, 3)
			b.advance()
			after := b.status(2)
			if after.TxID != before.TxID && before.TxID != "" {
				t.Errorf("after the restart settlement 2 is %s, before it was %s", after.TxID, before.TxID)
			}
			b.mine(depth + 1)
			if got := b.status(2); got.Stage != string(settlement.StagePosted) {
				t.Fatalf("settlement 2 is %s after all", got.Stage)
			}
			if got := b.receivedBy(destination); got != 70_000 {
				t.Errorf("the destination received %d sat in all, want 70,000 once", got)
			}
			b.expectSound()
		})
	}
}

// newBankWithWithdrawal is a bank whose first settlement has swept the deposits
// and in which a withdrawal of 70,000 sat waits for the second.
func newBankWithWithdrawal(t *testing.T) (*bank, []byte) {
	b := newBank(t, bitcoind.Start(t))
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	destination := b.newScript()
	alice.withdraw(destination, 70_000, 1_000)
	return b, destination
}

// crashes lets the desk advance into the fault.
func (b *bank) crashes() {
	b.t.Helper()
	if err := b.desk.Advance(b.ctx); !errors.Is(err, errCrash) {
		b.t.Fatalf("the desk went past the fault: %v", err)
	}
}

// Whoever asks while a settlement is cut is told of one moment: not that what was just
// cut is posted, nor that its withdrawal is paid, cancelled or in no settlement.
func TestStatusIsOfOneMoment(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	alice.withdraw(b.newScript(), 10_000, 1_000)
	var cut *ledger.Cut
	b.must(b.engine.View(b.ctx, func(s *ledger.State) {
		var err error
		cut, err = netting.Plan(s, b.desk.Vaults, 2_000, b.desk.Policy.Limits)
		b.must(err)
	}))
	// The books are held until those who ask wait for them, and the cut behind those. On
	// a machine for which this is too short the cut is not between two looks.
	const longEnough = 300 * time.Millisecond
	held, free := make(chan struct{}), make(chan struct{})
	var waiting errgroup.Group
	waiting.Go(func() error {
		return b.engine.View(b.ctx, func(*ledger.State) { close(held); <-free })
	})
	<-held
	waiting.Go(func() error {
		list, err := b.desk.Settlements(b.ctx, 2, 1)
		if len(list) > 0 && list[0].Stage != string(settlement.StageCut) {
			t.Errorf("the settlement that is being cut reads %+v", list[0])
		}
		return err
	})
	waiting.Go(func() error {
		w, err := b.desk.Withdrawal(b.ctx, ledger.OrderRef{Payer: alice.id, Sequence: alice.sequence})
		if err == nil && w.State != settlement.WithdrawalWaiting && w.State != settlement.WithdrawalSettling {
			t.Errorf("the withdrawal that is being cut reads %+v", w)
		}
		return err
	})
	time.Sleep(longEnough)
	waiting.Go(func() error { return b.engine.Record(b.ctx, []ledger.Event{cut}) })
	time.Sleep(longEnough)
	close(free)
	b.must(waiting.Wait())
	b.advance()
	b.settled(2)
}

func (b *bank) status(n uint32) settlement.Status {
	b.t.Helper()
	list, err := b.desk.Settlements(b.ctx, n, 1)
	b.must(err)
	if len(list) == 0 {
		b.t.Fatalf("there is no settlement %d", n)
	}
	return list[0]
}

// receivedBy adds up every output in the chain that pays a script.
func (b *bank) receivedBy(script []byte) (sat int64) {
	b.t.Helper()
	tip, err := b.node.Height(b.ctx)
	b.must(err)
	for h := int32(1); h <= tip; h++ {
		hash, err := b.node.BlockHash(b.ctx, h)
		b.must(err)
		block, err := b.node.Block(b.ctx, hash)
		b.must(err)
		for _, tx := range block.Transactions {
			for _, out := range tx.TxOut {
				if string(out.PkScript) == string(script) {
					sat += out.Value
				}
			}
		}
	}
	return sat
}

// TestNodeRefuses: a refusal is recorded with the node's reason, once for each
// version, and the next block tries again.
func TestNodeRefuses(t *testing.T) {
	b, _ := newBankWithWithdrawal(t)
	refused := 0
	b.desk.Chain = &faultyChain{Client: b.node.Client, broadcast: func(context.Context, *wire.MsgTx) error {
		refused++
		return errors.New("mempool min fee not met")
	}}
	b.advance()
	b.mine(2)
	if got := b.status(2); got.Refused != "mempool min fee not met" || got.Stage != string(settlement.StageSigned) {
		t.Errorf("after %d refusals the settlement reads %+v", refused, got)
	}
	if refused < 2 {
		t.Errorf("the desk asked the node %d times in three blocks", refused)
	}
	steps, err := b.store.Steps(b.ctx, 2)
	b.must(err)
	if len(steps) != 6 {
		t.Errorf("%d steps are stored, want three versions signed and refused: %+v", len(steps), steps)
	}
	b.desk.Chain = b.node.Client
	b.mine(depth + 1)
	if got := b.status(2); got.Stage != string(settlement.StagePosted) || got.Refused != "" {
		t.Errorf("once the node takes it, the settlement reads %+v", got)
	}
	b.expectSound()
}

// TestShallowReorganisation: the block of a settlement leaves the chain before
// the depth. The books do not move, and the settlement is mined again.
func TestShallowReorganisation(t *testing.T) {
	b, destination := newBankWithWithdrawal(t)
	b.advance()
	b.mine(1)
	if got := b.status(2); got.Stage != string(settlement.StageMined) {
		t.Fatalf("settlement 2 is %s after a block", got.Stage)
	}
	books := b.balance(ledger.WithdrawalsPending)
	b.disconnectTip()
	b.advance()
	if got := b.status(2); got.Stage != string(settlement.StageBroadcast) || got.Height != 0 {
		t.Errorf("after its block left the chain settlement 2 reads %+v", got)
	}
	if got := b.balance(ledger.WithdrawalsPending); got != books {
		t.Errorf("the reorganisation moved %d sat in the books", got-books)
	}
	b.mine(depth + 1)
	if got := b.receivedBy(destination); got != 70_000 {
		t.Errorf("the destination received %d sat, want 70,000 once", got)
	}
	b.expectSound()
}

// TestDeepReorganisation: the last block of the books leaves the chain. The desk
// stops, says so, and goes on when the chain has it again.
func TestDeepReorganisation(t *testing.T) {
	b, destination := newBankWithWithdrawal(t)
	for range depth {
		b.disconnectTip()
	}
	_, err := b.node.Mine(b.ctx, depth+1)
	b.must(err)
	var reorg *settlement.ReorgError
	if err := b.desk.Advance(b.ctx); !errors.As(err, &reorg) {
		t.Fatalf("the books' block left the chain and the desk says %v", err)
	}
	if !strings.Contains(reorg.Error(), "stopped") {
		t.Errorf("the message does not say that settling has stopped: %v", reorg)
	}
	b.must(b.node.Call(b.ctx, "invalidateblock", nil, reorg.Chain.String()))
	b.must(b.node.Call(b.ctx, "reconsiderblock", nil, reorg.Books.String()))
	b.advance()
	b.mine(depth + 1)
	if got := b.receivedBy(destination); got != 70_000 {
		t.Errorf("the destination received %d sat, want 70,000 once", got)
	}
	b.expectSound()
}

// disconnectTip makes the node leave its tip.
func (b *bank) disconnectTip() {
	b.t.Helper()
	tip, err := b.node.Tip(b.ctx)
	b.must(err)
	b.must(b.node.Call(b.ctx, "invalidateblock", nil, tip.Hash.String()))
}
