package integration

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// resolve asserts that the bank has stopped, and lets the books go on from the branch.
func (b *bank) resolve() *settlement.Resolution {
	b.t.Helper()
	var reorg *settlement.ReorgError
	if err := b.desk.Advance(b.ctx); !errors.As(err, &reorg) {
		b.t.Fatalf("the books' block left the chain and the desk says %v", err)
	}
	r, err := b.desk.Resolve(b.ctx)
	b.must(err)
	b.must(b.desk.Follow(b.ctx, r))
	b.advance()
	return r
}

// expectAudited has a guardian that knows nothing yet, and an auditor, check it all.
func (b *bank) expectAudited() {
	b.t.Helper()
	g, err := guardian.New(guardian.Config{Keys: []guardian.Key{{Share: b.shares[0], Group: b.group}}, Vault: b.vault, Charter: b.charter,
		Journal: b.store, Chain: b.node.Client, Limits: guardian.DefaultLimits()})
	b.must(err)
	if err := g.Sync(b.ctx); err != nil {
		b.t.Errorf("a new guardian: %v", err)
	}
	report, err := audit.Run(b.ctx, audit.Config{Charter: b.charter, Vault: b.vault, Journal: b.store, Chain: b.node.Client, Scanner: b.node.Client})
	b.must(err)
	if !report.OK || report.BlocksLeft == 0 {
		b.t.Errorf("the audit finds %+v, %d blocks left", report.First, report.BlocksLeft)
	}
}

func (b *bank) correct(id ledger.AccountID, amount ledger.Amount) {
	b.t.Helper()
	b.must(b.desk.Correct(b.ctx, &ledger.Correct{Account: id, Amount: amount, Batch: 1}))
}

// doubleSpent is a deposit of 50,000 sat to a member, and a transaction that spends the
// same coin elsewhere.
func (b *bank) doubleSpent(to ledger.AccountID) (deposit, other *wire.MsgTx) {
	b.t.Helper()
	wallet, err := b.node.NewMiniWallet(b.ctx, 1, 1_000_000)
	b.must(err)
	address, err := b.vault.Output(taproot.Deposit, to.Index())
	b.must(err)
	coins := wallet.Coins()
	spend := func(sat int64, script []byte) *wire.MsgTx {
		tx, err := wallet.Build(bitcoind.Payment{Coins: coins, Outputs: []*wire.TxOut{wire.NewTxOut(sat, script)}})
		b.must(err)
		return tx
	}
	return spend(50_000, address.Script), spend(60_000, b.newScript())
}

// A deposit that was credited is double-spent by a reorganisation deeper than the
// depth. The bank stops; after the resolution the member keeps what he was credited,
// the treasury bears it, and settlements go on, signed by the same guardians.
func TestResolveALostDeposit(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	alice, bob := b.newMember(), b.newMember()
	good, bad := b.doubleSpent(bob.id)
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	b.desk.Policy.When.Deposits = false
	other, err := b.vault.Output(taproot.Deposit, alice.id.Index())
	b.must(err)
	b.must(b.node.Broadcast(b.ctx, good))
	b.mine(depth)
	if got := b.balance(bob.id); got != 50_000 {
		t.Fatalf("bob has %d sat", got)
	}
	_, err = b.node.Reorg(b.ctx, depth, bitcoind.ReorgReplace(good.TxHash(), bad), bitcoind.ReorgLonger(2))
	b.must(err)
	r := b.resolve()
	if e := r.Event; len(e.Removed) != 1 || e.Removed[0].TxID != ledger.Hash(good.TxHash()) || len(e.Added) != 0 || len(e.Paid) != 0 || len(r.Unpaid) != 0 {
		t.Errorf("the resolution is %+v", r)
	}
	if bobs, treasury := b.balance(bob.id), b.balance(ledger.Treasury); bobs != 50_000 || treasury < 49_000 || treasury > 50_000 {
		t.Errorf("bob has %d sat and the treasury %d", bobs, treasury)
	}
	to := b.newScript()
	bob.withdraw(to, 20_000, 1_000)
	_, err = b.node.Fund(b.ctx, other.Script, 30_000)
	b.must(err)
	b.mine(2 * (depth + 1))
	if got := b.receivedBy(to); got != 20_000 {
		t.Errorf("bob received %d sat", got)
	}
	if got := b.balance(alice.id); got != 430_000 {
		t.Errorf("alice has %d sat", got)
	}
	b.expectAudited()
	b.expectSound()
}

// The books have posted one version of a settlement, and the branch that took the
// place of theirs holds another.
func TestResolveAnotherVersion(t *testing.T) {
	for _, tt := range []struct {
		name          string
		posted, there int // versions, from 0
	}{{"the old version instead of the new", 1, 0}, {"the new version instead of the old", 0, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplaced(t)
			r.desk.Policy.When = settlement.When{Payouts: 9} // what waits again is not settled meanwhile
			_, err := r.node.Mine(r.ctx, 1, bitcoind.MineTxs(r.versions[tt.posted]))
			r.must(err)
			r.mine(depth - 1)
			if got := r.status(2); got.Stage != string(settlement.StagePosted) || int(got.Version) != tt.posted+1 {
				t.Fatalf("the settlement reads %+v", got)
			}
			_, err = r.node.Reorg(r.ctx, depth, bitcoind.ReorgReplace(r.versions[tt.posted].TxHash(), r.versions[tt.there]), bitcoind.ReorgLonger(2))
			r.must(err)
			res := r.resolve()
			if len(res.Event.Removed) != 1 || len(res.Event.Added) != 1 || res.Event.Added[0].Deposit {
				t.Errorf("the resolution is %+v", res.Event)
			}
			if tt.there == 0 { // bob was posted as paid and is not
				if len(res.Unpaid) != 1 || res.Unpaid[0].Payer != r.bob.id {
					t.Errorf("unpaid: %+v", res.Unpaid)
				}
				r.correct(r.bob.id, paidBob)
				r.bob.withdraw(r.atBob, paidBob, 1_000)
			} else if len(res.Event.Paid) != 1 || res.Event.Paid[0].Payer != r.bob.id {
				t.Errorf("found paid: %+v", res.Event.Paid)
			}
			if rest := r.balance(ledger.Suspense); rest > 0 { // the miner got more, or less
				r.correct(ledger.Treasury, rest)
			}
			r.desk.Policy.When = settlement.DefaultPolicy().When
			r.finish()
			r.expectAudited()
		})
	}
}

// A settlement that is posted left the chain and is mined again: resolve sends it, asks
// to wait, and then has nothing to mend but the block.
func TestResolveSendsAgain(t *testing.T) {
	r := newReplaced(t)
	r.mine(depth)
	_, err := r.node.Reorg(r.ctx, depth, bitcoind.ReorgDrop(r.versions[1].TxHash()), bitcoind.ReorgLonger(2))
	r.must(err)
	var notYet *settlement.NotYetError
	if _, err := r.desk.Resolve(r.ctx); !errors.As(err, &notYet) {
		t.Fatalf("with the settlement out of the chain: %v", err)
	}
	if !r.pooled(r.versions[1]) {
		t.Error("the settlement was not sent again")
	}
	_, err = r.node.Mine(r.ctx, 1)
	r.must(err)
	if _, err := r.desk.Resolve(r.ctx); !errors.As(err, &notYet) {
		t.Errorf("with the settlement in a shallow block: %v", err)
	}
	_, err = r.node.Mine(r.ctx, depth)
	r.must(err)
	if res := r.resolve(); len(res.Event.Removed)+len(res.Event.Added)+len(res.Event.Paid)+len(res.Unpaid) > 0 {
		t.Errorf("the resolution is %+v", res)
	}
	if _, err := r.desk.Resolve(r.ctx); !errors.Is(err, settlement.ErrNoReorganisation) {
		t.Errorf("once more: %v", err)
	}
	r.finish()
	r.expectAudited()
}

// The branch holds the settlement in flight, deep enough, before anybody resolves: the
// books post it with the branch, and guardians and auditors find that right.
func TestResolvePostsTheSettlementInFlight(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reorg func(r *replaced)
	}{
		{"above the books' last block", func(r *replaced) {
			_, err := r.node.Reorg(r.ctx, depth, bitcoind.ReorgKeepAll(), bitcoind.ReorgLonger(1))
			r.must(err)
			_, err = r.node.Mine(r.ctx, depth) // it waits in the mempool
			r.must(err)
		}},
		{"below it", func(r *replaced) {
			paid, err := r.node.Fund(r.ctx, r.newScript(), 10_000)
			r.must(err)
			other, _, _, err := r.node.Tx(r.ctx, paid.Hash)
			r.must(err)
			_, err = r.node.Mine(r.ctx, 1, bitcoind.MineTxs(other))
			r.must(err)
			for range depth - 1 {
				r.miss()
			}
			_, err = r.node.Reorg(r.ctx, depth, bitcoind.ReorgReplace(paid.Hash, r.versions[1]))
			r.must(err)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplaced(t)
			tt.reorg(r)
			if res := r.resolve(); res.Settled == nil || res.Settled.Version != 2 || len(res.Event.Removed)+len(res.Event.Added) > 0 {
				t.Errorf("the resolution is %+v, posting %+v", res.Event, res.Settled)
			}
			if got := r.status(2); got.Stage != string(settlement.StagePosted) || got.Version != 2 {
				t.Errorf("the settlement reads %+v", got)
			}
			r.finish()
			r.expectAudited()
		})
	}
}

// A deep reorganisation takes a coin of a version that is not signed yet: nobody will
// ever sign it, so the next version goes without the coin.
func TestResolveWithAnUnsignedVersion(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	alice, to := b.newMember(), b.newScript()
	good, bad := b.doubleSpent(alice.id)
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 400_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	b.must(b.node.Broadcast(b.ctx, good))
	alice.withdraw(to, 70_000, 1_000)
	signer := b.desk.Signer
	b.desk.Signer = signerFunc(func(context.Context, *netting.Transaction, uint64) ([][]byte, error) { return nil, errCrash })
	_, err := b.node.Mine(b.ctx, depth)
	b.must(err)
	if err := b.desk.Advance(b.ctx); !errors.Is(err, errCrash) {
		t.Fatalf("without guardians: %v", err)
	}
	_, err = b.node.Reorg(b.ctx, depth, bitcoind.ReorgReplace(good.TxHash(), bad), bitcoind.ReorgLonger(2))
	b.must(err)
	b.desk.Signer = signer
	if r := b.resolve(); len(r.Event.Removed) != 1 {
		t.Errorf("the resolution is %+v", r.Event)
	}
	if got := b.status(2); got.Stage != string(settlement.StageBroadcast) || got.Version != 2 {
		t.Errorf("the settlement reads %+v", got)
	}
	b.mine(depth + 1)
	if got := b.receivedBy(to); got != 70_000 {
		t.Errorf("the destination received %d sat", got)
	}
	b.expectAudited()
	b.expectSound()
}

// The books let bob wait, and the next settlement pay him; the branch has the version
// of the first that pays him already, and cannot hold the next. He is paid: nothing is
// to be given back.
func TestResolvePaidByAnotherSettlement(t *testing.T) {
	r := newReplaced(t)
	_, err := r.node.Mine(r.ctx, 1, bitcoind.MineTxs(r.versions[0]))
	r.must(err)
	blocks := 1
	for ; blocks < 5*depth && r.receivedBy(r.atBob) == 0; blocks++ {
		r.mine(1)
	}
	r.mine(depth)
	blocks += depth
	if got := r.status(3); got.Stage != string(settlement.StagePosted) {
		t.Fatalf("the next settlement reads %+v", got)
	}
	_, err = r.node.Reorg(r.ctx, blocks, bitcoind.ReorgKeepAll(), bitcoind.ReorgReplace(r.versions[0].TxHash(), r.versions[1]), bitcoind.ReorgLonger(2))
	r.must(err)
	if res := r.resolve(); len(res.Unpaid) > 0 || len(res.Event.Paid) > 0 {
		t.Errorf("unpaid %+v, found paid %+v", res.Unpaid, res.Event.Paid)
	}
	if got := r.receivedBy(r.atBob); got != paidBob {
		t.Errorf("bob received %d sat", got)
	}
	r.expectAudited()
}

// As before, but the settlement that pays bob is still in flight. Whether it can still
// be mined is for a person to see: resolve does not let both pay him.
func TestResolveRefusesToPayTwice(t *testing.T) {
	r := newReplaced(t)
	_, err := r.node.Mine(r.ctx, 1, bitcoind.MineTxs(r.versions[0]))
	r.must(err)
	sent := func() bool {
		next, err := r.desk.Settlements(r.ctx, 3, 1)
		r.must(err)
		return len(next) == 1 && next[0].Stage == string(settlement.StageBroadcast)
	}
	blocks := 1
	for ; blocks < 5*depth && !sent(); blocks++ {
		r.mine(1)
	}
	_, err = r.node.Reorg(r.ctx, blocks, bitcoind.ReorgReplace(r.versions[0].TxHash(), r.versions[1]), bitcoind.ReorgLonger(2))
	r.must(err)
	var notYet *settlement.NotYetError
	if _, err := r.desk.Resolve(r.ctx); !errors.As(err, &notYet) || !strings.Contains(notYet.Reason, "the settlement in flight pays it too") {
		t.Errorf("paid in the branch and by the settlement in flight: %v", err)
	}
}

// A bank that follows a branch and leaves out the settlement that it holds, or posts
// another version of it, is caught by guardians and auditors.
func TestResolveLies(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  func(r *replaced, res *settlement.Resolution)
	}{
		{"left out", func(_ *replaced, res *settlement.Resolution) { res.Settled = nil }},
		{"another version", func(r *replaced, res *settlement.Resolution) {
			res.Settled.Version, res.Settled.TxID = 1, ledger.Hash(r.versions[0].TxHash())
			res.Settled.ChangeVout = r.changeOf(r.versions[0])
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplaced(t)
			_, err := r.node.Reorg(r.ctx, depth, bitcoind.ReorgKeepAll(), bitcoind.ReorgLonger(1))
			r.must(err)
			_, err = r.node.Mine(r.ctx, depth)
			r.must(err)
			res, err := r.desk.Resolve(r.ctx)
			r.must(err)
			tt.lie(r, res)
			r.must(r.desk.Follow(r.ctx, res))
			g, err := guardian.New(guardian.Config{Keys: []guardian.Key{{Share: r.shares[0], Group: r.group}}, Vault: r.vault, Charter: r.charter,
				Journal: r.store, Chain: r.node.Client, Limits: guardian.DefaultLimits()})
			r.must(err)
			var differs *netting.FactError
			if err := g.Sync(r.ctx); !errors.As(err, &differs) {
				t.Errorf("a guardian: %v", err)
			}
			report, err := audit.Run(r.ctx, audit.Config{Charter: r.charter, Vault: r.vault, Journal: r.store, Chain: r.node.Client, Scanner: r.node.Client})
			r.must(err)
			if report.OK || report.First.Check != audit.CheckChain {
				t.Errorf("the audit finds %+v", report.First)
			}
		})
	}
}

// changeOf is the output of a settlement that goes back to the vault.
func (b *bank) changeOf(tx *wire.MsgTx) uint32 {
	b.t.Helper()
	number, _ := anchorOf(tx)
	change, err := b.vault.Output(taproot.Change, number)
	b.must(err)
	return uint32(slices.IndexFunc(tx.TxOut, func(out *wire.TxOut) bool { return bytes.Equal(out.PkScript, change.Script) }))
}
