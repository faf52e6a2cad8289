package clearing

import (
	"context"
	"fmt"
	"sync"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// A view is a call of View.
type view struct {
	fn   func(*ledger.State)
	done chan struct{}
}

// View runs fn on the books. What fn saw is on disk when View returns nil, so
// reads and answers agree on one order. fn runs in the goroutine that sequences
// all payments: it must be quick, change nothing and keep no reference. It never
// runs after View has returned. Errors: ErrStopped or the context's, after which
// what fn saw must not be used.
func (e *Engine) View(ctx context.Context, fn func(*ledger.State)) error {
	var mu sync.Mutex
	left := false // the caller is gone, and whatever fn would touch with it
	v := &view{done: make(chan struct{}), fn: func(s *ledger.State) {
		mu.Lock()
		defer mu.Unlock()
		if !left {
			fn(s)
		}
	}}
	err := e.await(ctx, v, v.done)
	mu.Lock()
	left = true
	mu.Unlock()
	return err
}

// A record is a call of Record.
type record struct {
	events []ledger.Event
	err    error
	done   chan struct{}
}

// Record writes chain events, in order and in one batch. They are facts, each
// true for itself: when one is refused, those before it stand. It returns when
// they are on disk. Errors: *EventError; ErrStopped or the context's, after
// which View shows what was recorded.
func (e *Engine) Record(ctx context.Context, events []ledger.Event) error {
	if len(events) > ledger.MaxBatch {
		return &EventError{Index: ledger.MaxBatch, Err: &ledger.Error{Code: ledger.CodeOversized,
			Message: fmt.Sprintf("%d events do not fit into one batch: record at most %d", len(events), ledger.MaxBatch)}}
	}
	r := &record{events: events, done: make(chan struct{})}
	if err := e.await(ctx, r, r.done); err != nil {
		return err
	}
	return r.err
}

// await hands a call to the sequencer and waits until what it rests on is on disk.
func (e *Engine) await(ctx context.Context, call any, done <-chan struct{}) error {
	select {
	case e.control <- call:
	case <-e.done:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-e.done:
		if isClosed(done) {
			return nil
		}
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// serve handles a view or a record.
func (s *sequencer) serve(call any) bool {
	switch call := call.(type) {
	case *view:
		call.fn(s.state)
		s.open.after = append(s.open.after, call.done)
	case *record:
		if !s.open.empty() && len(s.open.entries)+len(call.events) > s.config.BatchMax && !s.ship() {
			return false
		}
		call.err = s.applyEvents(call.events)
		s.open.after = append(s.open.after, call.done)
	}
	return true
}

func (s *sequencer) applyEvents(events []ledger.Event) error {
	for i, event := range events {
		if event == nil {
			return &EventError{Index: i, Err: &ledger.Error{Code: ledger.CodeEvent, Message: "there is no event"}}
		}
		effects, err := s.state.ApplyEvent(event)
		if err != nil {
			return &EventError{Index: i, Err: err}
		}
		for line, p := range effects.Postings {
			s.open.postings = append(s.open.postings, postgres.Posting{Index: len(s.open.entries), Line: line, Posting: p})
		}
		bytes := ledger.Entry{Event: event}.Bytes()
		s.open.add(bytes, ledger.EntryLeaf(bytes), ledger.OrderRef{}, effects)
		s.open.closed = event.Kind().EndsBatch()
	}
	return nil
}
