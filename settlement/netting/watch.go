package netting

import (
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Gap is the number of addresses watched beyond the last account and the last
// settlement: coins paid to an account before it is opened are seen and credited
// to suspense, not lost.
const Gap = 100

// Watch recognises the vaults' addresses, those of keys that were replaced too. It
// is not safe for concurrent use.
type Watch struct {
	vaults  *Vaults
	reach   [][2]uint32 // addresses of each generation and branch that are known so far
	scripts map[[34]byte]place
}

type place struct {
	generation uint32
	branch     ledger.Branch
	index      uint32
}

// NewWatch watches the vaults' addresses.
func NewWatch(vaults *Vaults) *Watch {
	return &Watch{vaults: vaults, scripts: make(map[[34]byte]place)}
}

// Extend makes the watch cover accounts and settlements up to these numbers,
// and Gap beyond.
func (w *Watch) Extend(accounts, settlements uint32) error {
	for generation, vault := range w.vaults.All() {
		if generation == len(w.reach) {
			w.reach = append(w.reach, [2]uint32{})
		}
		for branch, count := range [2]uint32{accounts, settlements} {
			at := place{generation: uint32(generation), branch: ledger.Branch(branch)}
			if err := w.extend(vault, at, count+Gap); err != nil {
				return err
			}
		}
	}
	return nil
}

// extend makes the watch cover the addresses of one branch below to.
func (w *Watch) extend(vault *taproot.Vault, at place, to uint32) error {
	reach := &w.reach[at.generation][at.branch]
	if to <= *reach {
		return nil
	}
	scripts, err := vault.Scripts(taproot.Branch(at.branch), *reach, to)
	if err != nil {
		return fmt.Errorf("addresses %d to %d of generation %d, branch %d: %w", *reach, to, at.generation, at.branch, err)
	}
	for i, script := range scripts {
		at.index = *reach + uint32(i)
		w.scripts[[34]byte(script)] = at
	}
	*reach = to
	return nil
}

// Place is where in the vault a script belongs, as an Added names it.
func (w *Watch) Place(script []byte) (a ledger.Added, ok bool) {
	p, ok := w.find(script)
	return ledger.Added{Generation: p.generation, Branch: p.branch, Index: p.index}, ok
}

func (w *Watch) find(script []byte) (place, bool) {
	if len(script) != 34 {
		return place{}, false
	}
	p, ok := w.scripts[[34]byte(script)]
	return p, ok
}

// Facts are the entries that the books take from the block at their next
// height: the block itself, the deposits of the coinbase that matures with it,
// the deposits in it, and the version of the settlement in flight that is in it. The
// order is the one that ledger.State demands. blocks comes from ReadBlocks.
func (w *Watch) Facts(charter *ledger.Charter, height uint32, blocks map[uint32]*wire.MsgBlock, inFlight Flight) []ledger.Event {
	block := blocks[height]
	events := []ledger.Event{&ledger.Block{
		Height:   height,
		Hash:     ledger.Hash(block.BlockHash()),
		Previous: ledger.Hash(block.Header.PrevBlock),
	}}
	if matured, ok := MaturedHeight(charter, height); ok {
		events = w.deposits(events, matured, 0, blocks[matured].Transactions[0], ledger.NoChange)
	}
	var settled ledger.Event
	for i, tx := range block.Transactions[1:] {
		change := ledger.NoChange
		if len(inFlight) > 0 {
			if t := inFlight.Find(tx.TxHash()); t != nil {
				change, settled = t.ChangeVout, t.settled()
			}
		}
		events = w.deposits(events, height, uint32(i+1), tx, change)
	}
	if settled != nil {
		events = append(events, settled)
	}
	return events
}

// deposits appends the outputs of a transaction that pay the vault, except the
// change of the settlement.
func (w *Watch) deposits(events []ledger.Event, height, txIndex uint32, tx *wire.MsgTx, change uint32) []ledger.Event {
	var txid chainhash.Hash
	for vout, out := range tx.TxOut {
		p, ok := w.find(out.PkScript)
		if !ok || uint32(vout) == change || out.Value == 0 {
			continue
		}
		if txid == (chainhash.Hash{}) {
			txid = tx.TxHash()
		}
		events = append(events, &ledger.Deposit{
			OutPoint: ledger.OutPoint{TxID: ledger.Hash(txid), Vout: uint32(vout)},
			Amount:   ledger.Amount(out.Value), Generation: p.generation, Branch: p.branch, Index: p.index,
			Height: height, TxIndex: txIndex,
		})
	}
	return events
}

// MaturedHeight is the height of the block whose coinbase becomes spendable at
// the charter's depth when the books reach height, and whether there is one
// that is younger than the bank.
func MaturedHeight(charter *ledger.Charter, height uint32) (uint32, bool) {
	deeper := ledger.CoinbaseDepth - charter.Depth
	if height <= charter.BirthHeight+deeper {
		return 0, false
	}
	return height - deeper, true
}
