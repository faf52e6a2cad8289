package netting

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
)

// A FactError says that the books took something from the chain that is not
// there, or did not take what is.
type FactError struct {
	Height uint32
	Reason string
}

func (e *FactError) Error() string { return fmt.Sprintf("block %d: %s", e.Height, e.Reason) }

// CheckFacts compares the events that a batch took from one block with the
// block itself. Every recorded event must be true of the chain, and everything
// in want, which the checker derived with Watch.Facts, must be recorded.
// Recorded deposits beyond the checker's watch are checked one by one: the
// proposer may have known of accounts that were opened since.
func CheckFacts(vaults *Vaults, recorded, want []ledger.Event, blocks map[uint32]*wire.MsgBlock) error {
	missing := make(map[string]ledger.Event, len(want))
	for _, e := range want {
		missing[key(e)] = e
	}
	height := want[0].(*ledger.Block).Height
	seen := make(map[string]bool, len(recorded))
	for _, e := range recorded {
		if seen[key(e)] {
			return &FactError{Height: height, Reason: fmt.Sprintf("the books record a %s twice: %+v", e.Kind(), e)}
		}
		seen[key(e)] = true
		if _, known := missing[key(e)]; known {
			delete(missing, key(e))
			continue
		}
		d, ok := e.(*ledger.Deposit)
		if !ok {
			return &FactError{Height: height, Reason: fmt.Sprintf("the books record a %s that the chain does not show: %+v", e.Kind(), e)}
		}
		if err := checkDeposit(vaults, d, blocks[d.Height]); err != nil {
			return &FactError{Height: height, Reason: err.Error()}
		}
	}
	for _, e := range want {
		if _, left := missing[key(e)]; left {
			return &FactError{Height: height, Reason: fmt.Sprintf("the chain shows a %s that the books leave out: %+v", e.Kind(), e)}
		}
	}
	return nil
}

func key(e ledger.Event) string { return string(ledger.Entry{Event: e}.Bytes()) }

// checkDeposit looks a deposit up in its block.
func checkDeposit(vaults *Vaults, d *ledger.Deposit, block *wire.MsgBlock) error {
	if block == nil || int(d.TxIndex) >= len(block.Transactions) {
		return fmt.Errorf("deposit %s is not in block %d", d.OutPoint, d.Height)
	}
	tx := block.Transactions[d.TxIndex]
	if ledger.Hash(tx.TxHash()) != d.OutPoint.TxID || int(d.OutPoint.Vout) >= len(tx.TxOut) {
		return fmt.Errorf("deposit %s is not transaction %d of block %d", d.OutPoint, d.TxIndex, d.Height)
	}
	paid, err := vaults.Output(d.Generation, d.Branch, d.Index)
	if err != nil {
		return fmt.Errorf("deposit %s: %w", d.OutPoint, err)
	}
	out := tx.TxOut[d.OutPoint.Vout]
	if ledger.Amount(out.Value) != d.Amount || !bytes.Equal(out.PkScript, paid.Script) {
		return fmt.Errorf("deposit %s of %d sat is on chain as %d sat to %x", d.OutPoint, d.Amount, out.Value, out.PkScript)
	}
	return nil
}
