package clearing

import (
	"context"
	"sync/atomic"

	"github.com/daobank/daobank/ledger"
)

// Acceptance is the bank's answer to an order that it carried out.
type Acceptance struct {
	Receipt  ledger.Receipt
	Account  ledger.AccountID // that an Open made; else 0
	Repeated bool             // the order had been accepted before; this is its first answer
}

// Outcome is the answer to one order of SubmitMany: Err is nil and Acceptance
// is set, or the other way round.
type Outcome struct {
	Acceptance Acceptance
	Err        error
}

// Submit hands in one order and returns when it is accepted and on disk, or
// refused. The caller must not change the order afterwards.
//
// Errors: *ledger.Error with the code of the refusal; ErrBusy; ErrStopped; the
// context's, after which the outcome is unknown. After the last two send the
// same order again.
func (e *Engine) Submit(ctx context.Context, order *ledger.Order) (Acceptance, error) {
	outcome := e.SubmitMany(ctx, []*ledger.Order{order})[0]
	return outcome.Acceptance, outcome.Err
}

// SubmitMany hands in many orders at once and returns their outcomes in the
// same order. They are carried out in that order, each for itself: one that is
// refused does not stop the next. When the queue has room for only the first of
// them, the rest get ErrBusy. So may those beside a bad signature, in a flood of
// such: send them again.
func (e *Engine) SubmitMany(ctx context.Context, orders []*ledger.Order) []Outcome {
	outcomes := make([]Outcome, len(orders))
	sub := e.examine(orders, outcomes)
	if len(sub.items) == 0 {
		return outcomes
	}
	if err := e.enter(sub); err != nil {
		sub.refuse(outcomes, err)
		return outcomes
	}
	select {
	case <-sub.answered:
		e.collect(ctx, sub, outcomes)
	case <-e.done:
		// All stages have ended, so what was answered before can be read.
		e.collect(ctx, sub, outcomes)
	case <-ctx.Done():
		sub.refuse(outcomes, errLeft(ctx))
	}
	return outcomes
}

// A submission is what one call handed in. Verifiers and sequencer work on its
// items one after the other, never at the same time.
type submission struct {
	items      []item
	unverified atomic.Int64 // the sequencer gets it when this is 0
	unanswered atomic.Int64
	answered   chan struct{} // closed when unanswered is 0
}

// An item is one order on its way through the pipeline.
type item struct {
	order   *ledger.Order
	place   int    // among the orders of the call
	bytes   []byte // canonical
	digest  ledger.Hash
	leaf    ledger.Hash
	key     ledger.Key // the signer's, if verdict is not keyUnknown
	verdict verdict
	answer  answer
}

// An answer is what the sequencer found; it is given after the commit.
type answer struct {
	given      bool
	acceptance Acceptance
	err        error
	repeats    ledger.OrderRef // with err: the place where the same order may stand already
}

// examine refuses at once what needs no books, and gathers the rest.
func (e *Engine) examine(orders []*ledger.Order, outcomes []Outcome) *submission {
	sub := &submission{answered: make(chan struct{})}
	sub.items = make([]item, 0, len(orders))
	for i, order := range orders {
		if order == nil {
			outcomes[i].Err = &ledger.Error{Code: ledger.CodeMalformed, Message: "there is no order"}
			e.stats.refuse(ledger.CodeMalformed)
			continue
		}
		if err := order.Check(e.bank); err != nil {
			outcomes[i].Err = err
			e.stats.refuse(ledger.CodeOf(err))
			continue
		}
		sub.items = append(sub.items, item{order: order, place: i})
	}
	return sub
}

// enter puts a submission into the queue, or as much of it as has room; the
// rest is answered with ErrBusy at the end.
func (e *Engine) enter(sub *submission) error {
	e.entrance.RLock()
	defer e.entrance.RUnlock()
	if e.closed || e.stop.Err() != nil {
		return ErrStopped
	}
	n := e.reserve(len(sub.items))
	for i := range sub.items[n:] {
		sub.items[n+i].answer = answer{given: true, err: ErrBusy}
		e.stats.refuse(CodeBusy)
	}
	sub.unanswered.Store(int64(n))
	sub.unverified.Store(int64(n))
	if n == 0 {
		close(sub.answered)
		return nil
	}
	// Never full: it holds as many elements as orders may be reserved.
	for from := 0; from < n; from += partMax {
		e.verifying <- job{sub: sub, items: sub.items[from:min(from+partMax, n)]}
	}
	return nil
}

// reserve takes room in the queue for at most n orders.
func (e *Engine) reserve(n int) int {
	for {
		queued := e.queued.Load()
		n := min(n, e.config.QueueMax-int(queued))
		if n <= 0 {
			return 0
		}
		if e.queued.CompareAndSwap(queued, queued+int64(n)) {
			return n
		}
	}
}

// collect turns the answers into outcomes. Orders that may have been accepted
// before are looked up here, in the caller's own goroutine.
func (e *Engine) collect(ctx context.Context, sub *submission, outcomes []Outcome) {
	first := &firstAnswers{Engine: e}
	for i := range sub.items {
		it := &sub.items[i]
		out := &outcomes[it.place]
		switch {
		case !it.answer.given:
			out.Err = ErrStopped
		case it.answer.repeats != (ledger.OrderRef{}):
			out.Acceptance, out.Err = first.answer(ctx, it)
		default:
			out.Acceptance, out.Err = it.answer.acceptance, it.answer.err
		}
	}
}

// refuse gives every order of the submission the same error.
func (sub *submission) refuse(outcomes []Outcome, err error) {
	for i := range sub.items {
		outcomes[sub.items[i].place].Err = err
	}
}

// done counts n answers that were given.
func (sub *submission) done(n int) {
	if sub.unanswered.Add(int64(-n)) == 0 {
		close(sub.answered)
	}
}
