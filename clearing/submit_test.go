package clearing_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

func TestPaymentIsAcceptedWithReceipt(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	a := b.accept(m[0].pay(m[1].id, 400))
	if a.Repeated || a.Account != 0 {
		t.Errorf("%+v", a)
	}
	if got := [2]ledger.Amount{b.balance(m[0].id), b.balance(m[1].id)}; got != [2]ledger.Amount{600, 1400} {
		t.Errorf("balances %v", got)
	}
}

func TestRefusalsChangeNothing(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	alice, bob := m[0], m[1]
	stranger := newMember(99)
	stranger.id = 999
	try := func(change func(*ledger.Order)) *ledger.Order {
		next := *alice
		o := next.pay(bob.id, 1)
		change(o)
		if err := o.Sign(alice.priv); err != nil {
			t.Fatal(err)
		}
		return o
	}
	transfer := func(o *ledger.Order) *ledger.Transfer { return o.Body.(*ledger.Transfer) }
	cases := []struct {
		name  string
		order *ledger.Order
		want  ledger.Code
	}{
		{"no order", nil, ledger.CodeMalformed},
		{"an order without a body", &ledger.Order{Bank: charter.ID()}, ledger.CodeMalformed},
		{"another bank", try(func(o *ledger.Order) { o.Bank[0] ^= 1 }), ledger.CodeWrongBank},
		{"an unknown payer", stranger.pay(bob.id, 1), ledger.CodeAccount},
		{"the vault as payer", try(func(o *ledger.Order) { o.Payer = ledger.Vault }), ledger.CodeSystemAccount},
		{"another member's key", func() *ledger.Order {
			return (&member{priv: alice.priv, id: bob.id, last: bob.last}).pay(alice.id, 1)
		}(), ledger.CodeSignature},
		{"a forged signature", func() *ledger.Order { o := try(func(*ledger.Order) {}); o.Signature[7] ^= 1; return o }(), ledger.CodeSignature},
		{"a forged open", func() *ledger.Order { o := newMember(50).open(); o.Signature[7] ^= 1; return o }(), ledger.CodeSignature},
		{"a skipped sequence", try(func(o *ledger.Order) { o.Sequence = 2 }), ledger.CodeSequenceGap},
		{"a wrong previous order", try(func(o *ledger.Order) { o.Previous[0] ^= 1 }), ledger.CodePrevious},
		{"an expired order", try(func(o *ledger.Order) { o.Expiry = 100 }), ledger.CodeExpired},
		{"nothing paid", try(func(o *ledger.Order) { transfer(o).Payments[0].Amount = 0 }), ledger.CodeAmount},
		{"more than there is", try(func(o *ledger.Order) { transfer(o).Payments[0].Amount = 1001 }), ledger.CodeFunds},
		{"an unknown payee", try(func(o *ledger.Order) { transfer(o).Payments[0].Payee = 999 }), ledger.CodeAccount},
		{"a key that has an account", func() *ledger.Order {
			o := newMember(1).open()
			o.Expiry = 500
			_ = o.Sign(alice.priv)
			return o
		}(), ledger.CodeExists},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, err := b.Submit(t.Context(), c.order)
			if ledger.CodeOf(err) != c.want || a.Receipt.Header.Number != 0 {
				t.Errorf("%+v, %q: %v, want %q", a, ledger.CodeOf(err), err, c.want)
			}
		})
	}
	last, err := b.store.LastBatch(t.Context())
	if err != nil || last != 2 || b.balance(alice.id) != 1000 {
		t.Errorf("after the refusals: batch %d (%v), balance %d", last, err, b.balance(alice.id))
	}
	b.accept(alice.pay(bob.id, 1000))
}

// The first answer is given again, whatever came after and in whichever run.
func TestOrderSentAgainGetsItsFirstAnswer(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	carol := newMember(40)
	open := carol.open()
	opened := b.accept(open)
	carol.id = opened.Account
	paid := m[0].pay(carol.id, 300)
	first := b.accept(paid)
	b.accept(m[0].pay(m[1].id, 700))
	b.accept(carol.pay(m[1].id, 300))
	b.accept(carol.sign(&ledger.Close{}))

	again := func(when string) {
		t.Helper()
		for _, c := range []struct {
			order *ledger.Order
			first clearing.Acceptance
		}{{open, opened}, {paid, first}} {
			a := b.accept(c.order)
			if !a.Repeated || a.Account != c.first.Account || !sameReceipt(a.Receipt, c.first.Receipt) {
				t.Errorf("%s: %s: %+v, want %+v", when, c.order.Kind(), a, c.first)
			}
		}
		// The same instruction under another valid signature is the same order;
		// under a forged one it is nothing.
		forged := *paid
		forged.Signature[3] ^= 1
		if _, err := b.Submit(t.Context(), &forged); ledger.CodeOf(err) != ledger.CodeSignature {
			t.Errorf("%s: forged: %v", when, err)
		}
		other := &member{priv: m[0].priv, id: m[0].id, last: ledger.Hash{}}
		if _, err := b.Submit(t.Context(), other.pay(m[1].id, 1)); ledger.CodeOf(err) != ledger.CodeSequenceUsed {
			t.Errorf("%s: another order at the sequence: %v", when, err)
		}
	}
	again("in the same run")
	b.restart()
	again("after a restart")
}

func TestOrderTwiceInFlight(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	release := b.hold()
	o := m[0].pay(m[1].id, 10)
	outcomes := make([]clearing.Outcome, 3)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() { outcomes[i] = b.SubmitMany(t.Context(), []*ledger.Order{o})[0] })
	}
	b.eventually("both wait", func() bool { return b.Stats().Queued == 2 })
	release()
	wg.Wait()
	outcomes[2] = b.SubmitMany(t.Context(), []*ledger.Order{o, o})[1]
	repeated := 0
	for i, out := range outcomes {
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		if !sameReceipt(out.Acceptance.Receipt, outcomes[0].Acceptance.Receipt) {
			t.Errorf("answer %d has another receipt", i)
		}
		if out.Acceptance.Repeated {
			repeated++
		}
	}
	if repeated != 2 || b.balance(m[0].id) != 990 {
		t.Errorf("%d of 3 are repeated, balance %d", repeated, b.balance(m[0].id))
	}
}

func TestManyAnswersInTheirOrder(t *testing.T) {
	b := openBank(t, func(c *clearing.Config) { c.BatchMax = 7 })
	m := b.members(3, 1000)
	var orders []*ledger.Order
	for i := range 100 {
		if i%10 == 9 {
			forged := *m[1]
			o := forged.pay(m[2].id, 1)
			o.Signature[0] ^= 1
			orders = append(orders, o)
			continue
		}
		orders = append(orders, m[0].pay(m[1].id, 1))
	}
	outcomes := b.SubmitMany(t.Context(), append(orders, nil, m[0].pay(m[1].id, 911)))
	for i, o := range orders {
		switch {
		case i%10 == 9:
			if ledger.CodeOf(outcomes[i].Err) != ledger.CodeSignature {
				t.Errorf("order %d: %v, want it refused", i, outcomes[i].Err)
			}
		case outcomes[i].Err != nil:
			t.Errorf("order %d: %v", i, outcomes[i].Err)
		default:
			b.verify(outcomes[i].Acceptance.Receipt, o)
		}
	}
	if ledger.CodeOf(outcomes[100].Err) != ledger.CodeMalformed || ledger.CodeOf(outcomes[101].Err) != ledger.CodeFunds {
		t.Errorf("the last two: %v, %v", outcomes[100].Err, outcomes[101].Err)
	}
	if s := b.Stats(); s.Accepted != 93 || s.Refused[ledger.CodeSignature] != 10 || s.Queued != 0 {
		t.Errorf("stats %+v", s)
	}
	if out := b.SubmitMany(t.Context(), nil); len(out) != 0 {
		t.Errorf("no orders: %v", out)
	}
}

// The verifiers cannot know the key of an account that is opened by an order
// before it in the same call.
func TestOrdersOfAnAccountOpenedJustBefore(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	carol := newMember(30)
	orders := []*ledger.Order{carol.open()}
	carol.id = ledger.FirstMember + 2
	forged := carol.pay(m[1].id, 5)
	carol.sequence, carol.last = 0, orders[0].Digest()
	forged.Signature[5] ^= 1
	orders = append(orders, m[0].pay(carol.id, 5), forged, carol.pay(m[1].id, 4))
	outcomes := b.SubmitMany(t.Context(), orders)
	for i, want := range []ledger.Code{"", "", ledger.CodeSignature, ""} {
		if got := ledger.CodeOf(outcomes[i].Err); got != want {
			t.Errorf("order %d: %v, want %q", i, outcomes[i].Err, want)
		}
	}
	if got := b.balance(carol.id); got != 1 {
		t.Errorf("the balance is %d, want 1", got)
	}
}

func TestFullQueueIsBusyAtOnce(t *testing.T) {
	b := openBank(t, func(c *clearing.Config) { c.QueueMax = 4 })
	m := b.members(2, 1000)
	release := b.hold()
	waiting := make(chan []clearing.Outcome, 1)
	var orders []*ledger.Order
	for range 6 {
		orders = append(orders, m[0].pay(m[1].id, 1))
	}
	go func() { waiting <- b.SubmitMany(t.Context(), orders) }()
	b.eventually("the queue is full", func() bool { return b.Stats().Queued == 4 })
	late := m[1].pay(m[0].id, 1)
	if _, err := b.Submit(t.Context(), late); !errors.Is(err, clearing.ErrBusy) {
		t.Errorf("a full queue: %v, want ErrBusy", err)
	}
	release()
	for i, out := range <-waiting {
		if want := i >= 4; errors.Is(out.Err, clearing.ErrBusy) != want {
			t.Errorf("order %d: %v, busy should be %v", i, out.Err, want)
		}
	}
	b.accept(orders[4])
	b.accept(orders[5])
	b.accept(late)
}

func TestCallerWhoLeavesLearnsLater(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	release := b.hold()
	ctx, leave := context.WithCancel(t.Context())
	o := m[0].pay(m[1].id, 5)
	left := make(chan error, 1)
	go func() {
		_, err := b.Submit(ctx, o)
		left <- err
	}()
	b.eventually("the order waits", func() bool { return b.Stats().Queued == 1 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	release()
	if a := b.accept(o); !a.Repeated {
		t.Error("the order was not carried out the first time")
	}
}

func TestCloseAnswersWhoWaits(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	release := b.hold()
	outcome := make(chan error, 1)
	go func() {
		_, err := b.Submit(t.Context(), m[0].pay(m[1].id, 5))
		outcome <- err
	}()
	b.eventually("the order waits", func() bool { return b.Stats().Queued == 1 })
	closed := make(chan error, 1)
	go func() { closed <- b.Close(t.Context()) }()
	b.eventually("new orders are refused", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := b.Submit(ctx, newMember(77).open())
		return errors.Is(err, clearing.ErrStopped)
	})
	release()
	if err := <-outcome; err != nil {
		t.Errorf("the order that waited: %v", err)
	}
	if err := <-closed; err != nil || b.Err() != nil {
		t.Errorf("Close: %v, Err: %v", err, b.Err())
	}
	if err := b.View(t.Context(), func(*ledger.State) {}); !errors.Is(err, clearing.ErrStopped) {
		t.Errorf("View after Close: %v", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
