package netting

import (
	"errors"
	"fmt"
	"slices"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Bid is what a version must pay that replaces those before it. Rates are satoshis
// per 1,000 vbytes.
type Bid struct {
	FeeRate int64 // wished for
	// What the node asks at least. Above: the rate of what is replaced, which it must
	// exceed (rule 6 of Bitcoin Core's policy). Evicted: the fees of all that leaves
	// the mempool, descendants too (BIP-125, rule 3). Step: paid for its own size
	// beyond those (rule 4). Floor: the least rate that enters the mempool.
	Above   int64
	Evicted ledger.Amount
	Step    int64
	Floor   int64
	Ceiling int64 // never more
}

// ErrNoCommonCoin says that no coin that all versions of the settlement spend can be
// spent now. A version without one could be mined beside another.
var ErrNoCommonCoin = errors.New("no coin that all versions spend can be signed for now")

// CeilingError says that a replacement would cost more than it may.
type CeilingError struct {
	Need, Ceiling int64 // satoshis per 1,000 vbytes
}

func (e *CeilingError) Error() string {
	return fmt.Sprintf("a replacement has to pay %d sat per 1,000 vbytes, the ceiling is %d", e.Need, e.Ceiling)
}

// Replace decides the next version of the settlement in flight. It spends all coins
// of the version before whose guardians are there, pays all that any version pays,
// and then what else there is. When the treasury cannot pay its part at the rate
// that is wished for, the rate is the highest that it can pay. It changes nothing.
//
// Errors: *CeilingError; *TreasuryError when not even the least suffices;
// ErrNoCommonCoin.
func Replace(s *ledger.State, vaults *Vaults, bid Bid, limits Limits) (*ledger.Cut, error) {
	if s.Open() == nil {
		return nil, fmt.Errorf("no settlement is in flight")
	}
	return Afford(max(bid.Floor, bid.Above+1), max(bid.FeeRate, bid.Floor, bid.Above+1), func(rate int64) (*ledger.Cut, error) {
		return replaceAt(s, vaults, rate, bid, limits)
	})
}

// Afford plans at a rate and, when the treasury cannot pay that, at the highest below
// it that the treasury can, not under the least.
func Afford(least, rate int64, plan func(rate int64) (*ledger.Cut, error)) (*ledger.Cut, error) {
	cut, err := plan(rate)
	var poor *TreasuryError
	if !errors.As(err, &poor) {
		return cut, err
	}
	best, high := (*ledger.Cut)(nil), rate
	for low := least; low < high; { // plans at high and above are too dear
		middle := low + (high-low)/2
		switch cut, tooDear := plan(middle); {
		case tooDear == nil:
			best, low = cut, middle+1
		case errors.As(tooDear, &poor):
			high = middle
		default:
			return best, nilIf(best != nil, tooDear)
		}
	}
	return best, nilIf(best != nil, poor)
}

func nilIf(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

// raises is how often a replacement is priced anew: a higher rate leaves out payouts
// whose owners allow less, which makes the transaction smaller.
const raises = 8

// replaceAt plans at a rate, or at the next above it that satisfies the node.
func replaceAt(s *ledger.State, vaults *Vaults, rate int64, bid Bid, limits Limits) (*ledger.Cut, error) {
	for range raises {
		if rate > bid.Ceiling {
			return nil, &CeilingError{Need: rate, Ceiling: bid.Ceiling}
		}
		p, err := replacement(s, vaults, rate, limits)
		if err != nil {
			return nil, err
		}
		cut, err := p.cut()
		if err != nil {
			return nil, err
		}
		vbytes := (p.weight(p.in > p.out()+cut.Fee) + 3) / 4
		need := bid.Evicted + ledger.Amount(taproot.FeeForWeight(4*vbytes, bid.Step))
		if cut.Fee >= need {
			return cut, nil
		}
		rate = max(rate+1, (int64(need)*1000+vbytes-1)/vbytes)
	}
	return nil, fmt.Errorf("a replacement of settlement %d finds no rate that the node takes", s.Settlements())
}

// replacement gathers what the next version spends and pays.
func replacement(s *ledger.State, vaults *Vaults, rate int64, limits Limits) (*plan, error) {
	open := s.Open()
	p, err := newPlan(s, vaults, open.Settlement, open.Version+1, limits)
	if err != nil {
		return nil, err
	}
	p.feeRate = rate
	coins := spendable(s, limits.Away)
	of := make(map[ledger.OutPoint]bool, len(open.Inputs))
	for _, in := range open.Inputs {
		of[in.OutPoint] = true
	}
	var fresh []ledger.Coin // that the version before does not spend
	for _, c := range coins {
		if of[c.OutPoint] {
			p.spend(c)
		} else {
			fresh = append(fresh, c)
		}
	}
	if !spendsCommon(s.Versions(), p.coins) {
		return nil, ErrNoCommonCoin
	}
	own := len(p.coins)
	before, others := carried(s.Versions())
	if own == len(open.Inputs) {
		for _, h := range before {
			p.pay(h)
		}
		before = nil
	}
	p.takeCoins(fresh)
	for len(p.coins) > own && p.weight(true) > limits.WeightMax {
		last := p.coins[len(p.coins)-1]
		p.coins, p.in = p.coins[:len(p.coins)-1], p.in-last.Amount
	}
	p.partial = true // what is carried may need coins that are left
	p.takePayouts(slices.Concat(before, others), true)
	p.takePayouts(s.Held(), false)
	return p, nil
}

// spendsCommon reports whether coins hold one that every version spends.
func spendsCommon(versions []*ledger.OpenCut, coins []ledger.Coin) bool {
	count := make(map[ledger.OutPoint]int)
	for _, v := range versions {
		for _, in := range v.Inputs {
			count[in.OutPoint]++
		}
	}
	return slices.ContainsFunc(coins, func(c ledger.Coin) bool { return count[c.OutPoint] == len(versions) })
}

// carried are the payouts of the newest version, and those that only older ones have.
func carried(versions []*ledger.OpenCut) (newest, others []ledger.Payout) {
	seen := make(map[ledger.OrderRef]bool)
	for i, v := range slices.Backward(versions) {
		for _, h := range v.Payouts {
			switch {
			case seen[h.OrderRef]:
			case i == len(versions)-1:
				newest = append(newest, h)
			default:
				others = append(others, h)
			}
			seen[h.OrderRef] = true
		}
	}
	return newest, others
}
