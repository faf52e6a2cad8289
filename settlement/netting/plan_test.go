package netting_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// relayRate is one satoshi per virtual byte: fees are sizes.
const relayRate = 1_000

// Sizes in virtual bytes, reckoned by hand from BIP-141: a P2TR output is 8 + 1
// + 34; a settlement of two inputs, one P2TR payout, anchor and change is
// 10.5 + 2·57.5 + 43 + 51 + 43, rounded up.
const (
	p2trOutput    = 43
	twoInputs     = 263
	twoInputsNone = twoInputs - p2trOutput // without change
)

// newBank has ann and bob with coins and a treasury that can pay.
func newBank(t *testing.T, treasury ledger.Amount, ann ...ledger.Amount) (b *audittest.Bank, a, c *audittest.Member) {
	t.Helper()
	b = audittest.New(t)
	a, c = b.Open("ann"), b.Open("bob")
	if treasury > 0 {
		b.Deposit(ledger.Treasury, treasury)
	}
	b.Deposit(a.ID, ann...)
	return b, a, c
}

func plan(b *audittest.Bank, rate int64, limits netting.Limits) *ledger.Cut {
	b.Helper()
	cut, err := netting.Plan(b.Books, b.Vaults, rate, limits)
	if err != nil {
		b.Fatal(err)
	}
	return cut
}

func paid(cut *ledger.Cut) (refs []ledger.OrderRef) {
	for _, p := range cut.Payouts {
		refs = append(refs, ledger.OrderRef{Payer: p.Payer, Sequence: p.Sequence})
	}
	return refs
}

func TestPlanSpendsEveryCoin(t *testing.T) {
	b, _, _ := newBank(t, 10_000, 5_000, 70_000, 300, 9_000)
	cut := plan(b, relayRate, netting.StandardLimits)
	if len(cut.Inputs) != 5 || len(cut.Payouts) != 0 {
		t.Errorf("the plan spends %d coins of 5 and pays %d of 0", len(cut.Inputs), len(cut.Payouts))
	}
}

func TestPlanKeepsLimits(t *testing.T) {
	b, ann, _ := newBank(t, 10_000, 5_000, 70_000, 300, 90_000)
	for i := range 3 {
		b.Withdraw(ann, 2_000, 500, audittest.Script(string(rune('a'+i))))
	}
	cut := plan(b, relayRate, netting.Limits{InputsMax: 2, PayoutsMax: 2, WeightMax: netting.WeightMax})
	amounts := make(map[ledger.OutPoint]ledger.Amount)
	for _, c := range b.Books.Coins() {
		amounts[c.OutPoint] = c.Amount
	}
	var got []ledger.Amount
	for _, in := range cut.Inputs {
		got = append(got, amounts[in])
	}
	if !slices.Equal(got, []ledger.Amount{90_000, 70_000}) {
		t.Errorf("the plan spends %v, want the two largest", got)
	}
	if want := []ledger.OrderRef{{Payer: ann.ID, Sequence: 1}, {Payer: ann.ID, Sequence: 2}}; !slices.Equal(paid(cut), want) {
		t.Errorf("the plan pays %v, want the first two accepted", paid(cut))
	}
}

// A withdrawal that the spent coins do not cover waits; a later one is paid.
func TestPlanCoversPayouts(t *testing.T) {
	b, ann, _ := newBank(t, 10_000, 50_000, 60_000)
	b.Withdraw(ann, 65_000, 1_000, audittest.Script("a"))
	b.Withdraw(ann, 30_000, 1_000, audittest.Script("b"))
	cut := plan(b, relayRate, netting.Limits{InputsMax: 1, PayoutsMax: 10, WeightMax: netting.WeightMax})
	if want := []ledger.OrderRef{{Payer: ann.ID, Sequence: 2}}; !slices.Equal(paid(cut), want) {
		t.Errorf("one coin of 60,000 sat pays %v, want %v", paid(cut), want)
	}
}

// The withdrawals to one script share its output's fee to the satoshi, the first
// accepted paying the remainder; the treasury pays the rest of the transaction.
func TestPlanSharesTheFee(t *testing.T) {
	b, ann, bob := newBank(t, 100_000, 1_000_000)
	b.Pay(ann, bob, 400_000)
	b.Withdraw(ann, 10_000, 43, audittest.Script("shared"))
	b.Withdraw(bob, 20_000, 43, audittest.Script("alone"))
	b.Withdraw(bob, 30_000, 43, audittest.Script("shared"))
	b.Withdraw(ann, 40_000, 43, audittest.Script("shared"))
	cut := plan(b, relayRate, netting.StandardLimits)
	want := []ledger.CutPayout{
		{Payer: ann.ID, Sequence: 2, FeeShare: 15}, // 43 = 15 + 14 + 14
		{Payer: bob.ID, Sequence: 1, FeeShare: 43},
		{Payer: bob.ID, Sequence: 2, FeeShare: 14},
		{Payer: ann.ID, Sequence: 3, FeeShare: 14},
	}
	if !slices.Equal(cut.Payouts, want) {
		t.Errorf("payouts %+v, want %+v", cut.Payouts, want)
	}
	if fee := ledger.Amount(twoInputs + p2trOutput); cut.Fee != fee {
		t.Errorf("the fee is %d sat, want %d", cut.Fee, fee)
	}
	before := b.Books.Balance(ledger.Treasury)
	built := b.Cut(relayRate)
	if got := before - b.Books.Balance(ledger.Treasury); got != ledger.Amount(built.FeeSat)-2*p2trOutput {
		t.Errorf("the treasury pays %d sat of %d", got, built.FeeSat)
	}
}

// A fee limit one satoshi too low waits, and the others keep their order.
func TestPlanKeepsFeeLimits(t *testing.T) {
	b, ann, bob := newBank(t, 100_000, 1_000_000)
	b.Pay(ann, bob, 400_000)
	b.Withdraw(bob, 10_000, p2trOutput, audittest.Script("a"))
	b.Withdraw(ann, 10_000, p2trOutput-1, audittest.Script("b"))
	b.Withdraw(ann, 10_000, p2trOutput, audittest.Script("c"))
	b.Withdraw(bob, 10_000, p2trOutput+500, audittest.Script("d"))
	want := []ledger.OrderRef{{Payer: bob.ID, Sequence: 1}, {Payer: ann.ID, Sequence: 3}, {Payer: bob.ID, Sequence: 2}}
	if got := paid(plan(b, relayRate, netting.StandardLimits)); !slices.Equal(got, want) {
		t.Errorf("pays %v, want %v", got, want)
	}
	if got := paid(plan(b, relayRate/2, netting.StandardLimits)); len(got) != 4 {
		t.Errorf("at half the rate it pays %v, want all four", got)
	}
}

// Ann withdraws all she has. The change is what the treasury has left; the rows
// walk over the points where there is none any more and where it cannot pay.
func TestPlanOfAWholeBalance(t *testing.T) {
	const balance = 500_000
	dust := ledger.Amount(330) // of a P2TR output at Bitcoin Core's default
	for _, tt := range []struct {
		name     string
		treasury ledger.Amount
		fee      ledger.Amount
		change   ledger.Amount
		err      error
	}{
		{"change above dust", 10_000, twoInputs, 10_000 - (twoInputs - p2trOutput), nil},
		{"change at the dust limit", 220 + dust, twoInputs, dust, nil},
		{"change just below dust goes to the miner", 220 + dust - 1, twoInputs + dust - 1, 0, nil},
		{"no change at all", twoInputsNone - p2trOutput, twoInputsNone, 0, nil},
		{"one satoshi too little", twoInputsNone - p2trOutput - 1, 0, 0,
			&netting.TreasuryError{NeedSat: twoInputsNone - p2trOutput, HaveSat: twoInputsNone - p2trOutput - 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, ann, _ := newBank(t, tt.treasury, balance)
			b.Withdraw(ann, balance-p2trOutput, p2trOutput, audittest.Script("ann outside"))
			cut, err := netting.Plan(b.Books, b.Vaults, relayRate, netting.StandardLimits)
			var poor, want *netting.TreasuryError
			if errors.As(tt.err, &want) {
				if !errors.As(err, &poor) || *poor != *want {
					t.Fatalf("got %v, want %v", err, tt.err)
				}
				return
			}
			if err != nil || cut.Fee != tt.fee {
				t.Fatalf("got %+v, %v; want a fee of %d sat", cut, err, tt.fee)
			}
			built := b.Settle(relayRate)
			if open := b.Books.Balance(ann.ID); open != 0 {
				t.Errorf("ann has %d sat left", open)
			}
			if got := b.Books.Liabilities(); got != tt.change {
				t.Errorf("the vault keeps %d sat, want %d", got, tt.change)
			}
			if (built.ChangeVout == ledger.NoChange) != (tt.change == 0) {
				t.Errorf("change at output %d, want %d sat of it", int32(built.ChangeVout), tt.change)
			}
		})
	}
}

func TestNothingToSettle(t *testing.T) {
	empty := audittest.New(t)
	waiting, ann, _ := newBank(t, 10_000, 50_000)
	waiting.Settle(relayRate) // the deposits are swept; what is left is change
	waiting.Withdraw(ann, 2_000, 1, audittest.Script("ann outside"))
	for name, b := range map[string]*audittest.Bank{"an empty vault": empty, "only change, and a fee limit too low": waiting} {
		if cut, err := netting.Plan(b.Books, b.Vaults, relayRate, netting.StandardLimits); !errors.Is(err, netting.ErrNothingToSettle) {
			t.Errorf("%s: %+v, %v", name, cut, err)
		}
	}
	b, _, _ := newBank(t, 10_000, 50_000)
	b.Cut(relayRate)
	if _, err := netting.Plan(b.Books, b.Vaults, relayRate, netting.StandardLimits); err == nil {
		t.Error("a second settlement is planned while one is in flight")
	}
}

func TestOutputFee(t *testing.T) {
	for _, tt := range []struct {
		script int // bytes
		rate   int64
		want   ledger.Amount
	}{
		{34, 1_000, 43}, {22, 1_000, 31}, {25, 1_000, 34}, {34, 1_001, 44}, {34, 500_000, 21_500}, {34, 0, 0},
	} {
		if got := netting.OutputFee(make([]byte, tt.script), tt.rate); got != tt.want {
			t.Errorf("%d bytes at %d sat per 1,000 vbytes cost %d sat, want %d", tt.script, tt.rate, got, tt.want)
		}
	}
	if netting.OutputFee(make([]byte, 34), relayRate) != ledger.Amount(taproot.FeeForWeight(4*p2trOutput, relayRate)) {
		t.Error("the fee of an output is not that of its weight")
	}
}

// At a rate that does not divide, each destination's part is rounded up: with
// many of them the parts come to more than the transaction's price. The miner
// gets what is over, and the treasury pays nothing.
func TestPlanOfManyRoundedParts(t *testing.T) {
	const destinations, rate = 400, 1_001
	b, ann, _ := newBank(t, 10_000, 2_000_000)
	for i := range uint32(destinations) {
		b.Order(ann, &ledger.Withdraw{Amount: 2_000, FeeMax: 100, Script: payoutScripts(i)[4]})
	}
	b.Seal()
	before := b.Books.Balance(ledger.Treasury)
	built := b.Cut(rate)
	if want := int64(destinations) * int64(netting.OutputFee(make([]byte, 34), rate)); built.FeeSat != want {
		t.Errorf("the fee is %d sat, the members' parts are %d sat", built.FeeSat, want)
	}
	if got := b.Books.Balance(ledger.Treasury); got != before {
		t.Errorf("the treasury paid %d sat", before-got)
	}
}

// The largest coins alone do not cover payouts and fee, though the treasury has
// enough in the others: what fits is paid, the rest waits for the next turn.
func TestPlanLeavesRoomForTheFee(t *testing.T) {
	b, ann, _ := newBank(t, 50_000, 60_000, 60_000)
	b.Withdraw(ann, 60_000, p2trOutput, audittest.Script("a"))
	b.Withdraw(ann, 59_900, p2trOutput, audittest.Script("b"))
	limits := netting.Limits{InputsMax: 2, PayoutsMax: 10, WeightMax: netting.WeightMax}
	if want, got := []ledger.OrderRef{{Payer: ann.ID, Sequence: 1}}, paid(plan(b, relayRate, limits)); !slices.Equal(got, want) {
		t.Errorf("pays %v, want %v", got, want)
	}
}

// TestPlanRefreshesOldCoins: change is moved, with nothing else to settle, once a
// third of the recovery leaf's timelock of 1,000 blocks has passed, so that no
// coin comes near it; and where not all coins fit, the old ones go first.
func TestPlanRefreshesOldCoins(t *testing.T) {
	b, ann, _ := newBank(t, 100_000, 50_000)
	b.Settle(relayRate)
	change := b.Books.Coins()[0]
	for age := uint32(1); 3*age < 1000; age++ {
		if _, err := netting.Plan(b.Books, b.Vaults, relayRate, netting.StandardLimits); !errors.Is(err, netting.ErrNothingToSettle) {
			t.Fatalf("a coin %d blocks old is moved: %v", age, err)
		}
		b.Mine()
		b.CatchUp()
	}
	if cut := plan(b, relayRate, netting.StandardLimits); len(cut.Inputs) != 1 || cut.Inputs[0] != change.OutPoint {
		t.Errorf("the plan spends %v, want the old coin %s", cut.Inputs, change.OutPoint)
	}
	b.Deposit(ann.ID, 900_000) // larger, and young
	if cut := plan(b, relayRate, netting.Limits{InputsMax: 1, PayoutsMax: 1, WeightMax: netting.WeightMax}); cut.Inputs[0] != change.OutPoint {
		t.Errorf("with room for one coin the plan spends %v, want the old one %s", cut.Inputs, change.OutPoint)
	}
}
