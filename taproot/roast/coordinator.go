package roast

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daobank/daobank/taproot/frost"
)

// Coordinator collects signatures of a group. It holds no secret and needs no
// trust: it can prevent a signature, not forge one. It keeps nothing from one
// call to the next and is safe for concurrent use.
type Coordinator struct {
	group   *frost.Group
	options Options
}

// Options say how patient a coordinator is. The zero value is ROAST as published:
// sessions start as soon as t signers are ready, and only the context ends the
// waiting for who is silent.
type Options struct {
	// Timeout is what a signer may take for one answer. One that takes longer has
	// failed, as if its connection had broken. Zero is no limit.
	Timeout time.Duration
	// Stall is how long a session that may still end well may go without any
	// answer before another is begun beside it. It spares honest signers work that
	// would be thrown away; a silent one costs this time, a session that is known
	// to be lost costs none. Zero begins at once.
	Stall time.Duration
	// Retries is how often a signer that failed, but neither lied nor refused, is
	// asked to begin again, and Pause how long to wait before. It happens only
	// when fewer than t signers are left that never failed.
	Retries int
	Pause   time.Duration
}

// DefaultOptions fit signers in other processes or on other hosts that may have
// something to look up before they sign.
func DefaultOptions() Options {
	return Options{Timeout: 30 * time.Second, Stall: 250 * time.Millisecond, Retries: 2, Pause: 500 * time.Millisecond}
}

// Result is what a coordinator achieved.
type Result struct {
	Signatures []frost.Signature // by message, each verified
	Signers    []frost.ID        // who made them, ascending
	Sessions   int               // how many were begun
	// Blamed are those that were found out to have lied, ascending. Leave them out
	// of the next call: the coordinator does not remember them.
	Blamed []*Blame
	// Failed says of each signer that lied, refused or failed before the end why.
	// One that had merely not answered yet is not in it.
	Failed map[frost.ID]error
}

// NewCoordinator makes the coordinator of a group whose public shares are known.
func NewCoordinator(group *frost.Group, options Options) *Coordinator {
	return &Coordinator{group: group, options: options}
}

// Sign gets a BIP-340 signature for each message from t of the signers. If t of
// them answer, each in its time and rightly, it succeeds whatever the others do,
// and begins at most len(signers)−t+1 sessions. When it returns, no call to a
// signer is under way.
//
// The error is a *NoQuorumError when too few signers are left or the context ends
// first, else it wraps ErrMessages, ErrSigners, frost.ErrNoPublicShare or an error
// of frost.Group.Tweak: the arguments are wrong and no signer was asked.
func (c *Coordinator) Sign(ctx context.Context, messages []Message, signers []Signer) (*Result, error) {
	r, err := newRun(c.group, c.options, messages, signers)
	if err != nil {
		return nil, err
	}
	// A signer has one call under way at most, so no answer has to wait for room.
	answers := make(chan reply, len(signers))
	var calls sync.WaitGroup
	defer calls.Wait()
	calling, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		orders, wait, err := r.next(time.Now())
		if err != nil {
			return nil, err
		}
		for _, o := range orders {
			calls.Go(func() { answers <- r.call(calling, o) })
		}
		switch {
		case r.signed != nil:
			return r.result(), nil
		case r.over():
			return nil, r.noQuorum(nil)
		}
		if err := r.prepare(); err != nil {
			return nil, err
		}
		if err := r.await(ctx, answers, wait); err != nil {
			return nil, err
		}
	}
}

// await takes the answers that are there, or waits for one. Those that have come
// at once are all taken before anything is begun: one may complete a session.
func (r *run) await(ctx context.Context, answers <-chan reply, wait time.Duration) error {
	var stalled <-chan time.Time
	if wait > 0 {
		stalled = time.After(wait)
	}
	select {
	case <-ctx.Done():
		return r.noQuorum(ctx.Err())
	case <-stalled:
		return nil
	case a := <-answers:
		if err := r.take(ctx, a); err != nil {
			return err
		}
	}
	for r.signed == nil {
		select {
		case a := <-answers:
			if err := r.take(ctx, a); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// A reply is what came of an order.
type reply struct {
	order
	nonces []frost.PublicNonce
	answer Answer
	err    error
}

func (r *run) take(ctx context.Context, a reply) error {
	switch {
	case a.err != nil && ctx.Err() != nil:
		return r.noQuorum(ctx.Err()) // the call was given up, not the signer's failure
	case a.err != nil:
		r.failed(a.member, a.session, a.err)
	case a.session == nil:
		r.committed(a.member, a.nonces)
	default:
		return r.answered(a.member, a.session, a.answer, time.Now())
	}
	return nil
}

// call carries an order out. It runs beside the machine and reads of it only what
// does not change any more.
func (r *run) call(ctx context.Context, o order) (a reply) {
	a.order = o
	if o.pause > 0 {
		select {
		case <-ctx.Done():
			a.err = ctx.Err()
			return a
		case <-time.After(o.pause):
		}
	}
	limited := ctx
	if r.options.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, r.options.Timeout)
		defer cancel()
	}
	if s := o.session; s == nil {
		a.nonces, a.err = o.member.signer.Commit(limited, CommitRequest{Request: r.request, Messages: len(r.messages)})
	} else {
		a.answer, a.err = o.member.signer.Sign(limited, r.signRequest(o.member, s))
	}
	if a.err != nil && limited.Err() != nil && ctx.Err() == nil {
		a.err = fmt.Errorf("%w within %v: %w", ErrSilent, r.options.Timeout, a.err)
	}
	return a
}

// signRequest is what a member is asked in a session. It shares no memory with it.
func (r *run) signRequest(m *member, s *session) SignRequest {
	return SignRequest{Request: r.request, Session: s.number, Commitment: NewCommitmentID(s.given[m.id]),
		Signers: slices.Clone(s.signers), Nonces: slices.Clone(s.aggregates)}
}
