package proof

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
)

// CheckBits asks the rules of difficulty alone, after the first and last header of
// what came before.
func CheckBits(charter *ledger.Charter, first, last *wire.BlockHeader, height uint32, next *wire.BlockHeader) error {
	w, err := newWorkRules(charter)
	if err != nil {
		return err
	}
	w.first, w.last = first, last
	return w.checkBits(height, next)
}

// CheckWork asks whether a hash has the work that a header claims.
func CheckWork(charter *ledger.Charter, h *wire.BlockHeader, hash chainhash.Hash) error {
	params, err := paramsOf(charter)
	if err != nil {
		return err
	}
	return checkWork(params, h, hash)
}
