package clearing

import (
	"fmt"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// A sequencer is the one goroutine that owns the books. It fills the open batch
// with whatever is ready, and hands it on as soon as the committer is free.
type sequencer struct {
	*Engine
	open     *batch
	verified <-chan *submission // nil when it is closed and drained
}

func (e *Engine) sequence() {
	defer close(e.sealed)
	s := &sequencer{Engine: e, open: e.newBatch(), verified: e.verified}
	for s.step() {
	}
}

// step does one thing that is ready, or waits for one. It returns false when
// the engine ends.
func (s *sequencer) step() bool {
	if s.open.full(s.config.BatchMax) && !s.ship() {
		return false
	}
	select {
	case call := <-s.control: // waits for no orders
		return s.serve(call)
	default:
	}
	select {
	case sub, ok := <-s.verified:
		return s.take(sub, ok)
	default:
		return s.wait()
	}
}

// wait is reached when nothing is ready: then the open batch goes to the
// committer as soon as that is free.
func (s *sequencer) wait() bool {
	slot := s.slot
	if s.open.empty() {
		if s.verified == nil {
			return false
		}
		slot = nil
	}
	select {
	case <-s.stop.Done():
		return false
	case call := <-s.control:
		return s.serve(call)
	case sub, ok := <-s.verified:
		return s.take(sub, ok)
	case <-slot:
		return s.send()
	}
}

// take carries out a submission, or notes that there will be no more.
func (s *sequencer) take(sub *submission, ok bool) bool {
	if !ok {
		s.verified = nil
		return true
	}
	return s.apply(sub)
}

// ship waits until the committer is free and hands the open batch over.
func (s *sequencer) ship() bool {
	select {
	case <-s.slot:
		return s.send()
	case <-s.stop.Done():
		return false
	}
}

// send seals the open batch and hands it to the committer, whose token the
// caller took. The next batch builds on it before it is on disk; should it never
// get there, the engine stops and the next one does not get there either.
func (s *sequencer) send() bool {
	b := s.open
	if len(b.entries) > 0 {
		b.tree = ledger.NewMerkleTree(b.leaves)
		b.header = s.state.Next(b.tree.Root(), uint32(len(b.entries)), s.epoch, uint64(s.config.Now().UnixMilli()))
		if err := s.state.Seal(&b.header); err != nil {
			s.fail(fmt.Errorf("seal batch %d: %w", b.header.Number, err))
			return false
		}
		b.close(s.state)
		s.copyBooks(b)
	}
	s.open = s.newBatch()
	s.sealed <- b
	return true
}

// apply carries out the orders of one submission.
func (s *sequencer) apply(sub *submission) bool {
	for i := range sub.items {
		it := &sub.items[i]
		if it.answer.given { // busy: it never entered the queue
			break
		}
		if s.open.full(s.config.BatchMax) && !s.ship() {
			return false
		}
		s.queued.Add(-1)
		s.applyOrder(sub, it)
	}
	return true
}

// applyOrder accepts or refuses one order. A refusal too is answered after the
// commit, because it rests on the orders before it.
func (s *sequencer) applyOrder(sub *submission, it *item) {
	pending := pendingOrder{sub: sub, it: it, index: -1}
	effects, err := ledger.Effects{}, s.judge(it)
	if err == nil {
		effects, err = s.state.ApplyDigested(it.order, it.digest)
	}
	if err != nil {
		it.answer.err = err
		if it.verdict == genuine {
			it.answer.repeats = s.repeats(it.order)
		}
	} else {
		ref := ledger.OrderRef{Payer: it.order.Payer, Sequence: it.order.Sequence}
		if effects.Opened != 0 {
			ref.Payer = effects.Opened
			it.answer.acceptance.Account = effects.Opened
			s.open.opened = append(s.open.opened, postgres.Opened{ID: effects.Opened, Key: it.key})
		}
		pending.index = len(s.open.entries)
		s.open.add(it.bytes, it.leaf, ref, effects)
	}
	s.open.orders = append(s.open.orders, pending)
}

// judge refuses an order that its account's key did not sign. An account that
// was opened after the verifier had looked is looked up again.
func (s *sequencer) judge(it *item) error {
	if it.verdict == unjudged {
		return ErrBusy
	}
	if it.verdict == keyUnknown {
		account, ok := s.state.Account(it.order.Payer)
		if !ok || !it.order.Payer.IsMember() {
			if err := s.state.CanApplyOrder(it.order); err != nil {
				return err // it says better what is wrong with the account
			}
			return badSignature(it.order)
		}
		it.key, it.verdict = account.Key, forged
		if it.key.Verify(it.digest, it.order.Signature) {
			it.verdict = genuine
		}
	}
	if it.verdict == forged {
		return badSignature(it.order)
	}
	return nil
}

// badSignature is the ledger's refusal of a bad signature, without the time to
// check one again: no point of secp256k1 has the x coordinate 0, so nothing
// verifies under the zero key.
func badSignature(o *ledger.Order) error { return o.Verify(ledger.Key{}) }

// repeats returns the place at which the very same order may stand already; the
// zero value when it cannot.
func (s *sequencer) repeats(o *ledger.Order) ledger.OrderRef {
	if open, ok := o.Body.(*ledger.Open); ok {
		if id, ok := s.state.Lookup(open.Key); ok {
			return ledger.OrderRef{Payer: id}
		}
		return ledger.OrderRef{}
	}
	if a, ok := s.state.Account(o.Payer); ok && o.Sequence > 0 && o.Sequence <= a.Sequence {
		return ledger.OrderRef{Payer: o.Payer, Sequence: o.Sequence}
	}
	return ledger.OrderRef{}
}
