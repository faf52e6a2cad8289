package settlement

import (
	"fmt"
	"time"

	"github.com/daobank/daobank/settlement/netting"
)

// Policy says when and at what price the desk settles. Fee rates are satoshis
// per 1,000 vbytes.
type Policy struct {
	Limits          netting.Limits
	FeeTarget       int   // blocks within which the estimate aims to confirm
	FeeRateFloor    int64 // never less; 1,000 is the relay minimum
	FeeRateCeiling  int64 // never more
	FeeRateFallback int64 // when the node has no estimate
	Poll            time.Duration
}

// DefaultPolicy settles in the next block at 1 to 500 sat/vB.
func DefaultPolicy() Policy {
	return Policy{
		Limits:          netting.StandardLimits,
		FeeTarget:       1,
		FeeRateFloor:    1_000,
		FeeRateCeiling:  500_000,
		FeeRateFallback: 2_000,
		Poll:            time.Second,
	}
}

// Validate reports the first setting that cannot be.
func (p *Policy) Validate() error {
	switch {
	case p.FeeRateFloor < 1 || p.FeeRateFloor > p.FeeRateFallback || p.FeeRateFallback > p.FeeRateCeiling:
		return fmt.Errorf("settlement policy: want 0 < floor %d <= fallback %d <= ceiling %d (sat per 1,000 vbytes)",
			p.FeeRateFloor, p.FeeRateFallback, p.FeeRateCeiling)
	case p.FeeTarget < 1 || p.FeeTarget > 1008:
		return fmt.Errorf("settlement policy: fee target of %d blocks, want 1 to 1,008", p.FeeTarget)
	case p.Limits.InputsMax < 1 || p.Limits.InputsMax > netting.InputsMax:
		return fmt.Errorf("settlement policy: at most %d inputs, want 1 to %d", p.Limits.InputsMax, netting.InputsMax)
	case p.Limits.PayoutsMax < 1 || p.Limits.PayoutsMax > netting.PayoutsMax:
		return fmt.Errorf("settlement policy: at most %d payouts, want 1 to %d", p.Limits.PayoutsMax, netting.PayoutsMax)
	case p.Poll <= 0:
		return fmt.Errorf("settlement policy: poll interval %v, want more than 0", p.Poll)
	}
	return nil
}
