package clearing

import (
	"context"
	"fmt"

	"github.com/daobank/daobank/ledger"
)

// lookupsMax bounds the resubmissions that are looked up at once, so that they
// leave connections to the database for other readers.
const lookupsMax = 4

// firstAnswer answers an order that the books refused although it may stand in
// them already. If the very same order does, it gets the receipt that it got
// the first time; else the refusal stands.
func (e *Engine) firstAnswer(ctx context.Context, it *item) (Acceptance, error) {
	select {
	case e.lookups <- struct{}{}:
		defer func() { <-e.lookups }()
	case <-ctx.Done():
		return Acceptance{}, fmt.Errorf("the outcome is unknown, send the same order again: %w", context.Cause(ctx))
	}
	first, found, err := e.findFirst(ctx, it)
	if err != nil {
		if ctx.Err() != nil {
			return Acceptance{}, fmt.Errorf("the outcome is unknown, send the same order again: %w", context.Cause(ctx))
		}
		e.log.Warn("could not look up an order that was sent again", "order", it.answer.repeats, "error", err)
		return Acceptance{}, errLookup
	}
	if !found {
		e.stats.refuse(ledger.CodeOf(it.answer.err))
		return Acceptance{}, it.answer.err
	}
	e.stats.repeated.Add(1)
	return first, nil
}

func (e *Engine) findFirst(ctx context.Context, it *item) (a Acceptance, found bool, err error) {
	number, index, err := e.config.Store.FindOrder(ctx, it.answer.repeats)
	if err != nil {
		return a, false, err
	}
	b, err := e.config.Store.Batch(ctx, number)
	if err != nil {
		return a, false, err
	}
	if index >= len(b.Entries) {
		return a, false, fmt.Errorf("batch %d has no entry %d", number, index)
	}
	stored, err := ledger.DecodeOrder(b.Entries[index])
	if err != nil {
		return a, false, fmt.Errorf("batch %d entry %d: %w", number, index, err)
	}
	if stored.Digest() != it.digest {
		return a, false, nil
	}
	leaves := make([]ledger.Hash, len(b.Entries))
	for i, entry := range b.Entries {
		leaves[i] = ledger.EntryLeaf(entry)
	}
	a.Receipt = ledger.Receipt{Header: b.Header, Index: uint32(index), Path: ledger.NewMerkleTree(leaves).Path(index)}
	a.Repeated = true
	if stored.Kind() == ledger.KindOpen {
		a.Account = it.answer.repeats.Payer
	}
	return a, true, nil
}
