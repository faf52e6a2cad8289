package ledger_test

import (
	"testing"

	"github.com/daobank/daobank/ledger"
)

// Chain facts that contradict the books. The world's settlement 1 is in
// flight; its cut took ann's first coin and dan's withdrawal.
func TestEventsRefused(t *testing.T) {
	const now = birthHeight + 1
	for _, tt := range []struct {
		name string
		make func(w *world) ledger.Event
	}{
		{"no event", func(*world) ledger.Event { return nil }},

		{"block gap", func(w *world) ledger.Event {
			_, tip := w.Block()
			return &ledger.Block{Height: now + 2, Hash: hashOf("x"), Previous: tip}
		}},
		{"block repeated", func(w *world) ledger.Event {
			_, tip := w.Block()
			return &ledger.Block{Height: now, Hash: tip, Previous: hashOf("block %d", birthHeight)}
		}},
		{"block on a wrong parent", func(w *world) ledger.Event {
			return &ledger.Block{Height: now + 1, Hash: hashOf("x"), Previous: hashOf("another branch")}
		}},

		{"deposit twice", func(w *world) ledger.Event {
			return &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: hashOf("deposit %d/%d", now, 2), Vout: 1}, Amount: 500_000, Index: 16, Height: now, TxIndex: 2}
		}},
		{"deposit twice, said to be in a later transaction", depositWith(func(d *ledger.Deposit) { d.OutPoint.TxID = hashOf("deposit %d/%d", now, 2) })},
		{"deposit out of order: an earlier transaction", depositWith(func(d *ledger.Deposit) { d.TxIndex = 1 })},
		{"deposit out of order: an earlier output", depositWith(func(d *ledger.Deposit) { d.TxIndex, d.OutPoint.Vout = 3, 0 })},
		{"deposit at the place of the one before", depositWith(func(d *ledger.Deposit) { d.TxIndex = 3 })},
		{"deposit of the height before", depositWith(func(d *ledger.Deposit) { d.Height-- })},
		{"deposit of the height after", depositWith(func(d *ledger.Deposit) { d.Height++ })},
		{"deposit to a key that the vault does not have yet", depositWith(func(d *ledger.Deposit) { d.Generation = 1 })},
		{"deposit on a branch that is not the vault's", depositWith(func(d *ledger.Deposit) { d.Branch = 2 })},
		{"deposit of nothing", depositWith(func(d *ledger.Deposit) { d.Amount = 0 })},
		{"deposit of less than nothing", depositWith(func(d *ledger.Deposit) { d.Amount = -1 })},
		{"deposit above 21 million BTC", depositWith(func(d *ledger.Deposit) { d.Amount = oneTooMany })},
		{"deposits above 21 million BTC together", depositWith(func(d *ledger.Deposit) { d.Amount = 21e14 - 1_510_000 + 1 })},
		{"coinbase before maturity", depositWith(func(d *ledger.Deposit) { d.TxIndex = 0 })},
		{"coinbase of the birth block", func(w *world) ledger.Event {
			for height := uint32(now); height < birthHeight+ledger.CoinbaseDepth-depth; height++ {
				w.block()
			}
			d := w.nextDeposit(16, 1)
			d.TxIndex, d.Height = 0, birthHeight
			return d
		}},

		{"cut while a settlement is in flight", cutWith(func(*ledger.Cut) {}, false)},
		{"cut with the number before", cutWith(func(c *ledger.Cut) { c.Settlement-- }, true)},
		{"cut with the number after", cutWith(func(c *ledger.Cut) { c.Settlement++ }, true)},
		{"cut without inputs", cutWith(func(c *ledger.Cut) { c.Inputs = nil }, true)},
		{"cut with too many inputs", cutWith(func(c *ledger.Cut) { c.Inputs = make([]ledger.OutPoint, ledger.MaxInputs+1) }, true)},
		{"cut with too many payouts", cutWith(func(c *ledger.Cut) { c.Payouts = make([]ledger.CutPayout, ledger.MaxPayouts+1) }, true)},
		{"cut with a fee below zero", cutWith(func(c *ledger.Cut) { c.Fee = -1 }, true)},
		{"cut with a fee above 21 million BTC", cutWith(func(c *ledger.Cut) { c.Fee = oneTooMany }, true)},
		{"cut of an unknown input", cutWith(func(c *ledger.Cut) { c.Inputs[0].Vout++ }, true)},
		{"cut of an input spent before", cutWith(func(c *ledger.Cut) { c.Inputs[0].TxID = hashOf("deposit %d/%d", now, 1) }, true)},
		{"cut of a duplicate input", cutWith(func(c *ledger.Cut) { c.Inputs = append(c.Inputs, c.Inputs[0]) }, true)},
		{"cut of an unknown payout", cutWith(func(c *ledger.Cut) { c.Payouts[0].Sequence = 9 }, true)},
		{"cut of a transfer", cutWith(func(c *ledger.Cut) { c.Payouts[0] = ledger.CutPayout{Payer: 16, Sequence: 1} }, true)},
		{"cut of a payout settled before", cutWith(func(c *ledger.Cut) { c.Payouts[0] = ledger.CutPayout{Payer: 19, Sequence: 1} }, true)},
		{"cut of a payout twice", cutWith(func(c *ledger.Cut) { c.Payouts = append(c.Payouts, c.Payouts[0]) }, true)},
		{"cut with a share above the order's highest fee", cutWith(func(c *ledger.Cut) { c.Payouts[0].FeeShare = 5_001; c.Fee = 6_000 }, true)},
		{"cut with a share below zero", cutWith(func(c *ledger.Cut) { c.Payouts[0].FeeShare = -1 }, true)},
		{"cut with shares above the fee", cutWith(func(c *ledger.Cut) { c.Fee = c.Payouts[0].FeeShare - 1 }, true)},
		{"cut with a fee above what the treasury has", cutWith(func(c *ledger.Cut) { c.Fee = 9_500 + c.Payouts[0].FeeShare + 1 }, true)},
		{"cut with inputs too small by a satoshi", func(w *world) ledger.Event {
			c := cutWith(func(*ledger.Cut) {}, true)(w).(*ledger.Cut)
			w.block()
			c.Inputs = []ledger.OutPoint{w.deposit(ledger.Suspense, 60_000+c.Fee-1)}
			return c
		}},

		{"rekey with the founding's generation", rekeyWith(func(e *ledger.Rekey) { e.Generation = 0 })},
		{"rekey that leaves a generation out", rekeyWith(func(e *ledger.Rekey) { e.Generation = 2 })},
		{"rekey twice", func(w *world) ledger.Event {
			e := rekeyWith(func(*ledger.Rekey) {})(w)
			w.event(e)
			w.seal()
			return e
		}},
		{"rekey without a policy", rekeyWith(func(e *ledger.Rekey) { e.Policy = nil })},
		{"rekey with a policy that is too large", rekeyWith(func(e *ledger.Rekey) { e.Policy = make([]byte, ledger.MaxPolicySize+1) })},

		{"settled with another number", func(*world) ledger.Event { return &ledger.Settled{Settlement: 2, Version: 1, ChangeVout: 0} }},
		{"settled without naming the change", func(*world) ledger.Event {
			return &ledger.Settled{Settlement: 1, Version: 1, ChangeVout: ledger.NoChange}
		}},
		{"settled with change that is a coin already", func(*world) ledger.Event {
			return &ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("deposit %d/%d", now, 2), ChangeVout: 1}
		}},
		{"settled twice", func(w *world) ledger.Event { return w.settle() }},
		{"settled without a cut", func(w *world) ledger.Event {
			w.settle()
			return &ledger.Settled{Settlement: 2, Version: 1, ChangeVout: 0}
		}},
		{"settled naming change that there is not", func(w *world) ledger.Event {
			w.settle()
			coin := w.fund(ledger.Treasury, 1_000)
			w.event(&ledger.Cut{Settlement: 2, Version: 1, Fee: 1_000, Inputs: coin})
			w.seal()
			return &ledger.Settled{Settlement: 2, Version: 1, TxID: hashOf("x"), ChangeVout: 0}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.refuse(ledger.Entry{Event: tt.make(w)}, ledger.CodeEvent)
			w.block() // and the books go on
			w.order(w.ann, pay(w.bob.id, 1_000))
		})
	}
}

// The rows above stand on these limits; one step inside each is accepted.
func TestEventsAtTheLimitAccepted(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(w *world) ledger.Event
	}{
		{"deposit up to 21 million BTC together", depositWith(func(d *ledger.Deposit) { d.Amount = 21e14 - 1_510_000 })},
		{"deposit in the same transaction", depositWith(func(d *ledger.Deposit) { d.TxIndex, d.OutPoint.Vout = 3, 2 })},
		{"cut with a share of all that the order allows", cutWith(func(c *ledger.Cut) { c.Payouts[0].FeeShare = 5_000 }, true)},
		{"cut with all that the treasury has", cutWith(func(c *ledger.Cut) { c.Fee = 9_500 + c.Payouts[0].FeeShare }, true)},
		{"deposit to a key before the newest", func(w *world) ledger.Event {
			w.event(&ledger.Rekey{Generation: 1, Policy: []byte("{}")})
			w.seal()
			return w.nextDeposit(w.ann.id, 1_000)
		}},
		{"rekey with the largest policy", rekeyWith(func(e *ledger.Rekey) { e.Policy = make([]byte, ledger.MaxPolicySize) })},
		{"cut with inputs that just suffice", func(w *world) ledger.Event {
			c := cutWith(func(*ledger.Cut) {}, true)(w).(*ledger.Cut)
			w.block()
			c.Inputs = []ledger.OutPoint{w.deposit(ledger.Suspense, 60_000+c.Fee)}
			return c
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.event(tt.make(w))
		})
	}
}

// The largest cut that the formats hold is accepted and decodes, one input or
// one payout more is refused.
func TestLargestCut(t *testing.T) {
	b := newBank(t)
	ann := b.open("ann")
	b.block()
	cut := &ledger.Cut{Settlement: 1, Version: 1}
	for range ledger.MaxInputs + 1 {
		d := b.nextDeposit(ann.id, 2_000)
		if _, err := b.ApplyEvent(d); err != nil {
			t.Fatal(err)
		}
		b.deposits++
		cut.Inputs = append(cut.Inputs, d.OutPoint)
	}
	for range ledger.MaxPayouts + 1 {
		o := b.next(ann, withdraw(withdrawalMin, 0))
		if _, err := b.ApplyOrder(o); err != nil {
			t.Fatal(err)
		}
		cut.Payouts = append(cut.Payouts, ledger.CutPayout{Payer: ann.id, Sequence: o.Sequence})
	}
	largest := &ledger.Cut{Settlement: 1, Version: 1, Inputs: cut.Inputs[1:], Payouts: cut.Payouts[1:]}
	b.refuse(ledger.Entry{Event: &ledger.Cut{Settlement: 1, Version: 1, Inputs: cut.Inputs, Payouts: largest.Payouts}}, ledger.CodeEvent)
	b.refuse(ledger.Entry{Event: &ledger.Cut{Settlement: 1, Version: 1, Inputs: largest.Inputs, Payouts: cut.Payouts}}, ledger.CodeEvent)

	data := ledger.Entry{Event: largest}.Bytes()
	if len(data) != ledger.MaxEntrySize {
		t.Errorf("the largest cut has %d bytes, MaxEntrySize is %d", len(data), ledger.MaxEntrySize)
	}
	entry, err := ledger.DecodeEntry(data)
	if err != nil {
		t.Fatal(err)
	}
	b.apply(entry)
}

// A cut and a rekey are the last entries of their batches, whatever would follow.
func TestNothingFollowsACutOrARekeyInItsBatch(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		nothingFollows(t, cutWith(func(*ledger.Cut) {}, true))
	})
	t.Run("rekey", func(t *testing.T) {
		nothingFollows(t, rekeyWith(func(*ledger.Rekey) {}))
	})
}

func nothingFollows(t *testing.T, make func(*world) ledger.Event) {
	w := newWorld(t)
	last := make(w)
	block := &ledger.Block{Height: birthHeight + 2, Hash: hashOf("block %d", birthHeight+2)}
	_, block.Previous = w.Block()
	deposit := w.nextDeposit(16, 1)
	transfer := w.next(w.ann, pay(w.bob.id, 1))
	open := w.openOrder("eve")
	w.event(last)
	for _, e := range []ledger.Entry{
		{Event: block}, {Event: deposit}, {Event: &ledger.Settled{Settlement: 2, Version: 1, ChangeVout: 0}},
		{Event: &ledger.Cut{Settlement: 3, Version: 1}}, {Event: &ledger.Rekey{Generation: 2, Policy: []byte("{}")}}, {Order: transfer}, {Order: open},
	} {
		w.refuse(e, ledger.CodeEvent)
	}
	w.seal()
	w.apply(ledger.Entry{Event: block})
	w.apply(ledger.Entry{Order: transfer})
	w.apply(ledger.Entry{Order: open})
}

// settle posts settlement 1 and returns the event.
func (w *world) settle() *ledger.Settled {
	w.Helper()
	e := &ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("settlement 1"), ChangeVout: 0}
	w.event(e)
	return e
}

// depositWith changes a good deposit to ann.
func depositWith(change func(d *ledger.Deposit)) func(w *world) ledger.Event {
	return func(w *world) ledger.Event {
		d := w.nextDeposit(w.ann.id, 1_000)
		change(d)
		return d
	}
}

// rekeyWith changes a good rekey.
func rekeyWith(change func(e *ledger.Rekey)) func(w *world) ledger.Event {
	return func(*world) ledger.Event {
		e := &ledger.Rekey{Generation: 1, Policy: []byte("{}"), Signature: ledger.Signature{1}}
		change(e)
		return e
	}
}

// cutWith changes a good cut for settlement 2, after settlement 1 was posted
// or while it is in flight.
func cutWith(change func(c *ledger.Cut), settled bool) func(w *world) ledger.Event {
	return func(w *world) ledger.Event {
		if settled {
			w.settle()
		}
		c := &ledger.Cut{Settlement: 2, Version: 1, FeeRate: 1_000, Fee: 5_000,
			Inputs:  []ledger.OutPoint{{TxID: hashOf("deposit %d/%d", birthHeight+1, 2), Vout: 1}},
			Payouts: []ledger.CutPayout{{Payer: w.bob.id, Sequence: 1, FeeShare: 2_000}}}
		change(c)
		return c
	}
}
