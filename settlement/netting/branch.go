package netting

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
)

// A Branch is what some blocks of the chain did to the vault's coins.
type Branch struct {
	From, To uint32
	Hash     ledger.Hash // of the last block
	// Found are outputs that pay the vault and are not spent in the branch, as the
	// deposits that they would be.
	Found map[ledger.OutPoint]ledger.Deposit
	// Spent is by what transaction an output was spent.
	Spent map[ledger.OutPoint]chainhash.Hash
	// Txs is the height of each transaction but the coinbases.
	Txs map[chainhash.Hash]uint32

	paid   map[string]int64                   // satoshis by output script
	passed map[ledger.OutPoint]ledger.Deposit // outputs that pay the vault and are spent in the branch
}

// Walk reads the blocks of the active chain between two heights, both included.
func (w *Watch) Walk(ctx context.Context, chain Blocks, charter *ledger.Charter, from, to uint32) (*Branch, error) {
	b := &Branch{From: from, To: to, Found: make(map[ledger.OutPoint]ledger.Deposit), Spent: make(map[ledger.OutPoint]chainhash.Hash),
		Txs: make(map[chainhash.Hash]uint32), paid: make(map[string]int64), passed: make(map[ledger.OutPoint]ledger.Deposit)}
	for h := from; h <= to; h++ {
		blocks, err := ReadBlocks(ctx, chain, charter, h)
		if err != nil {
			return nil, err
		}
		b.Hash = ledger.Hash(blocks[h].BlockHash())
		for _, e := range w.Facts(charter, h, blocks, nil) {
			if d, ok := e.(*ledger.Deposit); ok {
				b.Found[d.OutPoint] = *d
			}
		}
		for _, tx := range blocks[h].Transactions[1:] {
			txid := tx.TxHash()
			b.Txs[txid] = h
			for _, in := range tx.TxIn {
				at := ledger.OutPoint{TxID: ledger.Hash(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index}
				b.Spent[at] = txid
				if d, found := b.Found[at]; found {
					b.passed[at] = d
					delete(b.Found, at)
				}
			}
			for _, out := range tx.TxOut {
				b.paid[string(out.PkScript)] += out.Value
			}
		}
	}
	return b, nil
}

// Has reports whether a coin of the books is unspent at the end of the branch.
func (b *Branch) Has(c *ledger.Coin) bool {
	if _, found := b.Found[c.OutPoint]; found {
		return true
	}
	_, spent := b.Spent[c.OutPoint]
	return !spent && c.Height < b.From
}

// Settle takes out of the branch what the settlement in flight does there, since the
// books post that for themselves, behind the entry that takes them to the branch. It
// returns what they post: nil when the branch holds no version.
func (b *Branch) Settle(flight Flight) *ledger.Settled {
	for _, t := range flight {
		if _, mined := b.Txs[t.TxID]; !mined {
			continue
		}
		for at, by := range b.Spent {
			if by != t.TxID {
				continue
			}
			delete(b.Spent, at)
			if d, found := b.passed[at]; found {
				b.Found[at] = d
			}
		}
		delete(b.Found, ledger.OutPoint{TxID: ledger.Hash(t.TxID), Vout: t.ChangeVout})
		return t.settled()
	}
	return nil
}

// CheckReorganised compares what a Reorganised says with the chain, as far as the
// blocks of the other branch tell it: which coins of the books are lost, which outputs
// are new, and that nothing is left out. That a coin is back which a settlement had
// spent on the branch before, only the node's unspent outputs can tell; whoever signs
// for one asks for it. It returns what must stand behind the entry: the version of the
// settlement in flight that the branch holds, nil for none. Error: *FactError, or the
// node's.
func CheckReorganised(ctx context.Context, chain Blocks, books *ledger.State, w *Watch, e *ledger.Reorganised, flight Flight) (*ledger.Settled, error) {
	lie := func(format string, args ...any) (*ledger.Settled, error) {
		return nil, &FactError{Height: e.Height, Reason: fmt.Sprintf("the books go on from another branch: "+format, args...)}
	}
	charter := books.Charter()
	height, block := books.Block()
	switch now, err := chain.BlockHash(ctx, int32(height)); {
	case err != nil:
		return nil, fmt.Errorf("hash of block %d: %w", height, err)
	case ledger.Hash(now) == block:
		return lie("block %d has not left the chain", height)
	case e.From > height || e.From <= charter.BirthHeight || e.Height < height || e.Height-e.From > maxBranch:
		return nil, nil // the books refuse it
	}
	b, err := w.Walk(ctx, chain, &charter, e.From, e.Height)
	if err != nil {
		return nil, err
	}
	if b.Hash != e.Hash {
		return lie("block %d is %s, not %s", e.Height, chainhash.Hash(b.Hash), chainhash.Hash(e.Hash))
	}
	settled := b.Settle(flight)
	removed := make(map[ledger.OutPoint]bool, len(e.Removed))
	for _, at := range e.Removed {
		removed[at] = true
	}
	for _, c := range books.Coins() {
		if b.Has(&c) == removed[c.OutPoint] {
			return lie("coin %s is there: %v, and removed: %v", c.OutPoint, b.Has(&c), removed[c.OutPoint])
		}
		delete(b.Found, c.OutPoint)
	}
	for _, a := range e.Added {
		d, found := b.Found[a.OutPoint]
		_, spent := b.Spent[a.OutPoint]
		switch {
		case found && (d.Amount != a.Amount || d.Generation != a.Generation || d.Branch != a.Branch || d.Index != a.Index):
			return lie("coin %s is on chain as %d sat", a.OutPoint, d.Amount)
		case !found && (spent || a.Deposit):
			return lie("coin %s is added and not there", a.OutPoint)
		}
		delete(b.Found, a.OutPoint)
	}
	for at := range b.Found {
		return lie("coin %s is left out", at)
	}
	for _, ref := range e.Paid {
		if p, ok := books.Waiting(ref); ok && b.paid[string(p.Script)] < int64(p.Amount) {
			return lie("withdrawal %s of %d sat is not paid there", ref, p.Amount)
		}
	}
	return settled, nil
}

// maxBranch is the most blocks that a branch is followed: no chain was ever
// reorganised so deep, and a lie must not cost a checker hours.
const maxBranch = 10_000
