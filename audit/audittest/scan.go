package audittest

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/taproot"
)

// Scanner finds a vault's coins on a fake chain the slow way: it keeps every
// output that nothing has spent.
type Scanner struct {
	Chain *Chain
	Vault *taproot.Vault
	Hide  map[wire.OutPoint]bool // coins that it does not show
}

// ScanDescriptor answers for the vault's own descriptors only.
func (s *Scanner) ScanDescriptor(_ context.Context, descriptors []string, rangeEnd int) (bitcoind.Scan, error) {
	own := s.Vault.Descriptors()
	if len(descriptors) != len(own) || [2]string(descriptors) != own {
		return bitcoind.Scan{}, fmt.Errorf("fake scan: descriptors of another vault: %v", descriptors)
	}
	scripts := make(map[string]bool)
	for branch := range own {
		list, err := s.Vault.Scripts(taproot.Branch(branch), 0, uint32(rangeEnd)+1)
		if err != nil {
			return bitcoind.Scan{}, err
		}
		for _, script := range list {
			scripts[string(script)] = true
		}
	}
	s.Chain.mu.Lock()
	defer s.Chain.mu.Unlock()
	tip := len(s.Chain.blocks) - 1
	scan := bitcoind.Scan{Height: int32(tip), Hash: s.Chain.blocks[tip].BlockHash()}
	for at, c := range s.Chain.unspent() {
		if scripts[string(c.out.PkScript)] && !s.Hide[at] {
			amount := btcutil.Amount(c.out.Value)
			scan.Coins = append(scan.Coins, bitcoind.ScanCoin{OutPoint: at, Script: c.out.PkScript, Amount: amount, Height: int32(c.height)})
			scan.Total += amount
		}
	}
	return scan, nil
}
