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
	unspent := make(map[wire.OutPoint]bitcoind.ScanCoin)
	for height, block := range s.Chain.blocks {
		for _, tx := range block.Transactions {
			for _, in := range tx.TxIn {
				delete(unspent, in.PreviousOutPoint)
			}
			for vout, out := range tx.TxOut {
				at := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(vout)}
				if scripts[string(out.PkScript)] && !s.Hide[at] {
					unspent[at] = bitcoind.ScanCoin{OutPoint: at, Script: out.PkScript, Amount: btcutil.Amount(out.Value), Height: int32(height)}
				}
			}
		}
	}
	tip := len(s.Chain.blocks) - 1
	scan := bitcoind.Scan{Height: int32(tip), Hash: s.Chain.blocks[tip].BlockHash()}
	for _, c := range unspent {
		scan.Coins = append(scan.Coins, c)
		scan.Total += c.Amount
	}
	return scan, nil
}
