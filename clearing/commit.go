package clearing

import (
	"context"
	"time"

	"github.com/daobank/daobank/ledger"
)

// commitLimit is how long a commit may take. After it the outcome counts as
// unknown and the engine stops, so that callers do not wait for ever on a
// database that hangs.
const commitLimit = 30 * time.Second

// commitStage signs and writes one batch after the other, and ends at the first
// error: nothing may be written after a batch whose outcome is not certain.
func (e *Engine) commitStage() {
	defer close(e.committed)
	for b := range e.sealed {
		if err := e.commit(b); err != nil {
			e.fail(err)
			return
		}
		e.slot <- struct{}{}
		select {
		case e.idle <- struct{}{}:
		default: // nobody has looked since the last one
		}
		e.committed <- b
	}
}

func (e *Engine) commit(b *batch) error {
	if len(b.entries) == 0 {
		return nil
	}
	signed, err := b.header.Sign(e.config.Operator)
	if err != nil {
		return err
	}
	b.signed = signed
	ctx, cancel := context.WithTimeout(e.stop, commitLimit)
	defer cancel()
	if err := e.config.Store.Commit(ctx, b.commit()); err != nil {
		return err
	}
	e.stats.batches.Add(1)
	if b.snapshot != nil {
		e.snapshots.ready <- b.snapshot // never waits: there is one at a time
	}
	select {
	case e.nudge <- struct{}{}:
	default: // the projector has one to see already
	}
	return nil
}

// acknowledge answers what rests on the batches that are on disk.
func (e *Engine) acknowledge() {
	for b := range e.committed {
		for i := 0; i < len(b.orders); {
			sub, first := b.orders[i].sub, i
			for i++; i < len(b.orders) && b.orders[i].sub == sub; i++ {
			}
			e.answerTogether(b, b.orders[first:i])
			sub.done(i - first)
		}
		for _, done := range b.after {
			close(done)
		}
		e.recycle(b)
	}
}

// answerTogether answers the orders that one call handed in. Their paths share one
// piece of memory, which lives as long as one of the receipts.
func (e *Engine) answerTogether(b *batch, orders []pendingOrder) {
	var paths []ledger.Hash
	if b.tree != nil {
		paths = make([]ledger.Hash, 0, len(orders)*b.tree.Depth())
	}
	for i := range orders {
		paths = e.answer(b, &orders[i], paths)
	}
}

// answer appends the order's path to paths.
func (e *Engine) answer(b *batch, p *pendingOrder, paths []ledger.Hash) []ledger.Hash {
	p.it.answer.given = true
	if p.index < 0 {
		if p.it.answer.repeats == (ledger.OrderRef{}) {
			e.stats.refuse(ledger.CodeOf(p.it.answer.err))
		}
		return paths
	}
	e.stats.accepted.Add(1)
	from := len(paths)
	paths = b.tree.AppendPath(paths, p.index)
	p.it.answer.acceptance.Receipt = ledger.Receipt{Header: b.signed, Index: uint32(p.index), Path: paths[from:len(paths):len(paths)]}
	return paths
}
