package audit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// chainCoins are the vault's coins as the blocks show them, block by block
// beside the books: an output enters when the books have to credit it and
// leaves when a transaction spends it, whatever the journal says.
type chainCoins struct {
	unspent map[ledger.OutPoint]ledger.Amount
	reaches []reach
}

// reach is how far ahead the bank had to watch its addresses at a block.
type reach struct {
	height uint32
	vaults int       // generations of the vault's key
	count  [2]uint32 // addresses of each branch
}

func newChainCoins() *chainCoins {
	return &chainCoins{unspent: make(map[ledger.OutPoint]ledger.Amount)}
}

// spending is what a block did to the vault's coins.
type spending struct {
	spent  []ledger.OutPoint
	thefts []Difference
}

// take follows the next block. A spend by a transaction that is no version of the
// settlement in flight is a theft. With checked, what the books
// recorded of the block is true, also where it goes beyond the checker's watch.
func (c *chainCoins) take(r *Replay, f *fact, inFlight netting.Flight, checked bool) spending {
	c.reaches = append(c.reaches, reach{height: f.height, vaults: len(r.vaults.All()),
		count: [2]uint32{r.reach + netting.Gap, r.books.Settlements() + netting.Gap}})
	// Without a settlement in flight its change is an output like any other.
	seen := r.watch.Facts(&r.charter, f.height, f.blocks, nil)
	if checked {
		seen = append(seen, f.recorded...)
	}
	for _, e := range seen {
		if d, ok := e.(*ledger.Deposit); ok {
			c.unspent[d.OutPoint] = d.Amount
		}
	}
	var s spending
	for _, tx := range f.block().Transactions[1:] {
		var txid chainhash.Hash // of a transaction that spends a coin
		for _, in := range tx.TxIn {
			coin := ledger.OutPoint{TxID: ledger.Hash(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index}
			amount, ok := c.unspent[coin]
			if !ok {
				continue
			}
			delete(c.unspent, coin)
			s.spent = append(s.spent, coin)
			if txid == (chainhash.Hash{}) {
				txid = tx.TxHash()
			}
			if inFlight.Find(txid) == nil {
				s.thefts = append(s.thefts, Difference{Check: CheckSpends, Height: f.height, OutPoint: coin.String(),
					Text: fmt.Sprintf("block %d: coin %s of %d sat is spent by transaction %s, which is no settlement of the books: it was taken from the vault", f.height, coin, amount, txid)})
			}
		}
	}
	return s
}

// sum is the amount of all coins.
func sum(coins map[ledger.OutPoint]ledger.Amount) (total ledger.Amount) {
	for _, amount := range coins {
		total += amount
	}
	return total
}

// compareCoins compares the coins of the books with those of the blocks.
func (a *Audit) compareCoins() {
	books := make(map[ledger.OutPoint]ledger.Amount)
	for _, c := range a.replay.Books().Coins() {
		books[c.OutPoint] = c.Amount
	}
	a.report.count(CheckCoins, len(books))
	a.report.ChainSat = sum(a.coins.unspent)
	height := a.report.Height
	for _, at := range outPoints(books, a.coins.unspent) {
		inBooks, recorded := books[at]
		onChain, unspent := a.coins.unspent[at]
		text := ""
		switch {
		case !unspent:
			text = fmt.Sprintf("coin %s of %d sat is in the books and not on chain at block %d", at, inBooks, height)
		case !recorded:
			text = fmt.Sprintf("coin %s of %d sat is on chain at block %d and not in the books", at, onChain, height)
		case inBooks != onChain:
			text = fmt.Sprintf("coin %s has %d sat in the books and %d sat on chain", at, inBooks, onChain)
		default:
			continue
		}
		a.report.differ(Difference{Check: CheckCoins, Height: height, OutPoint: at.String(), Text: text})
	}
}

// outPoints lists the keys of both maps once, in one order at every run.
func outPoints(a, b map[ledger.OutPoint]ledger.Amount) []ledger.OutPoint {
	list := make([]ledger.OutPoint, 0, max(len(a), len(b)))
	for at := range a {
		list = append(list, at)
	}
	for at := range b {
		if _, both := a[at]; !both {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(x, y ledger.OutPoint) int { return strings.Compare(x.String(), y.String()) })
	return list
}
