package netting_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire"
	"pgregory.net/rapid"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

func vsize(t *netting.Transaction) int64 {
	var scripts [][]byte
	for _, o := range t.Tx.TxOut {
		scripts = append(scripts, o.PkScript)
	}
	return (taproot.KeySpendWeight(len(t.Tx.TxIn), scripts) + 3) / 4
}

// bidOver asks what a node with these versions in its mempool asks.
func bidOver(t *netting.Transaction, wish int64) netting.Bid {
	return netting.Bid{FeeRate: wish, Above: (t.FeeSat*1000 + vsize(t) - 1) / vsize(t), Evicted: ledger.Amount(t.FeeSat),
		Step: 1_000, Floor: 1_000, Ceiling: 500_000}
}

// The second version spends all that the first spends, pays all that it pays and
// what has come since, and satisfies BIP-125 at once.
func TestReplaceCarriesEverything(t *testing.T) {
	b, ann, bob := newBank(t, 50_000, 1_000_000)
	b.Pay(ann, bob, 400_000)
	b.Withdraw(ann, 10_000, 100, audittest.Script("a"))
	b.Withdraw(bob, 20_000, 2_000, audittest.Script("b"))
	first := b.Cut(relayRate)
	b.Deposit(bob.ID, 70_000)
	b.Withdraw(bob, 30_000, 2_000, audittest.Script("c"))
	b.Withdraw(bob, 30_000, 100, audittest.Script("d")) // allows less than the new price
	second := b.Replace(bidOver(first, 5*relayRate))
	for _, in := range first.Tx.TxIn {
		if !slices.ContainsFunc(second.Tx.TxIn, func(i2 *wire.TxIn) bool { return i2.PreviousOutPoint == in.PreviousOutPoint }) {
			t.Errorf("the second version does not spend %s", in.PreviousOutPoint)
		}
	}
	if second.Version != 2 || len(second.Tx.TxIn) != len(first.Tx.TxIn)+1 || second.Destinations != 3 {
		t.Errorf("version %d spends %d coins and pays %d", second.Version, len(second.Tx.TxIn), second.Destinations)
	}
	want := []ledger.CutPayout{
		{Payer: ann.ID, Sequence: 2, FeeShare: 100}, // of 215: the treasury pays the rest
		{Payer: bob.ID, Sequence: 1, FeeShare: 215},
		{Payer: bob.ID, Sequence: 2, FeeShare: 215},
	}
	if got := b.Books.Open().Payouts; len(got) != 3 || got[0].FeeShare != 100 || got[1].FeeShare != 215 || got[2].FeeShare != 215 {
		t.Errorf("payouts %+v, want %+v", got, want)
	}
	if need := first.FeeSat + vsize(second); second.FeeSat < need || second.FeeSat != 5*vsize(second) {
		t.Errorf("its fee is %d sat for %d vbytes, the node wants %d", second.FeeSat, vsize(second), need)
	}
	if held := b.Books.Held(); len(held) != 1 || held[0].Sequence != 3 {
		t.Errorf("held: %+v", held)
	}
}

// A wish that is too low is raised to what the node asks, and not a satoshi above
// what its own size costs.
func TestReplaceMeetsBIP125(t *testing.T) {
	for _, tt := range []struct {
		name    string
		evicted ledger.Amount // beyond the first version: what payees have built on it
	}{{"alone", 0}, {"with a dear child", 30_000}} {
		t.Run(tt.name, func(t *testing.T) {
			b, ann, _ := newBank(t, 90_000, 1_000_000)
			b.Withdraw(ann, 10_000, 100, audittest.Script("a"))
			first := b.Cut(relayRate)
			bid := bidOver(first, relayRate)
			bid.Evicted += tt.evicted
			second := b.Replace(bid)
			need := int64(bid.Evicted) + vsize(second)
			if second.FeeSat < need || second.FeeSat > need+vsize(second)/500+1 {
				t.Errorf("the fee is %d sat, the node asks %d", second.FeeSat, need)
			}
		})
	}
}

func TestReplaceIsBounded(t *testing.T) {
	b, ann, _ := newBank(t, 3_000, 1_000_000)
	b.Withdraw(ann, 10_000, 100, audittest.Script("a"))
	first := b.Cut(relayRate)
	bid := bidOver(first, 400_000)
	// The treasury cannot pay that: the rate is what it can.
	cut, err := netting.Replace(b.Books, b.Vaults, bid, netting.StandardLimits)
	if err != nil {
		t.Fatal(err)
	}
	rest := b.Books.Balance(ledger.Treasury) + b.Books.Balance(ledger.MinerFees) - (cut.Fee - cut.Payouts[0].FeeShare)
	if rest < 0 || int64(rest) > vsize(first)/500+1 {
		t.Errorf("at %d sat per 1,000 vbytes the treasury keeps %d sat", cut.FeeRate, rest)
	}
	bid.Evicted = 10_000
	var poor *netting.TreasuryError
	if _, err := netting.Replace(b.Books, b.Vaults, bid, netting.StandardLimits); !errors.As(err, &poor) {
		t.Errorf("with 10,000 sat to push out: %v", err)
	}
	bid = bidOver(first, 2_000)
	bid.Ceiling = bid.Above
	var high *netting.CeilingError
	if _, err := netting.Replace(b.Books, b.Vaults, bid, netting.StandardLimits); !errors.As(err, &high) {
		t.Errorf("above the ceiling: %v", err)
	}
}

// Guardians of the old key are gone when the first version spends a coin of theirs:
// the second goes without, and the two still exclude each other.
func TestReplaceWithoutCoinsOfTheOldKey(t *testing.T) {
	b, ann, _ := newBank(t, 10_000, 100_000)
	b.Settle(relayRate)
	b.Rekey(2, 4)
	b.Mine(b.Payment(b.ToGeneration(1, taproot.Deposit, ann.ID.Index(), 60_000)))
	b.Bury()
	b.Withdraw(ann, 50_000, 1_000, audittest.Script("a"))
	b.Withdraw(ann, 90_000, 1_000, audittest.Script("b"))
	first := b.Cut(relayRate)
	if first.Destinations != 2 || len(first.Signers) != 2 {
		t.Fatalf("the first version spends %d coins and pays %d", len(first.Signers), first.Destinations)
	}
	limits := netting.StandardLimits
	limits.Away = []uint32{0}
	cut, err := netting.Replace(b.Books, b.Vaults, bidOver(first, relayRate), limits)
	if err != nil {
		t.Fatal(err)
	}
	b.Apply(ledger.Entry{Event: cut})
	b.Seal()
	second := b.Build()
	if len(second.Signers) != 1 || second.Signers[0].Generation != 1 || second.Destinations != 1 {
		t.Errorf("the second version spends %d coins and pays %d", len(second.Signers), second.Destinations)
	}
	b.Mine(b.Sign(second))
	b.Bury()
	if held := b.Books.Held(); b.Books.Open() != nil || len(held) != 1 || held[0].Amount != 90_000 {
		t.Errorf("in flight %v, held %+v", b.Books.Open(), held)
	}
	// With no coin of the newest key among them there is nothing to have in common.
	b.Rekey(2, 4)
	third := b.Cut(relayRate)
	limits.Away = []uint32{0, 1}
	if _, err := netting.Replace(b.Books, b.Vaults, bidOver(third, relayRate), limits); !errors.Is(err, netting.ErrNoCommonCoin) {
		t.Errorf("with all guardians of its coins gone: %v", err)
	}
}

// Whichever version is mined, the books recognise it, and the others are void.
func TestFactsOfAnyVersion(t *testing.T) {
	for mined := range 3 {
		b, ann, _ := newBank(t, 90_000, 1_000_000)
		b.Withdraw(ann, 10_000, 100, audittest.Script("a"))
		flight := netting.Flight{b.Cut(relayRate)}
		for len(flight) < 3 {
			b.Withdraw(ann, 10_000, 3_000, audittest.Script(string(rune('b'+len(flight)))))
			flight = append(flight, b.Replace(bidOver(flight.Newest(), int64(len(flight)+1)*2*relayRate)))
		}
		b.Mine(b.Sign(flight[mined]))
		height, _ := b.Chain.Height(t.Context())
		events, _ := view(b, uint32(height), flight...)
		want := ledger.Settled{Settlement: 1, Version: uint16(mined + 1), TxID: ledger.Hash(flight[mined].TxID), ChangeVout: flight[mined].ChangeVout}
		if got, ok := events[len(events)-1].(*ledger.Settled); !ok || *got != want || len(deposits(events)) != 0 {
			t.Errorf("the facts are %+v, want %+v", events, want)
		}
		b.Bury()
		if got := b.Books.Held(); b.Books.Open() != nil || len(got) != 2-mined {
			t.Errorf("version %d mined: in flight %v, %d wait", mined+1, b.Books.Open(), len(got))
		}
		if err := b.Books.CheckInvariants(); err != nil {
			t.Error(err)
		}
	}
}

// Whatever waits, whatever the rates: the books take the replacement, it pays the
// miner what the node asks, nobody more than he allowed, and nothing that the first
// version paid is left out.
func TestReplaceProperties(t *testing.T) {
	base := audittest.New(t)
	replaced := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawBooks(t, base)
		rate := rapid.Int64Range(1_000, 50_000).Draw(t, "rate")
		limits := netting.Limits{InputsMax: rapid.IntRange(1, 12).Draw(t, "inputs"), PayoutsMax: rapid.IntRange(1, 12).Draw(t, "payouts"), WeightMax: netting.WeightMax}
		cut, err := netting.Plan(s, base.Vaults, rate, limits)
		if err != nil {
			return
		}
		apply(t, s, cut)
		built, err := netting.Build(s.Open(), base.Vaults)
		if err != nil {
			t.Fatal(err)
		}
		bid := bidOver(built, rapid.Int64Range(1_000, 100_000).Draw(t, "wish"))
		bid.Evicted += ledger.Amount(rapid.Int64Range(0, 5_000).Draw(t, "children"))
		next, err := netting.Replace(s, base.Vaults, bid, limits)
		var poor *netting.TreasuryError
		if errors.As(err, &poor) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		replaced++
		apply(t, s, next)
		second, err := netting.Build(s.Open(), base.Vaults)
		if err != nil {
			t.Fatal(err)
		}
		if need := int64(bid.Evicted) + vsize(second); second.FeeSat < need || second.FeeSat*1000 < bid.Above*vsize(second) {
			t.Fatalf("the fee is %d sat for %d vbytes, the node asks %d and a rate above %d", second.FeeSat, vsize(second), need, bid.Above)
		}
		for _, p := range cut.Payouts {
			if !slices.ContainsFunc(next.Payouts, func(q ledger.CutPayout) bool { return q.Payer == p.Payer && q.Sequence == p.Sequence }) {
				t.Fatalf("payout %d/%d is left out", p.Payer, p.Sequence)
			}
		}
		for _, in := range cut.Inputs {
			if !slices.Contains(next.Inputs, in) {
				t.Fatalf("coin %s is left out", in)
			}
		}
	})
	if replaced < 20 {
		t.Errorf("only %d drawn settlements were replaced", replaced)
	}
}

func apply(t *rapid.T, s *ledger.State, cut *ledger.Cut) {
	if _, err := s.ApplyEvent(cut); err != nil {
		t.Fatalf("the books refuse the plan: %v", err)
	}
	h := s.Next(ledger.Hash{}, 1, 1, 0)
	if err := s.Seal(&h); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckInvariants(); err != nil {
		t.Fatal(err)
	}
}
