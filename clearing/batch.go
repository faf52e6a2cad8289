package clearing

import (
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// A batch is what one commit writes and what is answered after it. The
// sequencer fills it, then the committer owns it, then the acknowledger. One
// without entries writes nothing: it only carries answers past the commits
// that they wait for.
type batch struct {
	entries  [][]byte
	leaves   []ledger.Hash
	refs     []ledger.OrderRef
	opened   []postgres.Opened
	deltas   map[ledger.AccountID]ledger.Amount
	postings []postgres.Posting
	closed   bool // a cut was added: nothing can follow it

	orders []pendingOrder
	after  []chan struct{} // closed when the batch is committed

	changes []postgres.Delta // the deltas with the balances that come of them

	header ledger.Header
	signed ledger.SignedHeader
	tree   *ledger.MerkleTree

	snapshot *ledger.Snapshot // of the books at its end, or nil
}

// A pendingOrder is an order whose answer waits for the commit.
type pendingOrder struct {
	sub   *submission
	it    *item
	index int // of its entry; -1 when it was refused
}

// newBatch returns an empty batch, with the memory of an earlier one if one is done.
func (e *Engine) newBatch() *batch {
	select {
	case b := <-e.spare:
		return b
	default:
		return &batch{deltas: make(map[ledger.AccountID]ledger.Amount)}
	}
}

// recycle gives back the memory of a batch that is answered, unless it is much more
// than a batch needs (orders with many payees). Receipts have copies of what they
// need.
func (e *Engine) recycle(b *batch) {
	if len(b.deltas) > 4*e.config.BatchMax {
		return
	}
	clear(b.entries)
	clear(b.orders)
	clear(b.after)
	clear(b.deltas)
	*b = batch{entries: b.entries[:0], leaves: b.leaves[:0], refs: b.refs[:0], deltas: b.deltas,
		orders: b.orders[:0], after: b.after[:0], changes: b.changes[:0]}
	select {
	case e.spare <- b:
	default: // enough are there
	}
}

func (b *batch) empty() bool { return len(b.entries) == 0 && len(b.orders) == 0 && len(b.after) == 0 }

// full reports whether the batch must be committed before anything is added.
// Refusals count as well, so that a flood of them is answered in time.
func (b *batch) full(limit int) bool {
	return b.closed || len(b.entries) >= limit || len(b.orders) >= 2*limit
}

// add appends an entry that the books have accepted.
func (b *batch) add(canonical []byte, leaf ledger.Hash, ref ledger.OrderRef, effects ledger.Effects) {
	b.entries = append(b.entries, canonical)
	b.leaves = append(b.leaves, leaf)
	b.refs = append(b.refs, ref)
	for _, p := range effects.Postings {
		b.deltas[p.Debit] -= p.Amount
		b.deltas[p.Credit] += p.Amount
	}
}

// close makes the changes of balances, while the books stand at the batch's end.
func (b *batch) close(books *ledger.State) {
	for id, amount := range b.deltas {
		if amount != 0 {
			b.changes = append(b.changes, postgres.Delta{Account: id, Amount: amount, Balance: books.Balance(id)})
		}
	}
}

// commit is what the store shall write.
func (b *batch) commit() postgres.Commit {
	return postgres.Commit{
		Batch:    &ledger.Batch{Header: b.signed, Entries: b.entries},
		Refs:     b.refs,
		Opened:   b.opened,
		Deltas:   b.changes,
		Postings: b.postings,
	}
}
