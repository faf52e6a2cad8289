package ledger_test

import (
	"testing"

	"github.com/daobank/daobank/ledger"
)

func reorganised(b *bank, change func(e *ledger.Reorganised)) *ledger.Reorganised {
	height, _ := b.Block()
	e := &ledger.Reorganised{From: height, Height: height + 1, Hash: hashOf("another branch %d", height+1)}
	change(e)
	return e
}

// cover is a coin that came on the other branch.
func cover(amount ledger.Amount) []ledger.Added {
	return []ledger.Added{{OutPoint: ledger.OutPoint{TxID: hashOf("new")}, Amount: amount}}
}

// A deposit that was credited and spent inside is lost by a deep reorganisation. The
// members keep what they have, the treasury bears it, and when the coin comes back
// it goes to suspense and from there, by a correction, to the treasury.
func TestStoryOfALostDeposit(t *testing.T) {
	b := newBank(t)
	ann, bob := b.open("ann"), b.open("bob")
	b.fund(ledger.Treasury, 60_000)
	lost := b.fund(ann.id, 50_000)[0]
	b.order(ann, pay(bob.id, 50_000))
	b.seal()
	b.event(reorganised(b, func(e *ledger.Reorganised) { e.Removed = []ledger.OutPoint{lost} }))
	b.seal()
	b.expect("lost", wantBalance{bob.id, 50_000, 50_000}, wantBalance{ledger.Treasury, 10_000, 10_000}, wantBalance{ledger.Suspense, 0, 0})
	b.block()
	d := b.nextDeposit(ann.id, 50_000)
	d.OutPoint = lost
	b.event(d)
	b.expect("back", wantBalance{ann.id, 0, 0}, wantBalance{ledger.Suspense, 50_000, 50_000})
	b.refuse(ledger.Entry{Event: &ledger.Correct{Account: ledger.Treasury, Amount: 50_001, Batch: 1}}, ledger.CodeEvent)
	b.refuse(ledger.Entry{Event: &ledger.Correct{Account: ledger.MinerFees, Amount: 1, Batch: 1}}, ledger.CodeEvent)
	b.refuse(ledger.Entry{Event: &ledger.Correct{Account: ledger.Treasury, Amount: 1, Batch: 3}}, ledger.CodeEvent)
	b.event(&ledger.Correct{Account: ledger.Treasury, Amount: 50_000, Batch: 1})
	b.expect("corrected", wantBalance{ledger.Treasury, 60_000, 60_000}, wantBalance{ledger.Suspense, 0, 0})
}

// The chain has paid what the books let wait, and lost what they posted.
func TestStoryOfASettlementOnAnotherBranch(t *testing.T) {
	b, ann, bob, coins := flightBank(t)
	b.event(second(ann, bob, coins))
	b.seal()
	b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("one"), ChangeVout: 0})
	b.block()
	// The other branch has version 2: both are paid, the change is 62,000 - … sat.
	change := ledger.Added{OutPoint: ledger.OutPoint{TxID: hashOf("two")}, Amount: 80_000 - 45_000 - 3_000, Branch: ledger.BranchChange, Index: 1}
	b.event(reorganised(b, func(e *ledger.Reorganised) {
		e.Removed = []ledger.OutPoint{{TxID: hashOf("one")}, coins[2]}
		e.Added = []ledger.Added{change}
		e.Paid = []ledger.OrderRef{{Payer: bob.id, Sequence: 1}}
	}))
	// 2,400 sat more went to the miner, and the treasury bears them.
	b.expect("other branch", wantBalance{bob.id, 25_000, 25_000}, wantBalance{ledger.Suspense, 0, 0}, wantBalance{ledger.Treasury, 9_600 - 2_400, 9_600 - 2_400})
	if len(b.Held()) != 0 {
		t.Errorf("held: %v", b.Held())
	}
}

func TestReorganisationsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b *bank, coins []ledger.OutPoint, e *ledger.Reorganised)
		ok     bool
	}{
		{"good", func(*bank, []ledger.OutPoint, *ledger.Reorganised) {}, true},
		{"from the birth block", func(b *bank, _ []ledger.OutPoint, e *ledger.Reorganised) { e.From = birthHeight }, false},
		{"from a block to come", func(b *bank, _ []ledger.OutPoint, e *ledger.Reorganised) { e.From++ }, false},
		{"to a lower block", func(b *bank, _ []ledger.OutPoint, e *ledger.Reorganised) { e.Height -= 2 }, false},
		{"to the same block", func(b *bank, _ []ledger.OutPoint, e *ledger.Reorganised) { e.Height--; _, e.Hash = b.Block() }, false},
		{"a common coin of the settlement in flight", func(_ *bank, c []ledger.OutPoint, e *ledger.Reorganised) { e.Removed, e.Added = c[:1], cover(400) }, true},
		{"all common coins of it", func(_ *bank, c []ledger.OutPoint, e *ledger.Reorganised) { e.Removed, e.Added = c[:2], cover(60_000) }, false},
		{"more than suspense and treasury have", func(_ *bank, c []ledger.OutPoint, e *ledger.Reorganised) { e.Removed = c[2:4] }, false},
		{"as much, with what is added", func(_ *bank, c []ledger.OutPoint, e *ledger.Reorganised) {
			e.Removed, e.Added = c[2:4], cover(40_400)
		}, true},
		{"a satoshi less", func(_ *bank, c []ledger.OutPoint, e *ledger.Reorganised) {
			e.Removed, e.Added = c[2:4], cover(40_399)
		}, false},
		{"a withdrawal in flight found paid", func(b *bank, _ []ledger.OutPoint, e *ledger.Reorganised) {
			e.Paid = []ledger.OrderRef{{Payer: 16, Sequence: 1}}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _, _, coins := flightBank(t)
			e := reorganised(b, func(e *ledger.Reorganised) { tt.change(b, coins, e) })
			if tt.ok {
				b.event(e)
			} else {
				b.refuse(ledger.Entry{Event: e}, ledger.CodeEvent)
			}
		})
	}
	// One common coin after the other: the last must stay.
	b, _, _, coins := flightBank(t)
	b.event(reorganised(b, func(e *ledger.Reorganised) { e.Removed, e.Added = coins[:1], cover(90_000) }))
	b.refuse(ledger.Entry{Event: reorganised(b, func(e *ledger.Reorganised) { e.Removed = coins[1:2] })}, ledger.CodeEvent)
	b.refuse(ledger.Entry{Event: &ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("one"), ChangeVout: 0}}, ledger.CodeEvent)
}
