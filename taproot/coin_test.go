package taproot

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// With a timelock of 144 blocks: refresh from a third, alarm from half.
func TestCoinAges(t *testing.T) {
	r := Recovery{Delay: 144}
	const tip = 1000
	for _, c := range []struct {
		height    uint32
		age, left uint32
		want      Freshness
	}{
		{0, 0, 144, Fresh}, // not in a block
		{tip + 1, 0, 144, Fresh},
		{tip, 1, 143, Fresh},
		{tip - 46, 47, 97, Fresh},
		{tip - 47, 48, 96, RefreshDue},
		{tip - 70, 71, 73, RefreshDue},
		{tip - 71, 72, 72, Alarm},
		{tip - 142, 143, 1, Alarm},
		{tip - 143, 144, 0, Open},
		{1, tip, 0, Open},
	} {
		got := r.CoinAges([]Coin{{Height: c.height}}, tip)[0]
		if got.Age != c.age || got.Left != c.left || got.Freshness != c.want {
			t.Errorf("height %d: age %d, left %d, %s; want %d, %d, %s",
				c.height, got.Age, got.Left, got.Freshness, c.age, c.left, c.want)
		}
	}
}

func TestCoinAgesAreOldestFirst(t *testing.T) {
	coins := []Coin{{Height: 30}, {Height: 0}, {Height: 10, Vout: 2}, {Height: 10, Vout: 1}, {Height: 10, TxID: chainhash.Hash{31: 1}}}
	var vouts []uint32
	for i, age := range (Recovery{Delay: 1000}).CoinAges(coins, 40) {
		vouts = append(vouts, age.Vout)
		if i > 0 && age.Age > 31 {
			t.Errorf("age %d at place %d", age.Age, i)
		}
	}
	if vouts[0] != 1 || vouts[1] != 2 {
		t.Errorf("outputs in the order %v", vouts)
	}
}

// The shortest timelocks still have an order: nothing is fresh that is open.
func TestFreshnessOfShortDelays(t *testing.T) {
	for delay := uint16(1); delay <= 12; delay++ {
		r, last := Recovery{Delay: delay}, Fresh
		for age := uint32(0); age <= uint32(delay); age++ {
			got := r.Freshness(age)
			if got < last {
				t.Errorf("delay %d, age %d: %s after %s", delay, age, got, last)
			}
			last = got
		}
		if last != Open {
			t.Errorf("delay %d: %s at its end", delay, last)
		}
	}
}
