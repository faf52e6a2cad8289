package netting

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Limits bounds what Plan puts into one transaction. The rest waits for the
// next, in order of acceptance.
type Limits struct {
	InputsMax  int   `json:"inputs"`  // coins spent at once
	PayoutsMax int   `json:"payouts"` // withdrawals paid at once
	WeightMax  int64 `json:"weight"`  // weight units of the transaction
	// Away are generations of the vault's key whose guardians cannot sign now:
	// their coins wait. The newest is never away: without it nothing is signed.
	Away []uint32 `json:"retired,omitempty"`
}

// The most that Limits may say.
const (
	InputsMax  = ledger.MaxInputs
	PayoutsMax = ledger.MaxPayouts
	WeightMax  = 400_000 // MAX_STANDARD_TX_WEIGHT of Bitcoin Core
)

// StandardLimits keep a settlement below the weight of a standard transaction.
var StandardLimits = Limits{InputsMax: 500, PayoutsMax: 1000, WeightMax: WeightMax}

// ErrNothingToSettle says that no withdrawal can be paid, no deposit waits to be
// swept, and no coin has to move because its key was replaced or its recovery leaf
// is to open.
var ErrNothingToSettle = errors.New("nothing to settle")

// TreasuryError says that the treasury cannot pay its part of the fee.
type TreasuryError struct {
	NeedSat ledger.Amount
	HaveSat ledger.Amount
}

func (e *TreasuryError) Error() string {
	return fmt.Sprintf("the treasury has %d sat and the settlement's inputs, anchor and change cost %d sat: deposit to the treasury's address", e.HaveSat, e.NeedSat)
}

// Plan decides the next cut of the books at a fee rate in satoshis per 1,000
// vbytes. It changes nothing. Errors: ErrNothingToSettle, *TreasuryError.
func Plan(s *ledger.State, vaults *Vaults, feeRate int64, limits Limits) (*ledger.Cut, error) {
	if s.Open() != nil {
		return nil, fmt.Errorf("settlement %d is in flight", s.Open().Settlement)
	}
	p, err := first(s, vaults, feeRate, limits)
	if err != nil {
		return nil, err
	}
	if len(p.payouts) == 0 && !p.due {
		return nil, ErrNothingToSettle
	}
	return p.cut()
}

// PlanAnchor is Plan for a settlement that is made although nothing may wait, for its
// anchor. Errors: ErrNothingToSettle when the vault has no coin; *TreasuryError.
func PlanAnchor(s *ledger.State, vaults *Vaults, feeRate int64, limits Limits) (*ledger.Cut, error) {
	p, err := first(s, vaults, feeRate, limits)
	if err != nil {
		return nil, err
	}
	if len(p.coins) == 0 {
		return nil, ErrNothingToSettle
	}
	return p.cut()
}

// first gathers what the first version of the next settlement spends and pays.
func first(s *ledger.State, vaults *Vaults, feeRate int64, limits Limits) (*plan, error) {
	p, err := newPlan(s, vaults, s.Settlements()+1, 1, limits)
	if err != nil {
		return nil, err
	}
	p.feeRate = feeRate
	p.takeCoins(spendable(s, limits.Away))
	p.takePayouts(s.Held(), false)
	return p, nil
}

// MustMove reports whether a coin that can be spent has to move: its key was replaced,
// or its recovery leaf comes nearer.
func MustMove(s *ledger.State, vaults *Vaults, away []uint32) (bool, error) {
	old, err := due(s, vaults)
	return err == nil && slices.ContainsFunc(spendable(s, away), old), err
}

func newPlan(s *ledger.State, vaults *Vaults, number uint32, version uint16, limits Limits) (*plan, error) {
	change, err := vaults.Output(s.Generation(), ledger.BranchChange, number)
	if err != nil {
		return nil, fmt.Errorf("change address %d: %w", number, err)
	}
	old, err := due(s, vaults)
	if err != nil {
		return nil, err
	}
	return &plan{number: number, version: version, change: change.Script, newest: s.Generation(), old: old, limits: limits,
		treasury: s.Balance(ledger.Treasury) + s.Balance(ledger.MinerFees), sharing: make(map[string]ledger.Amount)}, nil
}

// due says of a coin whether it must move soon: its key was replaced, or its
// recovery leaf comes nearer.
func due(s *ledger.State, vaults *Vaults) (func(ledger.Coin) bool, error) {
	all, newest := vaults.All(), s.Generation()
	if uint64(newest) >= uint64(len(all)) {
		return nil, fmt.Errorf("the books have generation %d of the vault's key, and it was not followed", newest)
	}
	recovery := all[newest].Policy().Recovery
	height, _ := s.Block()
	return func(c ledger.Coin) bool {
		return c.Generation != newest || recovery.Freshness(recovery.Age(c.Height, height)) != taproot.Fresh
	}, nil
}

// spendable are the coins whose guardians can sign now.
func spendable(s *ledger.State, away []uint32) []ledger.Coin {
	return slices.DeleteFunc(s.Coins(), func(c ledger.Coin) bool {
		return c.Generation != s.Generation() && slices.Contains(away, c.Generation)
	})
}

type plan struct {
	feeRate  int64
	number   uint32
	version  uint16
	change   []byte // script
	newest   uint32 // generation of the vault's key
	old      func(ledger.Coin) bool
	limits   Limits
	treasury ledger.Amount // what it can pay, with what is reserved already

	coins   []ledger.Coin
	in      ledger.Amount
	due     bool // a deposit is among the coins, or one that must move
	partial bool // coins are left for the next settlement
	payouts []ledger.Payout
	sharing map[string]ledger.Amount // payouts of each script
}

// takeCoins spends every coin while they fit, so that the vault is consolidated
// on the way; beyond that first those that must move soon, and then the largest, so
// that payouts are covered. One of two or more is a coin of the newest key, if there
// is one: it can be the coin that all versions have in common when guardians of an
// older key turn out to be gone.
func (p *plan) takeCoins(coins []ledger.Coin) {
	max := max(0, p.limits.InputsMax-len(p.coins))
	if len(coins) > max {
		slices.SortStableFunc(coins, func(a, b ledger.Coin) int {
			if p.old(a) != p.old(b) {
				return map[bool]int{true: -1, false: 1}[p.old(a)]
			}
			return cmp.Compare(b.Amount, a.Amount)
		})
		newest := func(c ledger.Coin) bool { return c.Generation == p.newest }
		if at := slices.IndexFunc(coins, newest); at >= max && max > 1 && !slices.ContainsFunc(p.coins, newest) {
			coins[max-1], coins[at] = coins[at], coins[max-1]
		}
		coins, p.partial = coins[:max], true
	}
	for _, c := range coins {
		p.spend(c)
	}
}

func (p *plan) spend(c ledger.Coin) {
	p.coins = append(p.coins, c)
	p.in += c.Amount
	p.due = p.due || c.Branch == ledger.BranchDeposit || p.old(c)
}

// takePayouts takes withdrawals in order of acceptance. One whose fee limit is
// below the price of its output waits, unless a version before has taken it; so does
// one that the coins do not cover, and one for which there is no room.
func (p *plan) takePayouts(held []ledger.Payout, taken bool) {
	var out ledger.Amount
	if p.partial {
		// The treasury's part of the fee may lie in the coins that are left.
		// The room is for a longer count of outputs.
		const room = 4 * 2
		out = p.fee(true) + ledger.Amount(taproot.FeeForWeight(room, p.feeRate))
	}
	out += p.out()
	weight := p.weight(true)
	for _, h := range held {
		if len(p.payouts) == p.limits.PayoutsMax {
			return
		}
		fee := OutputFee(h.Script, p.feeRate)
		if fee > h.FeeMax && !taken || out+h.Amount+fee > p.in {
			continue
		}
		if p.sharing[string(h.Script)] == 0 {
			const room = 4 * 4 // a longer count of outputs
			more := 4 * taproot.OutputVBytes(h.Script)
			if weight+more+room > p.limits.WeightMax {
				continue
			}
			weight += more
		}
		p.pay(h)
		out += h.Amount + fee
	}
}

func (p *plan) pay(h ledger.Payout) {
	p.payouts = append(p.payouts, h)
	p.sharing[string(h.Script)]++
}

// out is what the payouts come to.
func (p *plan) out() (sum ledger.Amount) {
	for _, h := range p.payouts {
		sum += h.Amount
	}
	return sum
}

// OutputFee is what one output of this script costs the miner, in satoshis, at
// a rate in satoshis per 1,000 vbytes: the most that its withdrawals share.
func OutputFee(script []byte, feeRate int64) ledger.Amount {
	return ledger.Amount(taproot.FeeForWeight(4*taproot.OutputVBytes(script), feeRate))
}

// cut prices the plan. With change below dust there is no change output, and
// what is left over goes to the miner. So does what the members' parts, each
// rounded up to a satoshi, come to beyond the price of the whole.
func (p *plan) cut() (*ledger.Cut, error) {
	shares, memberFee := p.shares()
	out := p.out()
	fee := max(p.fee(true), memberFee)
	if p.in-out-fee < ledger.Amount(taproot.DustLimit(p.change)) {
		fee = max(p.in-out, p.fee(false), memberFee)
	}
	if need := fee - memberFee; need > p.treasury || p.in < out+fee {
		return nil, &TreasuryError{NeedSat: need, HaveSat: p.treasury}
	}
	cut := &ledger.Cut{Settlement: p.number, Version: p.version, FeeRate: uint64(p.feeRate), Fee: fee}
	for _, c := range p.coins {
		cut.Inputs = append(cut.Inputs, c.OutPoint)
	}
	for i, h := range p.payouts {
		cut.Payouts = append(cut.Payouts, ledger.CutPayout{Payer: h.Payer, Sequence: h.Sequence, FeeShare: shares[i]})
	}
	return cut, nil
}

// shares divides each output's fee among the withdrawals that share it, the first in
// order of acceptance paying the remainder. None pays more than its order allows; the
// treasury pays the rest.
func (p *plan) shares() (shares []ledger.Amount, sum ledger.Amount) {
	seen := make(map[string]ledger.Amount, len(p.sharing))
	shares = make([]ledger.Amount, len(p.payouts))
	accepted := make([]int, len(p.payouts)) // places in payouts
	for i := range accepted {
		accepted[i] = i
	}
	slices.SortFunc(accepted, func(a, b int) int { return cmp.Compare(p.payouts[a].Ordinal, p.payouts[b].Ordinal) })
	for _, i := range accepted {
		h := p.payouts[i]
		key := string(h.Script)
		fee := OutputFee(h.Script, p.feeRate)
		shares[i] = fee / p.sharing[key]
		if seen[key] < fee%p.sharing[key] {
			shares[i]++
		}
		seen[key]++
		shares[i] = min(shares[i], h.FeeMax)
		sum += shares[i]
	}
	return shares, sum
}

// weight is that of the whole transaction, with or without a change output.
func (p *plan) weight(change bool) int64 {
	scripts := [][]byte{anchorScript(0, ledger.Hash{})}
	seen := make(map[string]bool, len(p.payouts))
	for _, h := range p.payouts {
		if key := string(h.Script); !seen[key] {
			seen[key] = true
			scripts = append(scripts, h.Script)
		}
	}
	if change {
		scripts = append(scripts, p.change)
	}
	return taproot.KeySpendWeight(len(p.coins), scripts)
}

// fee prices the whole transaction with or without a change output.
func (p *plan) fee(change bool) ledger.Amount {
	return ledger.Amount(taproot.FeeForWeight(p.weight(change), p.feeRate))
}
