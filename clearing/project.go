package clearing

import (
	"context"
	"errors"
	"time"

	"github.com/daobank/daobank/ledger/postgres"
)

// Pauses of the followers.
const (
	projectRetry = time.Second // after a failed step of the projection
	leaseCheck   = time.Second // between two looks at the lease
	bookEvery    = time.Second // between two looks at what is to be booked
	bookLatest   = time.Minute // after which it is booked, however little it is
)

// While payments are made, the history gets one part in ten of the time, so that
// they do not pay for it. It catches up when the load falls.
const (
	projectShare = 10
	projectPause = 2 * time.Second // at most between two steps
)

// project follows the journal and derives the members' history. No payment
// waits for it: a step that fails is taken again.
func (e *Engine) project(ctx context.Context) {
	for {
		began, batches := time.Now(), e.stats.batches.Load()
		position, newest, err := e.config.Store.Project(ctx)
		busy := e.queued.Load() > 0 || e.stats.batches.Load() != batches
		if busy && !pause(ctx, min((projectShare-1)*time.Since(began), projectPause)) {
			return
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			e.log.Warn("the members' history lags", "error", err)
			if !pause(ctx, projectRetry) {
				return
			}
		case position >= newest:
			select {
			case <-e.nudge:
			case <-ctx.Done():
				return
			}
		}
	}
}

// book has the batches' changes of balances added to the accounts' rows: while
// payments are made once it is worth it, a million changes at a time, or after a
// minute, and else every second. A database that adds up other balances than the books had stops the engine.
func (e *Engine) book(ctx context.Context) {
	last := time.Now()
	for batches := uint64(0); pause(ctx, bookEvery); batches = e.stats.batches.Load() {
		least := int64(postgres.BookChanges)
		if e.stats.batches.Load() == batches || time.Since(last) >= bookLatest {
			least, last = 1, time.Now()
		}
		if err := e.bookPending(ctx, least); errors.As(err, new(*postgres.BookingError)) {
			e.fail(err)
			return
		} else if err != nil && ctx.Err() == nil {
			e.log.Warn("balances are not booked", "error", err)
		}
	}
}

// bookPending books as long as so many changes wait, or more.
func (e *Engine) bookPending(ctx context.Context, least int64) error {
	for {
		pending, err := e.config.Store.Unbooked(ctx)
		if err != nil || pending < least {
			return err
		}
		if _, err := e.config.Store.Book(ctx, postgres.BookChanges); err != nil {
			return err
		}
	}
}

// watchLease stops an engine that was replaced while it had nothing to commit,
// so that it does not show old books for long.
func (e *Engine) watchLease(ctx context.Context) {
	for pause(ctx, leaseCheck) {
		epoch, holder, err := e.config.Store.Lease(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
				e.log.Warn("cannot see the lease", "error", err)
			}
			continue
		}
		if epoch != e.epoch {
			e.log.Error("another engine has taken over", "epoch", epoch, "holder", holder)
			e.fail(postgres.ErrFenced)
			return
		}
	}
}

// pause waits for d and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
