package taproot

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
)

// Errors of recovery.
var (
	// ErrRecoveryPlan: the plan cannot be carried out as it stands.
	ErrRecoveryPlan = errors.New("taproot: bad recovery plan")
	// ErrTimelock: no coin is old enough; the *TimelockError says how long.
	ErrTimelock = errors.New("taproot: the recovery timelock has not run out")
	// ErrRecoveryQuorum: too few recovery keys have signed.
	ErrRecoveryQuorum = errors.New("taproot: too few recovery signatures")
	// ErrRecoverySignature: a signature file is of another plan, of an unknown
	// key, or wrong.
	ErrRecoverySignature = errors.New("taproot: bad recovery signature")
)

// maxStandardWeight is MAX_STANDARD_TX_WEIGHT of Bitcoin Core: what nodes relay.
const maxStandardWeight = 400_000

// RecoveryPlan sweeps coins of the vault by the recovery leaf to one address. It
// is public, and all that the holders of recovery keys need to look at before
// they sign: from equal plans comes one transaction, byte for byte.
type RecoveryPlan struct {
	Policy      Policy `json:"policy"`
	Coins       []Coin `json:"coins"`
	Destination string `json:"destination"` // an address of the policy's network
	FeeSat      int64  `json:"fee_sat"`
}

// TimelockError says when the first coin opens. It matches ErrTimelock.
type TimelockError struct {
	First Coin
	Left  uint32 // blocks to be mined before a recovery is accepted
	Coins int    // that were looked at
}

// Error names the coin and the blocks left.
func (e *TimelockError) Error() string {
	return fmt.Sprintf("%v: %d more blocks until the first of %d coins (%v)", ErrTimelock, e.Left, e.Coins, e.First.OutPoint())
}

// Is matches ErrTimelock.
func (e *TimelockError) Is(target error) bool { return target == ErrTimelock }

var _ error = (*TimelockError)(nil)

// PlanRecovery plans to sweep all coins whose timelock has run out at the tip,
// at satPerKvB satoshis per 1,000 virtual bytes. It leaves out coins that cost
// more than they hold, and the smallest of more coins than one transaction can
// carry: plan again after the first is mined. The error wraps ErrTimelock (a
// *TimelockError), ErrRecoveryPlan or ErrAddressMalformed, or is an
// *AddressNetworkError.
func PlanRecovery(v *Vault, coins []Coin, tip uint32, destination string, satPerKvB int64) (*RecoveryPlan, error) {
	script, err := ParseAddress(destination, v.params)
	if err != nil {
		return nil, err
	}
	if len(coins) == 0 {
		return nil, fmt.Errorf("%w: the vault has no coins", ErrRecoveryPlan)
	}
	recovery := v.policy.Recovery
	weight := func(inputs int) int64 {
		return leafSpendWeight(v.tree.recovery(), recovery.Threshold, inputs, [][]byte{script})
	}
	perInput := FeeForWeight(weight(2)-weight(1), satPerKvB)
	ages := recovery.CoinAges(coins, tip)
	if oldest := ages[0]; oldest.Freshness != Open {
		return nil, &TimelockError{First: oldest.Coin, Left: oldest.Left, Coins: len(coins)}
	}
	plan := &RecoveryPlan{Policy: v.Policy(), Destination: destination}
	for _, age := range ages {
		if age.Freshness == Open && age.Amount > perInput {
			plan.Coins = append(plan.Coins, age.Coin)
		}
	}
	slices.SortStableFunc(plan.Coins, func(a, b Coin) int { return cmp.Compare(b.Amount, a.Amount) })
	for len(plan.Coins) > 0 && weight(len(plan.Coins)) > maxStandardWeight {
		plan.Coins = plan.Coins[:len(plan.Coins)-1]
	}
	slices.SortFunc(plan.Coins, compareCoins)
	plan.FeeSat = FeeForWeight(weight(len(plan.Coins)), satPerKvB)
	if _, err := NewRecoverySpend(plan); err != nil {
		return nil, err
	}
	return plan, nil
}

// ParseRecoveryPlan reads a plan from JSON and checks it as NewRecoverySpend
// does; unknown fields and anything after the object are refused. The error
// wraps ErrRecoveryPlan.
func ParseRecoveryPlan(b []byte) (*RecoveryPlan, error) {
	plan := &RecoveryPlan{}
	if err := decodeStrictly(b, plan); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecoveryPlan, err)
	}
	if _, err := NewRecoverySpend(plan); err != nil {
		return nil, err
	}
	return plan, nil
}

// Total is what the plan's coins hold, in satoshis.
func (p *RecoveryPlan) Total() (sat int64) {
	for _, coin := range p.Coins {
		sat += coin.Amount
	}
	return sat
}

// validate finds what the transaction itself would not show.
func (p *RecoveryPlan) validate() error {
	if len(p.Coins) == 0 {
		return fmt.Errorf("%w: no coin is worth its fee", ErrRecoveryPlan)
	}
	total := int64(0)
	for i, coin := range p.Coins {
		if coin.Amount <= 0 || coin.Amount > btcutil.MaxSatoshi-total {
			return fmt.Errorf("%w: coin %d holds %d sat", ErrRecoveryPlan, i, coin.Amount)
		}
		total += coin.Amount
	}
	if p.FeeSat < 0 || p.FeeSat >= total {
		return fmt.Errorf("%w: a fee of %d sat for coins of %d sat", ErrRecoveryPlan, p.FeeSat, total)
	}
	return nil
}

func decodeStrictly(b []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON object")
	}
	return nil
}
