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
	InputsMax  int // coins spent at once
	PayoutsMax int // withdrawals paid at once
	// Away are generations of the vault's key whose guardians cannot sign now:
	// their coins wait. The newest is never away: without it nothing is signed.
	Away []uint32
}

// The most that Limits may say.
const (
	InputsMax  = ledger.MaxInputs
	PayoutsMax = ledger.MaxPayouts
)

// StandardLimits keep a settlement far below the 400,000 weight units of a
// standard transaction.
var StandardLimits = Limits{InputsMax: 500, PayoutsMax: 1000}

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
	p := &plan{feeRate: feeRate, number: s.Settlements() + 1}
	change, err := vaults.Output(s.Generation(), ledger.BranchChange, p.number)
	if err != nil {
		return nil, fmt.Errorf("change address %d: %w", p.number, err)
	}
	p.change = change.Script
	old, err := due(s, vaults)
	if err != nil {
		return nil, err
	}
	p.takeCoins(spendable(s, limits.Away), limits.InputsMax, old)
	p.takePayouts(s.Held(), limits.PayoutsMax)
	if len(p.payouts) == 0 && !p.due {
		return nil, ErrNothingToSettle
	}
	return p.cut(s.Balance(ledger.Treasury))
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
	feeRate int64
	number  uint32
	change  []byte // script

	coins   []ledger.Coin
	in      ledger.Amount
	due     bool // a deposit is among the coins, or one that must move
	partial bool // coins are left for the next settlement
	payouts []ledger.Payout
}

// takeCoins spends every coin while they fit, so that the vault is consolidated
// on the way; beyond that first those that must move soon, and then the largest, so that payouts
// are covered.
func (p *plan) takeCoins(coins []ledger.Coin, max int, old func(ledger.Coin) bool) {
	if len(coins) > max {
		slices.SortStableFunc(coins, func(a, b ledger.Coin) int {
			if old(a) != old(b) {
				return map[bool]int{true: -1, false: 1}[old(a)]
			}
			return cmp.Compare(b.Amount, a.Amount)
		})
		coins, p.partial = coins[:max], true
	}
	for _, c := range coins {
		p.coins = append(p.coins, c)
		p.in += c.Amount
		p.due = p.due || c.Branch == ledger.BranchDeposit || old(c)
	}
}

// takePayouts takes withdrawals in order of acceptance. One whose fee limit is
// below the price of its output waits; so does one that the coins do not cover.
func (p *plan) takePayouts(held []ledger.Payout, max int) {
	var out ledger.Amount
	if p.partial {
		// The treasury's part of the fee may lie in the coins that are left.
		// The room is for a longer count of outputs.
		const room = 4 * 2
		out = p.fee(true) + ledger.Amount(taproot.FeeForWeight(room, p.feeRate))
	}
	for _, h := range held {
		if len(p.payouts) == max {
			return
		}
		fee := p.outputFee(h.Script)
		if fee > h.FeeMax || out+h.Amount+fee > p.in {
			continue
		}
		p.payouts = append(p.payouts, h)
		out += h.Amount + fee
	}
}

func (p *plan) outputFee(script []byte) ledger.Amount {
	return OutputFee(script, p.feeRate)
}

// OutputFee is what one output of this script costs the miner, in satoshis, at
// a rate in satoshis per 1,000 vbytes: the most that its withdrawals share.
func OutputFee(script []byte, feeRate int64) ledger.Amount {
	return ledger.Amount(taproot.FeeForWeight(4*taproot.OutputVBytes(script), feeRate))
}

// cut prices the plan. With change below dust there is no change output, and
// what is left over goes to the miner. So does what the members' parts, each
// rounded up to a satoshi, come to beyond the price of the whole.
func (p *plan) cut(treasury ledger.Amount) (*ledger.Cut, error) {
	shares, memberFee := p.shares()
	var out ledger.Amount
	for _, h := range p.payouts {
		out += h.Amount
	}
	fee := max(p.fee(true), memberFee)
	if p.in-out-fee < ledger.Amount(taproot.DustLimit(p.change)) {
		fee = max(p.in-out, p.fee(false), memberFee)
	}
	if need := fee - memberFee; need > treasury || p.in < out+fee {
		return nil, &TreasuryError{NeedSat: need, HaveSat: treasury}
	}
	cut := &ledger.Cut{Settlement: p.number, FeeRate: uint64(p.feeRate), Fee: fee}
	for _, c := range p.coins {
		cut.Inputs = append(cut.Inputs, c.OutPoint)
	}
	for i, h := range p.payouts {
		cut.Payouts = append(cut.Payouts, ledger.CutPayout{Payer: h.Payer, Sequence: h.Sequence, FeeShare: shares[i]})
	}
	return cut, nil
}

// shares divides each output's fee among the withdrawals that share it.
func (p *plan) shares() (shares []ledger.Amount, sum ledger.Amount) {
	sharing := make(map[string]ledger.Amount, len(p.payouts))
	for _, h := range p.payouts {
		sharing[string(h.Script)]++
	}
	seen := make(map[string]ledger.Amount, len(sharing))
	shares = make([]ledger.Amount, len(p.payouts))
	for i, h := range p.payouts {
		key := string(h.Script)
		fee := p.outputFee(h.Script)
		shares[i] = fee / sharing[key]
		if seen[key] < fee%sharing[key] {
			shares[i]++
		}
		seen[key]++
		sum += shares[i]
	}
	return shares, sum
}

// fee prices the whole transaction with or without a change output.
func (p *plan) fee(change bool) ledger.Amount {
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
	return ledger.Amount(taproot.FeeForWeight(taproot.KeySpendWeight(len(p.coins), scripts), p.feeRate))
}
