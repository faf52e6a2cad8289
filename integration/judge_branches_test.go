package integration

import (
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
)

// chainBooks is what the books took from the chain, entry after entry, compared with
// the blocks: those of the active chain, and those that left it after the books had
// taken them. At each entry that takes the books to another branch the judge works
// out for itself which coins that lost and brought, and who bears it.
type chainBooks struct {
	*judge
	v      *verdict
	branch []*wire.MsgBlock // of the books, above the bank's birth
	newest int              // in branch, the first block of the last step
	coins  map[wire.OutPoint]ledger.Amount
	ever   map[wire.OutPoint]bool // was a coin of the books once
	lost   map[wire.OutPoint]bool // and left the chain
	mined  uint32                 // settlement that the last step along the chain must post; 0 for none
	posted map[uint32]int         // where in branch a settlement's block stands
}

// A chainEvent is one that the journal took from the chain, or a correction.
type chainEvent struct {
	ledger.Event
	opened int // accounts before it
}

// followBooks goes through the journal's events.
func (j *judge) followBooks() *verdict {
	b := &chainBooks{judge: j, v: &verdict{what: "entries taken from the chain, and corrections of them: true, complete, once"},
		coins: make(map[wire.OutPoint]ledger.Amount), ever: make(map[wire.OutPoint]bool), lost: make(map[wire.OutPoint]bool), posted: make(map[uint32]int)}
	for _, e := range j.events {
		b.v.count++
		switch event := e.Event.(type) {
		case *ledger.Block:
			b.expectPosted()
			b.takeBlock(event)
		case *ledger.Deposit:
			b.takeDeposit(event, e.opened)
		case *ledger.Settled:
			b.takeSettled(event)
		case *ledger.Reorganised:
			b.expectPosted()
			b.takeBranch(event, e.opened)
		case *ledger.Correct:
			b.v.check(j.moved[ledger.Suspense] >= event.Amount, "%d sat are given from suspense, which has %d sat", event.Amount, j.moved[ledger.Suspense])
			j.move(ledger.Suspense, event.Account, event.Amount)
			j.corrections = append(j.corrections, event)
		}
	}
	b.expectPosted()
	b.compareEnd()
	return b.v
}

// expectPosted: a settlement is posted with the blocks that hold it.
func (b *chainBooks) expectPosted() {
	if b.mined != 0 {
		b.v.fail("settlement %d is in the blocks that the books took, and they do not post it", b.mined)
	}
}

func (j *judge) move(from, to ledger.AccountID, amount ledger.Amount) {
	j.moved[from] -= amount
	j.moved[to] += amount
}

func (b *chainBooks) heightOf(place int) uint32 { return b.charter.BirthHeight + 1 + uint32(place) }

// tipOf is the block on which the next of a branch stands.
func (b *chainBooks) tipOf(branch []*wire.MsgBlock) chainhash.Hash {
	if len(branch) == 0 {
		return chainhash.Hash(b.charter.BirthHash)
	}
	return branch[len(branch)-1].BlockHash()
}

func (b *chainBooks) takeBlock(e *ledger.Block) {
	block := b.known[chainhash.Hash(e.Hash)]
	if block == nil || block.Header.PrevBlock != b.tipOf(b.branch) || e.Height != b.heightOf(len(b.branch)) {
		b.v.fail("block %d of the books, %s, does not stand on the one before it", e.Height, chainhash.Hash(e.Hash))
		return
	}
	b.newest = len(b.branch)
	b.branch = append(b.branch, block)
	b.mined = b.settlementIn(b.branch[b.newest:])
}

// settlementIn is the settlement in some blocks that the books have not posted.
func (b *chainBooks) settlementIn(blocks []*wire.MsgBlock) uint32 {
	for _, block := range blocks {
		for _, tx := range block.Transactions {
			number := b.settlementOf(tx)
			if _, posted := b.posted[number]; number != 0 && !posted {
				return number
			}
		}
	}
	return 0
}

// settlementOf is 0 for any other transaction: an anchor alone can be written by anybody.
func (b *chainBooks) settlementOf(tx *wire.MsgTx) uint32 {
	number, ok := anchorOf(tx)
	if !ok || !slices.ContainsFunc(tx.TxIn, func(in *wire.TxIn) bool { return b.ever[in.PreviousOutPoint] }) {
		return 0
	}
	return number
}

func (b *chainBooks) takeDeposit(e *ledger.Deposit, opened int) {
	at := wire.OutPoint{Hash: chainhash.Hash(e.OutPoint.TxID), Index: e.OutPoint.Vout}
	block := int(e.Height) - int(b.heightOf(0))
	if block < 0 || block >= len(b.branch) || int(e.TxIndex) >= len(b.branch[block].Transactions) {
		b.v.fail("the deposit %s is in block %d, which the books do not have", e.OutPoint, e.Height)
		return
	}
	tx := b.branch[block].Transactions[e.TxIndex]
	if tx.TxHash() != at.Hash || int(at.Index) >= len(tx.TxOut) || ledger.Amount(tx.TxOut[at.Index].Value) != e.Amount ||
		b.scripts[string(tx.TxOut[at.Index].PkScript)] != (vaultPlace{e.Branch, e.Index}) {
		b.v.fail("the deposit %s of %d sat is not in block %d so", e.OutPoint, e.Amount, e.Height)
		return
	}
	if b.ever[at] && !b.lost[at] {
		b.v.fail("the deposit %s is credited twice", e.OutPoint)
	}
	b.credit(at, e.Amount, opened, !b.lost[at])
}

// credit adds a coin to the books: to its owner, or to suspense.
func (b *chainBooks) credit(at wire.OutPoint, amount ledger.Amount, opened int, owned bool) {
	to, place := ledger.Suspense, b.placeOf(at)
	id := ledger.AccountID(place.index)
	if owned && place.branch == ledger.BranchDeposit && (id == ledger.Treasury || slices.Contains(b.written[:opened], id)) {
		to = id
	}
	b.move(ledger.Vault, to, amount)
	b.coins[at], b.ever[at] = amount, true
	delete(b.lost, at)
}

// placeOf is where in the vault an output stands.
func (b *chainBooks) placeOf(at wire.OutPoint) vaultPlace {
	return b.scripts[string(b.txs[at.Hash].TxOut[at.Index].PkScript)]
}

func (b *chainBooks) takeSettled(e *ledger.Settled) {
	tx, cut := b.txs[chainhash.Hash(e.TxID)], b.versions[version{e.Settlement, e.Version}]
	if tx == nil || cut == nil || b.mined != e.Settlement || b.settlementOf(tx) != e.Settlement {
		b.v.fail("settlement %d is posted as %s, which is not in the blocks that the books took last", e.Settlement, chainhash.Hash(e.TxID))
		return
	}
	b.mined = 0
	b.posted[e.Settlement] = b.newest
	if len(cut.Inputs) != len(tx.TxIn) {
		b.v.fail("settlement %d spends %d coins, its cut says %d", e.Settlement, len(tx.TxIn), len(cut.Inputs))
	}
	for _, in := range tx.TxIn {
		if _, there := b.coins[in.PreviousOutPoint]; !there {
			b.v.fail("settlement %d spends %s, which the books do not have", e.Settlement, in.PreviousOutPoint)
		}
		delete(b.coins, in.PreviousOutPoint)
	}
	for vout, out := range tx.TxOut {
		if _, own := b.scripts[string(out.PkScript)]; own {
			at := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(vout)}
			b.coins[at], b.ever[at] = ledger.Amount(out.Value), true
			delete(b.lost, at)
		}
	}
}

// takeBranch follows the books to another branch.
func (b *chainBooks) takeBranch(e *ledger.Reorganised, opened int) {
	from := int(e.From) - int(b.heightOf(0))
	if from < 0 || from >= len(b.branch) {
		b.v.fail("the books leave block %d, and end at block %d", e.From, b.heightOf(len(b.branch)-1))
		return
	}
	var fresh []*wire.MsgBlock
	for hash := chainhash.Hash(e.Hash); hash != b.tipOf(b.branch[:from]); {
		block := b.known[hash]
		if block == nil || len(fresh) > int(e.Height-e.From) {
			b.v.fail("the books go on from block %d, %s, which does not stand on block %d", e.Height, chainhash.Hash(e.Hash), e.From-1)
			return
		}
		fresh = append([]*wire.MsgBlock{block}, fresh...)
		hash = block.Header.PrevBlock
	}
	if len(fresh) != int(e.Height-e.From)+1 || b.tipOf(b.branch[:from+1]) == fresh[0].BlockHash() {
		b.v.fail("the books leave block %d, which the other branch has too, or is at another height", e.From)
	}
	for number, place := range b.posted {
		if place >= from {
			b.left[number] = true
		}
	}
	b.branch, b.newest = append(slices.Clone(b.branch[:from]), fresh...), from
	b.mined = b.settlementIn(fresh)
	b.bear(e, b.coinsThere(), opened)
}

// coinsThere are the vault's coins at the end of the branch, but for what the
// settlement does that is still to be posted.
func (b *chainBooks) coinsThere() map[wire.OutPoint]ledger.Amount {
	there := make(map[wire.OutPoint]ledger.Amount)
	end := b.heightOf(len(b.branch) - 1)
	for i, block := range b.branch {
		for n, tx := range block.Transactions {
			if b.mined != 0 && b.settlementOf(tx) == b.mined {
				continue
			}
			for _, in := range tx.TxIn {
				delete(there, in.PreviousOutPoint)
			}
			for vout, out := range tx.TxOut {
				if _, own := b.scripts[string(out.PkScript)]; own && out.Value > 0 && b.creditedAt(b.heightOf(i), n) <= end {
					there[wire.OutPoint{Hash: tx.TxHash(), Index: uint32(vout)}] = ledger.Amount(out.Value)
				}
			}
		}
	}
	return there
}

// bear compares the coins of the branch with those of the books: suspense gets what
// came back and bears what is lost, the treasury what suspense lacks.
func (b *chainBooks) bear(e *ledger.Reorganised, there map[wire.OutPoint]ledger.Amount, opened int) {
	removed, added := make(map[wire.OutPoint]bool), make(map[wire.OutPoint]bool)
	for _, at := range e.Removed {
		removed[wire.OutPoint{Hash: chainhash.Hash(at.TxID), Index: at.Vout}] = true
	}
	for _, a := range e.Added {
		at := wire.OutPoint{Hash: chainhash.Hash(a.OutPoint.TxID), Index: a.OutPoint.Vout}
		added[at] = true
		b.v.check(there[at] == a.Amount && a.Amount > 0, "coin %s of %d sat is added, and the branch has %d sat there", at, a.Amount, there[at])
	}
	for at, amount := range there {
		_, have := b.coins[at]
		b.v.check(have != added[at], "coin %s is in the branch: in the books before %v, added %v", at, have, added[at])
		if !have {
			b.credit(at, amount, opened, !b.ever[at])
		}
	}
	for _, ref := range e.Paid {
		b.paid[ref]++
		if w := b.withdrawals()[ref]; w != nil {
			b.move(ledger.Vault, ledger.Suspense, w.Amount)
		}
	}
	var lost ledger.Amount
	for at, amount := range b.coins {
		_, have := there[at]
		b.v.check(have != removed[at], "coin %s is in the branch %v, removed %v", at, have, removed[at])
		if !have {
			lost += amount
			delete(b.coins, at)
			b.lost[at] = true
		}
	}
	b.move(ledger.Treasury, ledger.Suspense, max(0, lost-b.moved[ledger.Suspense]))
	b.move(ledger.Suspense, ledger.Vault, lost)
}

// compareEnd: the books end on the active chain, with its coins.
func (b *chainBooks) compareEnd() {
	for i, block := range b.branch {
		if i >= len(b.blocks) || block.BlockHash() != b.blocks[i].BlockHash() {
			b.v.fail("block %d of the books is not in the chain", b.heightOf(i))
			return
		}
	}
	for at, amount := range b.judge.coins {
		b.v.check(b.coins[at] == amount, "coin %s of %d sat is in the chain, the books have %d sat there", at, amount, b.coins[at])
		delete(b.coins, at)
	}
	for at, amount := range b.coins {
		b.v.check(false, "coin %s of %d sat is in the books and not in the chain", at, amount)
	}
}
