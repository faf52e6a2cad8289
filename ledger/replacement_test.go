package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// flightBank has ann with two coins, bob with one, the treasury with one, and two
// withdrawals, of which the first version of settlement 1 pays ann's.
func flightBank(t *testing.T) (b *bank, ann, bob *member, coins []ledger.OutPoint) {
	t.Helper()
	b = newBank(t)
	ann, bob = b.open("ann"), b.open("bob")
	coins = append(b.fund(ledger.Treasury, 10_000), b.fund(ann.id, 50_000, 20_000)...)
	coins = append(coins, b.fund(bob.id, 30_000)...)
	b.order(ann, withdraw(40_000, 1_000))
	b.order(bob, withdraw(5_000, 2_000))
	b.event(&ledger.Cut{Settlement: 1, Version: 1, FeeRate: 1_000, Fee: 600, Inputs: coins[:2],
		Payouts: []ledger.CutPayout{{Payer: ann.id, Sequence: 1, FeeShare: 200}}})
	b.seal()
	return b, ann, bob, coins
}

func second(ann, bob *member, coins []ledger.OutPoint) *ledger.Cut {
	return &ledger.Cut{Settlement: 1, Version: 2, FeeRate: 5_000, Fee: 3_000, Inputs: coins[:3],
		Payouts: []ledger.CutPayout{{Payer: ann.id, Sequence: 1, FeeShare: 1_000}, {Payer: bob.id, Sequence: 1, FeeShare: 500}}}
}

// The second version is mined: it pays both, and every satoshi that was reserved and
// not used goes back.
func TestStoryOfAReplacement(t *testing.T) {
	b, ann, bob, coins := flightBank(t)
	b.expect("first version", wantBalance{ledger.Treasury, 9_600, 9_600}, wantBalance{ledger.MinerFees, 400, 400},
		wantBalance{ledger.WithdrawalsPending, 41_000, 41_000})
	effects := b.event(second(ann, bob, coins))
	if want := []ledger.Posting{{Debit: bob.id, Credit: ledger.WithdrawalsPending, Amount: 7_000}, {Debit: ledger.Treasury, Credit: ledger.MinerFees, Amount: 1_100}}; !slices.Equal(effects.Postings, want) {
		t.Errorf("the replacement posted %v, want %v", effects.Postings, want)
	}
	b.seal()
	b.expect("second version", wantBalance{ledger.Treasury, 8_500, 8_500}, wantBalance{ledger.MinerFees, 1_500, 1_500}, wantBalance{bob.id, 23_000, 23_000})
	if v := b.Versions(); len(v) != 2 || v[0].Version != 1 || b.Open() != v[1] || v[1].Batch <= v[0].Batch || v[0].Books.Hash() == v[1].Books.Hash() {
		t.Errorf("the versions in flight are %+v", v)
	}
	b.event(&ledger.Settled{Settlement: 1, Version: 2, TxID: hashOf("two"), ChangeVout: 0})
	b.expect("settled", wantBalance{ledger.Treasury, 8_500, 8_500}, wantBalance{ledger.MinerFees, 0, 0}, wantBalance{ledger.WithdrawalsPending, 0, 0},
		wantBalance{ann.id, 29_000, 29_000}, wantBalance{bob.id, 24_500, 24_500}, wantBalance{ledger.Vault, -62_000, -62_000})
	if b.Open() != nil || len(b.Held()) != 0 || b.Settlements() != 1 {
		t.Errorf("open %v, held %v", b.Open(), b.Held())
	}
}

// A reorganisation brings the first version back: bob's withdrawal waits again in its
// old place, can be cancelled, and the treasury gets back what the second reserved.
func TestStoryOfAnOldVersionMined(t *testing.T) {
	b, ann, bob, coins := flightBank(t)
	before := b.Held()
	b.event(second(ann, bob, coins))
	b.seal()
	b.refuse(ledger.Entry{Order: b.next(bob, &ledger.Cancel{Sequence: 1})}, ledger.CodeNotWaiting)
	effects := b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("one"), ChangeVout: 1})
	if want := []ledger.Posting{
		{Debit: ledger.WithdrawalsPending, Credit: ledger.Vault, Amount: 40_000},
		{Debit: ledger.WithdrawalsPending, Credit: ledger.MinerFees, Amount: 200},
		{Debit: ledger.WithdrawalsPending, Credit: ann.id, Amount: 800},
		{Debit: ledger.WithdrawalsPending, Credit: bob.id, Amount: 7_000},
		{Debit: ledger.MinerFees, Credit: ledger.Vault, Amount: 600},
		{Debit: ledger.MinerFees, Credit: ledger.Treasury, Amount: 1_100},
	}; !slices.Equal(effects.Postings, want) {
		t.Errorf("posted %v, want %v", effects.Postings, want)
	}
	b.expect("settled", wantBalance{ledger.Treasury, 9_600, 9_600}, wantBalance{bob.id, 30_000, 23_000})
	if got := b.Held(); len(got) != 1 || got[0].Ordinal != before[0].Ordinal || got[0].Height != before[0].Height || got[0].FeeShare != 0 {
		t.Errorf("held %+v, before the cut %+v", got, before)
	}
	b.order(bob, &ledger.Cancel{Sequence: 1})
	b.expect("cancelled", wantBalance{bob.id, 30_000, 30_000})
	b.order(bob, pay(ann.id, 30_000))
	b.order(bob, &ledger.Close{})
}

// Three versions of which each shares a coin with the one before could be mined
// two at a time. The third is refused, whatever else it does.
func TestVersionsShareACoinWithAllBefore(t *testing.T) {
	b, ann, bob, coins := flightBank(t)
	v := second(ann, bob, coins)
	v.Inputs, v.Payouts, v.Fee = coins[1:3], v.Payouts[:1], 3_000 // shares the second coin with the first
	b.event(v)
	b.seal()
	third := &ledger.Cut{Settlement: 1, Version: 3, FeeRate: 9_000, Fee: 4_000, Inputs: coins[2:4]} // the third with the second
	b.refuse(ledger.Entry{Event: third}, ledger.CodeEvent)
	third.Inputs = []ledger.OutPoint{coins[0], coins[2], coins[3]} // one with each, none with both
	b.refuse(ledger.Entry{Event: third}, ledger.CodeEvent)
	if _, err := b.Apply(ledger.Entry{Event: third}); !strings.Contains(err.Error(), "two could be mined") {
		t.Errorf("refused with %v", err)
	}
	third.Inputs = []ledger.OutPoint{coins[1], coins[3]}
	b.event(third)
}

func TestReplacementsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *ledger.Cut)
	}{
		{"the same version again", func(c *ledger.Cut) { c.Version = 1 }},
		{"a version left out", func(c *ledger.Cut) { c.Version = 3 }},
		{"the next settlement", func(c *ledger.Cut) { c.Settlement, c.Version = 2, 1 }},
		{"no coin of the first", func(c *ledger.Cut) { c.Inputs, c.Payouts = c.Inputs[2:], nil }},
		{"a fee above treasury and reserve", func(c *ledger.Cut) { c.Fee = 9_600 + 400 + 1_500 + 1 }},
		{"a share above the order's highest fee", func(c *ledger.Cut) { c.Payouts[0].FeeShare = 1_001 }},
		{"a payout twice", func(c *ledger.Cut) { c.Payouts[1] = c.Payouts[0] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, ann, bob, coins := flightBank(t)
			c := second(ann, bob, coins)
			tt.change(c)
			b.refuse(ledger.Entry{Event: c}, ledger.CodeEvent)
		})
	}
	b, ann, bob, coins := flightBank(t)
	c := second(ann, bob, coins)
	c.Fee = 9_600 + 400 + 1_500 // all that the treasury has, and the reserve
	b.event(c)
	b.expect("all of it", wantBalance{ledger.Treasury, 0, 0})
	b.seal()
	for v := uint16(3); v <= ledger.MaxVersions; v++ {
		c.Version = v
		b.event(c)
		b.seal()
	}
	c.Version++
	b.refuse(ledger.Entry{Event: c}, ledger.CodeEvent)
	b.refuse(ledger.Entry{Event: &ledger.Settled{Settlement: 1, Version: 0, ChangeVout: 0}}, ledger.CodeEvent)
	b.refuse(ledger.Entry{Event: &ledger.Settled{Settlement: 1, Version: c.Version, ChangeVout: 0}}, ledger.CodeEvent)
}

// A withdrawal is cancelled before a cut takes it, once.
func TestStoryOfACancellation(t *testing.T) {
	b, ann, bob, _ := flightBank(t)
	b.refuse(ledger.Entry{Order: b.next(ann, &ledger.Cancel{Sequence: 1})}, ledger.CodeNotWaiting) // in flight
	b.refuse(ledger.Entry{Order: b.next(ann, &ledger.Cancel{Sequence: 0})}, ledger.CodeNotWaiting) // the account's opening
	b.refuse(ledger.Entry{Order: b.next(ann, &ledger.Cancel{Sequence: 9})}, ledger.CodeNotWaiting) // to come
	if effects := b.order(bob, &ledger.Cancel{Sequence: 1}); len(effects.Postings) != 0 {
		t.Errorf("a cancellation moves nothing, it posted %v", effects.Postings)
	}
	b.expect("cancelled", wantBalance{bob.id, 30_000, 30_000})
	b.refuse(ledger.Entry{Order: b.next(bob, &ledger.Cancel{Sequence: 1})}, ledger.CodeNotWaiting)
	b.refuse(ledger.Entry{Order: b.next(bob, &ledger.Cancel{Sequence: 2})}, ledger.CodeNotWaiting) // a cancellation
}

// A standing payout pays what is above its limit, at most every so many blocks, and
// one at a time.
func TestStoryOfAStandingPayout(t *testing.T) {
	b := newBank(t)
	ann := b.open("ann")
	coins := b.fund(ann.id, 50_000)
	draw := ledger.Entry{Event: &ledger.Draw{Payer: ann.id}}
	b.refuse(draw, ledger.CodeEvent)
	b.order(ann, &ledger.Standing{Keep: 49_000, Every: 3, FeeMax: 500, Script: scriptP2TR})
	b.refuse(draw, ledger.CodeEvent) // 500 sat are less than the smallest withdrawal
	b.order(ann, &ledger.Standing{Keep: 20_000, Every: 3, FeeMax: 500, Script: scriptP2TR})
	if due := b.Due(); !slices.Equal(due, []ledger.AccountID{ann.id}) {
		t.Fatalf("due: %v", due)
	}
	b.apply(draw)
	b.expect("drawn", wantBalance{ann.id, 50_000, 20_000})
	if h := b.Held(); len(h) != 1 || h[0].Amount != 29_500 || h[0].FeeMax != 500 || h[0].OrderRef != (ledger.OrderRef{Payer: ann.id, Sequence: 2}) {
		t.Fatalf("held %+v", h)
	}
	coins = append(coins, b.fund(ann.id, 10_000)...)
	b.block()
	b.block()
	b.refuse(draw, ledger.CodeEvent) // the last one is not paid
	b.event(&ledger.Cut{Settlement: 1, Version: 1, Fee: 400, Inputs: coins[:1], Payouts: []ledger.CutPayout{{Payer: ann.id, Sequence: 2, FeeShare: 400}}})
	b.seal()
	b.refuse(draw, ledger.CodeEvent)
	b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("one"), ChangeVout: 0})
	b.expect("paid", wantBalance{ann.id, 30_100, 30_100})
	b.apply(draw)
	b.order(ann, &ledger.Cancel{Sequence: 2}) // this one, not the instruction
	b.refuse(draw, ledger.CodeEvent)          // until three blocks have passed
	b.order(ann, &ledger.Standing{Keep: 1_000, Every: 1, FeeMax: 0, Script: scriptP2WPKH})
	b.refuse(draw, ledger.CodeEvent) // a change does not bring it forward
	for range 3 {
		b.block()
	}
	b.apply(draw)
	b.order(ann, &ledger.Standing{})
	if _, ok := b.Instruction(ann.id); ok || len(b.Held()) != 1 {
		t.Errorf("after its end it is there (%v), held %v", ok, b.Held())
	}
}
