package clearing

import (
	"context"
	"fmt"

	"github.com/daobank/daobank/ledger"
)

// lookupsMax bounds the resubmissions that are looked up at once, so that they
// leave connections to the database for other readers.
const lookupsMax = 4

// firstAnswers looks up the orders of one call that the books refused although
// they may stand in them already. If the very same order does, it gets the
// receipt that it got the first time; else the refusal stands.
type firstAnswers struct {
	*Engine
	// The batch that was read last. Orders that were handed in together are
	// mostly found together.
	batch *ledger.Batch
	tree  *ledger.MerkleTree
}

func (f *firstAnswers) answer(ctx context.Context, it *item) (Acceptance, error) {
	select {
	case f.lookups <- struct{}{}:
		defer func() { <-f.lookups }()
	case <-ctx.Done():
		return Acceptance{}, errLeft(ctx)
	}
	first, found, err := f.find(ctx, it)
	switch {
	case err != nil && ctx.Err() != nil:
		return Acceptance{}, errLeft(ctx)
	case err != nil:
		f.log.Warn("could not look up an order that was sent again", "order", it.answer.repeats, "error", err)
		return Acceptance{}, errLookup
	case !found:
		f.stats.refuse(ledger.CodeOf(it.answer.err))
		return Acceptance{}, it.answer.err
	}
	f.stats.repeated.Add(1)
	return first, nil
}

// find returns the answer that the order got when it was accepted, and whether
// it was.
func (f *firstAnswers) find(ctx context.Context, it *item) (a Acceptance, found bool, err error) {
	number, index, err := f.config.Store.FindOrder(ctx, it.answer.repeats)
	if err != nil {
		return a, false, err
	}
	if err := f.read(ctx, number); err != nil {
		return a, false, err
	}
	if index >= len(f.batch.Entries) {
		return a, false, fmt.Errorf("batch %d has no entry %d", number, index)
	}
	stored, err := ledger.DecodeOrder(f.batch.Entries[index])
	if err != nil {
		return a, false, fmt.Errorf("batch %d entry %d: %w", number, index, err)
	}
	if stored.Digest() != it.digest {
		return a, false, nil
	}
	a.Receipt = ledger.Receipt{Header: f.batch.Header, Index: uint32(index), Path: f.tree.Path(index)}
	a.Repeated = true
	if stored.Kind() == ledger.KindOpen {
		a.Account = it.answer.repeats.Payer
	}
	return a, true, nil
}

func (f *firstAnswers) read(ctx context.Context, number uint64) error {
	if f.batch != nil && f.batch.Header.Number == number {
		return nil
	}
	b, err := f.config.Store.Batch(ctx, number)
	if err != nil {
		return err
	}
	leaves := make([]ledger.Hash, len(b.Entries))
	for i, entry := range b.Entries {
		leaves[i] = ledger.EntryLeaf(entry)
	}
	f.batch, f.tree = b, ledger.NewMerkleTree(leaves)
	return nil
}

// errLeft is for a caller whose context ended before the answer.
func errLeft(ctx context.Context) error {
	return fmt.Errorf("the outcome is unknown, send the same order again: %w", context.Cause(ctx))
}
