package netting_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Whatever waits in the books and whatever the rate: the books take the plan,
// the transaction conserves every satoshi and pays its rate, nobody pays the
// miner more than he allowed or than his output costs, and nothing that could
// have been paid is left waiting.
func TestPlanProperties(t *testing.T) {
	base := audittest.New(t)
	rapid.Check(t, func(t *rapid.T) {
		s := drawBooks(t, base)
		rate := rapid.Int64Range(1, 200_000).Draw(t, "rate")
		limits := netting.Limits{InputsMax: rapid.IntRange(1, 12).Draw(t, "inputs"), PayoutsMax: rapid.IntRange(1, 12).Draw(t, "payouts"), WeightMax: netting.WeightMax}
		held := s.Held()
		cut, err := netting.Plan(s, base.Vaults, rate, limits)
		var poor *netting.TreasuryError
		if errors.As(err, &poor) {
			if poor.NeedSat <= poor.HaveSat || poor.HaveSat != s.Balance(ledger.Treasury) {
				t.Fatalf("not poor: %v", err)
			}
			return
		}
		if errors.Is(err, netting.ErrNothingToSettle) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(cut.Inputs) > limits.InputsMax || len(cut.Payouts) > limits.PayoutsMax {
			t.Fatalf("%d inputs and %d payouts pass the limits %+v", len(cut.Inputs), len(cut.Payouts), limits)
		}
		if _, err := s.Apply(ledger.Entry{Event: cut}); err != nil {
			t.Fatalf("the books refuse the plan: %v", err)
		}
		if err := s.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
		built, err := netting.Build(s.Open(), base.Vaults)
		if err != nil {
			t.Fatal(err)
		}
		var members int64
		for _, p := range cut.Payouts {
			members += int64(p.FeeShare)
		}
		checkTransaction(t, built, rate, members)
		checkShares(t, cut, held, rate)
	})
}

// drawBooks are books with some members' coins and held withdrawals. Nothing in
// them is signed: the rules do not look at signatures.
func drawBooks(t *rapid.T, base *audittest.Bank) *ledger.State {
	s, err := ledger.NewState(base.Charter)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(e ledger.Entry) {
		if _, err := s.Apply(e); err != nil {
			t.Fatalf("%s: %v", e.Kind(), err)
		}
	}
	members := rapid.IntRange(1, 4).Draw(t, "members")
	for i := range members {
		apply(ledger.Entry{Order: &ledger.Order{Bank: s.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(audittest.Key(string(rune('a' + i))))}}})
	}
	height, hash := s.Block()
	apply(ledger.Entry{Event: &ledger.Block{Height: height + 1, Hash: ledger.Hash{1}, Previous: hash}})
	for n := range rapid.IntRange(1, 10).Draw(t, "coins") {
		index := uint32(ledger.Treasury)
		if n > 0 {
			index = uint32(ledger.FirstMember) + uint32(rapid.IntRange(0, members-1).Draw(t, "owner"))
		}
		apply(ledger.Entry{Event: &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{byte(n + 1)}}, Index: index,
			Amount: ledger.Amount(rapid.Int64Range(1, 300_000).Draw(t, "amount")), Height: height + 1, TxIndex: uint32(n + 1)}})
	}
	scripts := append(payoutScripts(1), payoutScripts(2)...)
	for range rapid.IntRange(0, 12).Draw(t, "withdrawals") {
		a, _ := s.Account(ledger.FirstMember + ledger.AccountID(rapid.IntRange(0, members-1).Draw(t, "payer")))
		w := &ledger.Withdraw{Amount: ledger.Amount(rapid.Int64Range(1_000, 50_000).Draw(t, "withdrawn")),
			FeeMax: ledger.Amount(rapid.Int64Range(0, 10_000).Draw(t, "fee limit")), Script: rapid.SampledFrom(scripts).Draw(t, "script")}
		if w.Amount+w.FeeMax <= a.Available() {
			apply(ledger.Entry{Order: &ledger.Order{Bank: s.Bank(), Payer: a.ID, Sequence: a.Sequence + 1, Previous: a.Last, Body: w}})
		}
	}
	return s
}

func checkTransaction(t *rapid.T, built *netting.Transaction, rate, members int64) {
	var in, out int64
	for _, o := range built.Spent {
		in += o.Value
	}
	for _, o := range built.Tx.TxOut {
		out += o.Value
		if dust := taproot.DustLimit(o.PkScript); o.Value < dust {
			t.Fatalf("an output of %d sat is dust, the limit is %d", o.Value, dust)
		}
	}
	if in != out+built.FeeSat {
		t.Fatalf("%d sat come in, %d go out and %d to the miner", in, out, built.FeeSat)
	}
	var scripts [][]byte
	for _, o := range built.Tx.TxOut {
		scripts = append(scripts, o.PkScript)
	}
	least := taproot.FeeForWeight(taproot.KeySpendWeight(len(built.Tx.TxIn), scripts), rate)
	// Without change, what would be dust and the output it would need go too.
	most := max(least, members) // each member's part is rounded up
	if built.ChangeVout == ledger.NoChange {
		most += taproot.FeeForWeight(4*(p2trOutput+2), rate) + 330
	}
	if built.FeeSat < least || built.FeeSat > most {
		t.Fatalf("the fee is %d sat, want %d to %d (change %v)", built.FeeSat, least, most, built.ChangeVout != ledger.NoChange)
	}
}

// checkShares asserts who pays what, and that the order of acceptance is kept.
func checkShares(t *rapid.T, cut *ledger.Cut, held []ledger.Payout, rate int64) {
	byRef := make(map[ledger.OrderRef]ledger.Payout)
	for _, h := range held {
		byRef[h.OrderRef] = h
	}
	perScript := make(map[string]ledger.Amount)
	last := uint64(0)
	for _, p := range cut.Payouts {
		h := byRef[ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence}]
		if h.Ordinal <= last {
			t.Fatalf("payout %s stands before one that was accepted earlier", h.OrderRef)
		}
		last = h.Ordinal
		if p.FeeShare > h.FeeMax {
			t.Fatalf("payout %s pays %d sat, at most %d are allowed", h.OrderRef, p.FeeShare, h.FeeMax)
		}
		perScript[string(h.Script)] += p.FeeShare
	}
	for script, sum := range perScript {
		if want := netting.OutputFee([]byte(script), rate); sum != want {
			t.Fatalf("the output to %x is paid with %d sat, it costs %d", script, sum, want)
		}
	}
}
