package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Replay rebuilds the books from the journal and believes nothing of it: every
// signature, every link of the hash chain, every rule, and every entry that was
// taken from the chain, against the checker's own node. Guardians and auditors
// run the same one. It is not safe for concurrent use.
type Replay struct {
	charter ledger.Charter
	vaults  *netting.Vaults
	chain   netting.Blocks
	books   *ledger.State
	watch   *netting.Watch
	flight  netting.Flight // what was built of the settlement in flight
	reach   uint32         // accounts after the last batch that held a block
	left    []span         // blocks of the books that left the chain, by what the journal says later
	lenient bool           // such a block need not be on the node: what it held stays unchecked
}

// A span is blocks of the books that a later batch says have left the chain.
type span struct {
	from   uint32 // the lowest
	before uint64 // batch that says so
}

// LeftChain tells the replay that a later batch takes the books to another branch,
// from a block on. Blocks that the books took before are then looked up by their hash:
// a node keeps those that it has seen.
func (r *Replay) LeftChain(batch uint64, e *ledger.Reorganised) {
	r.left = append(r.left, span{from: e.From, before: batch})
}

// hasLeft reports whether a block of a batch is known to have left the chain.
func (r *Replay) hasLeft(batch uint64, height uint32) bool {
	return slices.ContainsFunc(r.left, func(s span) bool { return batch < s.before && height >= s.from })
}

// NewReplay begins with the empty books of a bank and the vault of its founding.
func NewReplay(charter ledger.Charter, vault *taproot.Vault, chain netting.Blocks) (*Replay, error) {
	books, err := ledger.NewState(charter)
	if err != nil {
		return nil, err
	}
	vaults := netting.NewVaults(charter.ID(), vault)
	return &Replay{charter: charter, vaults: vaults, chain: chain, books: books,
		watch: netting.NewWatch(vaults), reach: books.Accounts()}, nil
}

// Books is the state after the last batch. The caller must not change it.
func (r *Replay) Books() *ledger.State { return r.books }

// Vaults are the bank's vaults as far as the journal was followed.
func (r *Replay) Vaults() *netting.Vaults { return r.vaults }

// Follow checks the next batch and takes it into the books.
//
// A *ledger.HistoryError means that the journal contradicts itself, its rules
// or a member's signature, on the operator's word: the Replay is of no further
// use. Any other error leaves the Replay where it was: a *ledger.TamperedError when
// the operator did not sign the batch, or it is another than the next; a
// *netting.FactError when the batch differs from the chain as the node shows it
// now; or the node's own error.
func (r *Replay) Follow(ctx context.Context, batch *ledger.Batch) error {
	p := ledger.Prepare(batch)
	if err := p.Verify(r.charter.Operator); err != nil {
		return err
	}
	if next := r.books.Last().Number + 1; batch.Header.Number != next {
		return &ledger.TamperedError{Batch: batch.Header.Number, Reason: fmt.Sprintf("batch %d is the next", next)}
	}
	facts, err := r.readFacts(ctx, p)
	if err != nil {
		return err
	}
	if err := r.checkReorganised(ctx, p); err != nil {
		return err
	}
	for _, f := range facts {
		if err := r.checkFact(f); err != nil {
			return fmt.Errorf("batch %d: %w", batch.Header.Number, err)
		}
	}
	if err := r.books.AppendPrepared(p, ledger.CheckAll); err != nil {
		return err
	}
	return r.taken(p, facts)
}

// taken follows a batch that the books have taken.
func (r *Replay) taken(p *ledger.Prepared, facts []*fact) error {
	if err := r.vaults.Follow(r.books); err != nil { // a rekey ends its batch
		batch := p.Batch
		return &ledger.HistoryError{Batch: batch.Header.Number, Entry: len(batch.Entries) - 1, Reason: "the vault's key is not changed so", Err: err}
	}
	if len(facts) > 0 {
		r.reach = r.books.Accounts()
	}
	return nil
}

// A fact is what a batch took from one block of the chain, and that block.
type fact struct {
	left     bool // the block has left the chain since
	unseen   bool // and is not on the node
	height   uint32
	recorded []ledger.Event            // the Block and what follows it
	blocks   map[uint32]*wire.MsgBlock // as netting.ReadBlocks gives them
}

func (f *fact) block() *wire.MsgBlock { return f.blocks[f.height] }

// readFacts gathers the chain's entries of a batch and the blocks that they
// speak of. Entries that cannot be read, and a batch that does not continue the
// books or is not the operator's, are left to Append, which names them.
func (r *Replay) readFacts(ctx context.Context, p *ledger.Prepared) ([]*fact, error) {
	batch := p.Batch
	if batch.Header.Previous != r.books.Head() {
		return nil, nil
	}
	var facts []*fact
	height, _ := r.books.Block()
	for i, entry := range p.Entries() {
		if entry.Event == nil {
			continue
		}
		switch e := entry.Event.(type) {
		case *ledger.Block:
			// The node is asked only for blocks that the books can take, and
			// only on the operator's word.
			if len(facts) == 0 && p.Verify(r.charter.Operator) != nil {
				return nil, nil
			}
			if e.Height != height+1 {
				return nil, &ledger.HistoryError{Batch: batch.Header.Number, Entry: i,
					Reason: fmt.Sprintf("block %d does not follow block %d", e.Height, height)}
			}
			height++
			f, err := r.readFact(ctx, batch.Header.Number, e)
			if err != nil {
				return nil, err
			}
			facts = append(facts, f)
		case *ledger.Deposit, *ledger.Settled:
			if i == 1 && isReorganised(p.Entries()[0]) {
				continue // checkBranch compares it
			}
			if len(facts) == 0 {
				return nil, &ledger.HistoryError{Batch: batch.Header.Number, Entry: i,
					Reason: fmt.Sprintf("a %s stands in another batch than its block", e.Kind())}
			}
			last := facts[len(facts)-1]
			last.recorded = append(last.recorded, e)
		}
	}
	return facts, nil
}

// readFact reads the block that a batch took in.
func (r *Replay) readFact(ctx context.Context, batch uint64, e *ledger.Block) (*fact, error) {
	f := &fact{height: e.Height, recorded: []ledger.Event{e}}
	if r.hasLeft(batch, e.Height) {
		now, err := r.chain.BlockHash(ctx, int32(e.Height))
		if err != nil {
			return nil, err
		}
		f.left = ledger.Hash(now) != e.Hash
	}
	var err error
	f.blocks, err = netting.ReadBlocks(ctx, r.chain, &r.charter, e.Height)
	if err == nil && f.left {
		f.blocks[e.Height], err = r.chain.Block(ctx, chainhash.Hash(e.Hash))
		if f.unseen = err != nil && r.lenient; f.unseen {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("block %d of the books, %s, has left the chain, and the node does not have it: %w", e.Height, chainhash.Hash(e.Hash), err)
		}
	}
	return f, err
}

func isReorganised(entry ledger.Entry) bool {
	_, ok := entry.Event.(*ledger.Reorganised)
	return ok
}

// checkReorganised compares a batch that takes the books to another branch with it.
func (r *Replay) checkReorganised(ctx context.Context, p *ledger.Prepared) error {
	batch := p.Batch
	if batch.Header.Previous != r.books.Head() || p.Verify(r.charter.Operator) != nil {
		return nil // Append names it
	}
	entries := p.Entries()
	for i, entry := range entries {
		e, ok := entry.Event.(*ledger.Reorganised)
		if !ok {
			continue
		}
		if i > 0 {
			return &ledger.HistoryError{Batch: batch.Header.Number, Entry: i, Reason: "the books go on from another branch behind other entries of the batch"}
		}
		if err := r.checkBranch(ctx, e, entries[1:]); err != nil {
			return fmt.Errorf("batch %d: %w", batch.Header.Number, err)
		}
	}
	return nil
}

// checkBranch compares an entry that takes the books to another branch, and what
// stands behind it, with the branch.
func (r *Replay) checkBranch(ctx context.Context, e *ledger.Reorganised, behind []ledger.Entry) error {
	inFlight, err := r.inFlight()
	if err != nil {
		return err
	}
	if err := r.watch.Extend(r.reach, r.books.Settlements()); err != nil {
		return err
	}
	want, err := netting.CheckReorganised(ctx, r.chain, r.books, r.watch, e, inFlight)
	if err != nil {
		return err
	}
	var posted *ledger.Settled
	if len(behind) > 0 {
		posted, _ = behind[0].Event.(*ledger.Settled)
	}
	if (want == nil) != (posted == nil) || want != nil && *want != *posted {
		return &netting.FactError{Height: e.Height, Reason: fmt.Sprintf("the books post %+v with the branch, which holds %+v", posted, want)}
	}
	return nil
}

// checkFact compares what the batch says of a block with the block. Nothing may
// be left out that pays an account which existed at the block before.
func (r *Replay) checkFact(f *fact) error {
	if f.unseen {
		return nil
	}
	inFlight, err := r.inFlight()
	if err != nil {
		return err
	}
	if err := r.watch.Extend(r.reach, r.books.Settlements()); err != nil {
		return err
	}
	want := r.watch.Facts(&r.charter, f.height, f.blocks, inFlight)
	return netting.CheckFacts(r.vaults, f.recorded, want, f.blocks)
}

// inFlight rebuilds the versions of the settlement that the books wait for.
func (r *Replay) inFlight() (_ netting.Flight, err error) {
	r.flight, err = r.flight.Follow(r.books, r.vaults)
	return r.flight, err
}
