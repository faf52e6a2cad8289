package audittest

import (
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Scanner finds the vaults' coins on a fake chain the slow way: it keeps every
// output that nothing has spent.
type Scanner struct {
	Chain  *Chain
	Vaults *netting.Vaults
	Hide   map[wire.OutPoint]bool // coins that it does not show
	Twice  map[wire.OutPoint]bool // coins that it counts twice
}

// ScanDescriptor answers for the vaults' own descriptors only.
func (s *Scanner) ScanDescriptor(_ context.Context, descriptors []string, rangeEnd int) (bitcoind.Scan, error) {
	var own []string
	scripts := make(map[string]bool)
	for _, vault := range s.Vaults.All() {
		for branch, descriptor := range vault.Descriptors() {
			own = append(own, descriptor)
			list, err := vault.Scripts(taproot.Branch(branch), 0, uint32(rangeEnd)+1)
			if err != nil {
				return bitcoind.Scan{}, err
			}
			for _, script := range list {
				scripts[string(script)] = true
			}
		}
	}
	if !slices.Equal(descriptors, own) {
		return bitcoind.Scan{}, fmt.Errorf("fake scan: descriptors of other vaults: %v", descriptors)
	}
	s.Chain.mu.Lock()
	defer s.Chain.mu.Unlock()
	tip := len(s.Chain.blocks) - 1
	scan := bitcoind.Scan{Height: int32(tip), Hash: s.Chain.blocks[tip].BlockHash()}
	for at, c := range s.Chain.unspent() {
		if scripts[string(c.out.PkScript)] && !s.Hide[at] {
			amount := btcutil.Amount(c.out.Value)
			found := bitcoind.ScanCoin{OutPoint: at, Script: c.out.PkScript, Amount: amount, Height: int32(c.height)}
			scan.Coins = append(scan.Coins, found)
			scan.Total += amount
			if s.Twice[at] {
				scan.Coins = append(scan.Coins, found)
				scan.Total += amount
			}
		}
	}
	return scan, nil
}
