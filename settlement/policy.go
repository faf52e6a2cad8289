package settlement

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// Policy says when and at what price the desk settles. Fee rates are satoshis
// per 1,000 vbytes. docs/settlement.md shows it as JSON.
type Policy struct {
	When   When           `json:"when"`
	Limits netting.Limits `json:"limits"`

	FeeTarget       int   `json:"fee_target_blocks"` // blocks within which the estimate aims to confirm
	FeeRateFloor    int64 `json:"fee_rate_floor"`    // never less; 1,000 is the relay minimum
	FeeRateCeiling  int64 `json:"fee_rate_ceiling"`  // never more, however often a settlement is replaced
	FeeRateFallback int64 `json:"fee_rate_fallback"` // when the node has no estimate
	// RaisePercent is by how much a version that was not mined in the next block is
	// outbid at least. The node's estimate may ask for more.
	RaisePercent int64 `json:"raise_percent"`

	Poll time.Duration `json:"-"` // how often the node is asked for a new block
}

// When says what makes a settlement due. One reason is enough; one that is zero or
// false is none. Coins that have to move, because their key was replaced or the
// recovery leaf comes near, are always a reason.
type When struct {
	Payouts    int           `json:"payouts"`       // so many withdrawals wait
	AmountSat  ledger.Amount `json:"amount_sat"`    // they come to so much
	WaitBlocks uint32        `json:"wait_blocks"`   // the oldest has waited so long
	Deposits   bool          `json:"deposits"`      // coins wait to be swept
	AnchorEach uint32        `json:"anchor_blocks"` // the last anchor is so old
}

// DefaultPolicy settles whatever waits in the next block, at 1 to 500 sat/vB.
func DefaultPolicy() Policy {
	return Policy{
		When:            When{Payouts: 1, Deposits: true},
		Limits:          netting.StandardLimits,
		FeeTarget:       1,
		FeeRateFloor:    1_000,
		FeeRateCeiling:  500_000,
		FeeRateFallback: 2_000,
		RaisePercent:    25,
		Poll:            time.Second,
	}
}

// ParsePolicy reads a policy from JSON; what is left out is as in the default. It
// refuses a name that it does not know, and a policy that does not validate.
func ParsePolicy(data []byte) (Policy, error) {
	p := DefaultPolicy()
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("settlement policy: %w", err)
	}
	if d.More() {
		return Policy{}, fmt.Errorf("settlement policy: something follows the JSON object")
	}
	return p, p.Validate()
}

// Validate reports the first setting that cannot be.
func (p *Policy) Validate() error {
	switch {
	case p.FeeRateFloor < 1 || p.FeeRateFloor > p.FeeRateFallback || p.FeeRateFallback > p.FeeRateCeiling:
		return fmt.Errorf("settlement policy: want 0 < floor %d <= fallback %d <= ceiling %d (sat per 1,000 vbytes)",
			p.FeeRateFloor, p.FeeRateFallback, p.FeeRateCeiling)
	case p.FeeRateCeiling > feeRateMax:
		return fmt.Errorf("settlement policy: a ceiling of %d sat per 1,000 vbytes, want at most %d: nodes refuse more", p.FeeRateCeiling, int64(feeRateMax))
	case p.RaisePercent < 1 || p.RaisePercent > 1000:
		return fmt.Errorf("settlement policy: a version is outbid by %d percent, want 1 to 1,000", p.RaisePercent)
	case p.FeeTarget < 1 || p.FeeTarget > 1008:
		return fmt.Errorf("settlement policy: fee target of %d blocks, want 1 to 1,008", p.FeeTarget)
	case p.Limits.InputsMax < 1 || p.Limits.InputsMax > netting.InputsMax:
		return fmt.Errorf("settlement policy: at most %d inputs, want 1 to %d", p.Limits.InputsMax, netting.InputsMax)
	case p.Limits.PayoutsMax < 1 || p.Limits.PayoutsMax > netting.PayoutsMax:
		return fmt.Errorf("settlement policy: at most %d payouts, want 1 to %d", p.Limits.PayoutsMax, netting.PayoutsMax)
	case p.Limits.WeightMax < weightMin || p.Limits.WeightMax > netting.WeightMax:
		return fmt.Errorf("settlement policy: at most %d weight units, want %d to %d: more is no standard transaction", p.Limits.WeightMax, weightMin, netting.WeightMax)
	case p.When.Payouts < 0 || p.When.AmountSat < 0 || p.When.AmountSat > ledger.MaxAmount:
		return fmt.Errorf("settlement policy: due at %d payouts or %d sat", p.When.Payouts, p.When.AmountSat)
	case p.When.Payouts == 0 && p.When.AmountSat == 0 && p.When.WaitBlocks == 0:
		return fmt.Errorf("settlement policy: no withdrawal would ever be a reason to settle: set payouts, amount_sat or wait_blocks")
	case p.Poll <= 0:
		return fmt.Errorf("settlement policy: poll interval %v, want more than 0", p.Poll)
	}
	return nil
}

const (
	feeRateMax = 10_000_000 // Bitcoin Core's -maxtxfee and sendrawtransaction: 0.1 BTC per 1,000 vbytes
	weightMin  = 4_000      // anchor, change, a few inputs and payouts
)

// due says what makes a settlement due now; "" for nothing.
func (w *When) due(s *ledger.State, mustMove bool) string {
	height, _ := s.Block()
	held := s.Held()
	var sum ledger.Amount
	for i := range held {
		sum += held[i].Amount
	}
	deposits := false
	for _, c := range s.Coins() {
		deposits = deposits || c.Branch == ledger.BranchDeposit
	}
	switch {
	case mustMove:
		return "coins have to move"
	case w.Payouts > 0 && len(held) >= w.Payouts:
		return fmt.Sprintf("%d payouts wait", len(held))
	case w.AmountSat > 0 && sum >= w.AmountSat:
		return fmt.Sprintf("payouts of %d sat wait", sum)
	case w.WaitBlocks > 0 && len(held) > 0 && height-held[0].Height >= w.WaitBlocks:
		return fmt.Sprintf("a payout has waited %d blocks", height-held[0].Height)
	case w.Deposits && deposits:
		return "deposits wait"
	case w.anchorDue(s):
		return fmt.Sprintf("the last anchor is %d blocks old", height-s.Anchored())
	}
	return ""
}

func (w *When) anchorDue(s *ledger.State) bool {
	height, _ := s.Block()
	return w.AnchorEach > 0 && height-s.Anchored() >= w.AnchorEach
}
