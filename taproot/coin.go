package taproot

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// Coin is an unspent output of the vault.
type Coin struct {
	TxID   chainhash.Hash `json:"txid"`
	Vout   uint32         `json:"vout"`
	Branch Branch         `json:"branch"`
	Index  uint32         `json:"index"`
	Amount int64          `json:"amount_sat"`
	Height uint32         `json:"height"` // of its block; 0 while it has none
}

// OutPoint is where the coin lies.
func (c Coin) OutPoint() wire.OutPoint { return wire.OutPoint{Hash: c.TxID, Index: c.Vout} }

// Freshness says how far a coin's recovery timelock has run.
type Freshness int

// A coin passes through these as blocks come. Moving it, in any transaction,
// makes it Fresh again.
const (
	// Fresh: nothing to do.
	Fresh Freshness = iota
	// RefreshDue, from a third of the timelock: let the next settlement spend
	// the coin. The sixth until the alarm is for nights and full mempools.
	RefreshDue
	// Alarm, from half of the timelock: no settlement has refreshed the coin in
	// time. Somebody has to look why.
	Alarm
	// Open: the recovery quorum can spend the coin.
	Open
)

// String names the freshness in a word or two.
func (f Freshness) String() string {
	switch f {
	case Fresh:
		return "fresh"
	case RefreshDue:
		return "refresh due"
	case Alarm:
		return "ALARM"
	case Open:
		return "OPEN"
	}
	return fmt.Sprintf("freshness %d", int(f))
}

// MarshalText writes the name as String does.
func (f Freshness) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// CoinAge is a coin's place on its way to the recovery leaf. Age and Left are in
// blocks, seen from a transaction in the next block.
type CoinAge struct {
	Coin
	Age       uint32    `json:"age_blocks"`
	Left      uint32    `json:"blocks_left"` // until the recovery quorum can spend it
	Freshness Freshness `json:"freshness"`
}

// Age is how old a coin of a block at height will be in the block after tip, as
// BIP-68 counts; zero for a coin without a block and for one above the tip.
func (r Recovery) Age(height, tip uint32) uint32 {
	if height == 0 || height > tip {
		return 0
	}
	return tip - height + 1
}

// Freshness says what has to happen with a coin of this age in blocks.
func (r Recovery) Freshness(age uint32) Freshness {
	delay := uint64(r.Delay)
	switch a := uint64(age); {
	case a >= delay:
		return Open
	case 2*a >= delay:
		return Alarm
	case 3*a >= delay:
		return RefreshDue
	}
	return Fresh
}

// CoinAges judges coins at a tip, the oldest first. A settlement that spends all
// of which Freshness is not Fresh keeps every coin younger than half the
// timelock.
func (r Recovery) CoinAges(coins []Coin, tip uint32) []CoinAge {
	ages := make([]CoinAge, len(coins))
	for i, coin := range coins {
		age := r.Age(coin.Height, tip)
		ages[i] = CoinAge{Coin: coin, Age: age, Left: uint32(r.Delay) - min(age, uint32(r.Delay)), Freshness: r.Freshness(age)}
	}
	slices.SortFunc(ages, func(a, b CoinAge) int {
		return cmp.Or(cmp.Compare(b.Age, a.Age), compareCoins(a.Coin, b.Coin))
	})
	return ages
}

// compareCoins orders by outpoint, as BIP-69 does.
func compareCoins(a, b Coin) int {
	return cmp.Or(cmp.Compare(a.TxID.String(), b.TxID.String()), cmp.Compare(a.Vout, b.Vout))
}
