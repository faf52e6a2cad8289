package audit_test

import (
	"math"
	"testing"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
)

// holdings are those of members with these amounts.
func holdings(t *testing.T, amounts ...ledger.Amount) audit.Holdings {
	t.Helper()
	b := audittest.New(t)
	for i, amount := range amounts {
		m := b.Open(string(rune('a' + i)))
		if amount > 0 {
			b.Deposit(m.ID, amount)
		}
	}
	a, err := audit.New(t.Context(), audit.Config{Charter: b.Charter, Vault: b.Vault, Journal: b.Journal, Chain: b.Chain})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.Round(t.Context()); err != nil || !r.OK {
		t.Fatalf("%+v, %v", r, err)
	}
	return a.Holdings(2)
}

func TestHoldings(t *testing.T) {
	for _, tt := range []struct {
		amounts []ledger.Amount
		gini    float64
		half    float64 // share of the poorer half
	}{
		{[]ledger.Amount{100, 100, 100, 100}, 0, 0.5},
		{[]ledger.Amount{100, 300}, 0.25, 0.25},
		{[]ledger.Amount{300, 100, 0}, 0.25, 0.25},
		{[]ledger.Amount{1, 1, 1, 997}, 0.747, 0.002},
	} {
		h := holdings(t, tt.amounts...)
		if math.Abs(h.Gini-tt.gini) > 1e-9 || math.Abs(h.Lorenz[50]-tt.half) > 1e-9 || h.Lorenz[0] != 0 || math.Abs(h.Lorenz[100]-1) > 1e-9 {
			t.Errorf("%v: Gini %v, the poorer half has %v of it; want %v, %v", tt.amounts, h.Gini, h.Lorenz[50], tt.gini, tt.half)
		}
		if len(h.Largest) != 2 || h.Largest[0].Amount < h.Largest[1].Amount || h.Accounts+h.Empty != len(tt.amounts) {
			t.Errorf("%v: %+v", tt.amounts, h)
		}
	}
	if h := holdings(t, 0); h.Accounts != 0 || h.Empty != 1 || h.Lorenz != nil || h.Total != 0 {
		t.Errorf("nobody has anything: %+v", h)
	}
}
