package guardian

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/roast"
)

// batchLimit is what the journal and the node may take for one batch. Who is
// slower has failed, and is asked again by the next Sync.
const batchLimit = time.Minute

// keepEvery is how many batches of a long Sync are replayed before their headers
// are put on disk and Head shows them.
const keepEvery = 256

// ErrStalled says that the journal, or the guardian's node, took more than a
// minute for one batch.
var ErrStalled = errors.New("the journal or the node has stalled")

// Sync replays what the journal holds beyond the guardian's books. Errors:
// *HaltError when the history contradicts itself or what was seen before,
// ErrStalled, else the journal's or the node's. What was replayed before an error
// stays.
func (g *Guardian) Sync(ctx context.Context) error {
	if err := g.lock(ctx); err != nil {
		return err
	}
	defer g.unlock()
	return g.sync(ctx)
}

func (g *Guardian) sync(ctx context.Context) error {
	if halted := g.Halted(); halted != nil {
		return halted
	}
	err := g.catchUp(ctx)
	var differs *netting.FactError
	if errors.As(err, &differs) || g.Halted() != nil {
		// What it found right to sign is in doubt: it begins again once its node agrees.
		for _, s := range g.allSeats() {
			s.forget(func(roast.RequestID) bool { return true })
		}
	}
	return errors.Join(err, g.keep())
}

// catchUp follows batch after batch, each in its time.
func (g *Guardian) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(batchLimit, func() { cancel(ErrStalled) })
	defer stalled.Stop()
	next := g.replay.Books().Last().Number + 1
	for batch, err := range g.config.Journal.Batches(ctx, next) {
		if err != nil {
			err = fmt.Errorf("the guardian reads the journal: %w", err)
		} else {
			err = g.follow(ctx, batch)
		}
		if differs := (*netting.FactError)(nil); errors.As(err, &differs) && g.lookAhead(ctx, batch.Header.Number, differs.Height) {
			err = g.follow(ctx, batch)
		}
		if err != nil && errors.Is(context.Cause(ctx), ErrStalled) {
			return fmt.Errorf("%w: %w", ErrStalled, err)
		}
		if err != nil {
			return err
		}
		stalled.Reset(batchLimit)
		if batch.Header.Number%keepEvery == 0 {
			if err := g.keep(); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookAhead looks whether the journal says further on that the block at a height, which
// the guardian's node does not have in its chain, has left it: then the guardian checks
// what the books took from it against the block that its node keeps beside the chain.
func (g *Guardian) lookAhead(ctx context.Context, from uint64, height uint32) bool {
	for batch, err := range g.config.Journal.Batches(ctx, from+1) {
		if err != nil {
			return false
		}
		for _, raw := range batch.Entries {
			if len(raw) < 2 || ledger.Kind(raw[1]) != ledger.KindReorganised {
				continue
			}
			entry, err := ledger.DecodeEntry(raw)
			if e, ok := entry.Event.(*ledger.Reorganised); err == nil && ok && e.From <= height && batch.Verify(g.config.Charter.Operator) == nil {
				g.replay.LeftChain(batch.Header.Number, e)
				return true
			}
		}
	}
	return false
}

// follow takes the next batch into the books. One that contradicts itself, the
// rules, or a header that the guardian has seen, ends its signing.
func (g *Guardian) follow(ctx context.Context, batch *ledger.Batch) error {
	err := g.compare(&batch.Header)
	if err == nil {
		err = g.replay.Follow(ctx, batch)
	}
	if err == nil && g.config.Headers != nil && batch.Header.Number > g.config.Headers.Last() {
		err = g.config.Headers.Take(&batch.Header)
	}
	var history *ledger.HistoryError
	var twice *Equivocation
	switch {
	case errors.As(err, &twice) && !twice.Verify(&g.config.Charter):
		// The operator has signed B, so A is not what was kept.
		return g.halt(fmt.Errorf("its own file of headers is damaged at batch %d", twice.A.Number))
	case errors.As(err, &history), errors.As(err, &twice):
		return g.halt(err)
	case err != nil:
		return fmt.Errorf("the guardian follows the bank: %w", err)
	}
	return nil
}

// compare looks whether the operator has signed another header of this number
// before. It comes before the batch is checked: whatever else is wrong with one
// that was signed twice, this is a proof.
func (g *Guardian) compare(header *ledger.SignedHeader) error {
	kept := g.config.Headers
	if kept == nil || header.Number == 0 || header.Number > kept.Last() {
		return nil
	}
	err := kept.Take(header)
	var twice *Equivocation
	if errors.As(err, &twice) && (twice.B.Bank != g.replay.Books().Bank() || !twice.B.Verify(g.config.Charter.Operator)) {
		return nil // not the operator's word: following it says what it is
	}
	return err
}

// keep puts the headers of what was replayed on disk, and only then shows the
// last one: what is attested must not be forgotten.
func (g *Guardian) keep() error {
	if g.Halted() != nil {
		return nil
	}
	books := g.replay.Books()
	batch, head := books.Last().Number, books.Head()
	if known, _ := g.Head(); known == batch {
		return nil
	}
	if g.config.Headers != nil {
		if err := g.config.Headers.Sync(); err != nil {
			return fmt.Errorf("the guardian keeps its headers: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.batch, g.head = batch, head
	return nil
}
