package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

// traffic is what members send.
type traffic struct {
	Hot     float64 // share of the transfers that stay between the hot accounts
	Payees  int     // of each order
	Forgers int     // callers that hand in forged orders beside the others, in calls as large
}

// hotAccounts is how many accounts the hot share of the traffic is on.
const hotAccounts = 10

// A lane is what one client hands in, in order, and what it was answered. Each
// account pays in one lane only, since its orders form a chain.
type lane struct {
	orders  []*ledger.Order
	answers []laneAnswer // to the first of the orders
}

type laneAnswer struct {
	latency  time.Duration
	batch    uint64
	index    uint32
	accepted bool
}

// sign makes n orders in lanes, on all cores.
func (b *clearingBank) sign(ctx context.Context, t traffic, lanes, n int) ([]lane, error) {
	tips, err := b.tips(ctx)
	if err != nil {
		return nil, err
	}
	b.runs++
	made := make([]lane, min(lanes, b.accounts))
	return made, onAllCores(len(made), func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		made[i], err = b.signLane(t, tips, i, len(made), (n+len(made)-1)/len(made))
		return err
	})
}

// signLane makes the n orders of one lane. Its payers are every step-th account,
// each in turn, in an order drawn by lot.
func (b *clearingBank) signLane(t traffic, tips []tip, first, step, n int) (lane, error) {
	random := rand.New(rand.NewPCG(b.runs, uint64(first)))
	var payers, hot []*tip
	for i := first; i < len(tips); i += step {
		payers = append(payers, &tips[i])
		if i < hotAccounts {
			hot = append(hot, &tips[i])
		}
	}
	random.Shuffle(len(payers), func(i, j int) { payers[i], payers[j] = payers[j], payers[i] })

	l := lane{orders: make([]*ledger.Order, n), answers: make([]laneAnswer, 0, n)}
	// Few large pieces of memory: the load must not slow the collector down.
	orders, transfers := make([]ledger.Order, n), make([]ledger.Transfer, n)
	payments := make([]ledger.Payment, n*t.Payees)
	for i := range orders {
		payer, payees := payers[i%len(payers)], b.accounts
		if len(hot) > 0 && random.Float64() < t.Hot {
			payer, payees = hot[i%len(hot)], min(hotAccounts, b.accounts)
		}
		transfers[i].Payments = payments[i*t.Payees : (i+1)*t.Payees]
		for j := range transfers[i].Payments {
			payee := random.IntN(payees - 1)
			if payee >= payer.account {
				payee++ // nobody pays himself
			}
			transfers[i].Payments[j] = ledger.Payment{Payee: benchMember(payee), Amount: ledger.Amount(1 + random.IntN(100))}
		}
		orders[i] = ledger.Order{Bank: b.charter.ID(), Body: &transfers[i]}
		if err := payer.sign(&orders[i]); err != nil {
			return l, err
		}
		l.orders[i] = &orders[i]
	}
	return l, nil
}

// A teller hands in orders and appends what each was answered. An error of the
// teller ends the run; a refusal is an answer.
type teller func(ctx context.Context, orders []*ledger.Order, answers []laneAnswer) ([]laneAnswer, error)

// engineTeller is in this process, beside the engine.
func (b *clearingBank) engineTeller(ctx context.Context, orders []*ledger.Order, answers []laneAnswer) ([]laneAnswer, error) {
	began := time.Now()
	outcomes := b.engine.SubmitMany(ctx, orders)
	latency := time.Since(began)
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil {
			return answers, fmt.Errorf("order %d/%d: %w", orders[i].Payer, orders[i].Sequence, o.Err)
		}
		answers = append(answers, laneAnswer{latency, o.Acceptance.Receipt.Header.Number, o.Acceptance.Receipt.Index, true})
	}
	return answers, nil
}

// drive lets every lane hand in as many orders at a time as fit one call, as fast
// as they are answered, until the time is over or a lane has no more. It returns
// the time to the last answer.
func drive(ctx context.Context, lanes []lane, atATime int, limit time.Duration, tellers []teller) (time.Duration, error) {
	var over atomic.Bool
	timer := time.AfterFunc(limit, func() { over.Store(true) })
	defer timer.Stop()
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range lanes {
		l := &lanes[i]
		group.Go(func() (err error) {
			for orders := range slices.Chunk(l.orders, atATime) {
				if over.Load() {
					return nil
				}
				if l.answers, err = tellers[i](ctx, orders, l.answers); err != nil {
					return err
				}
			}
			over.Store(true) // the others would go on at less than full load
			return nil
		})
	}
	err := group.Wait()
	return time.Since(began), err
}

// offer hands in the orders of one lane one by one at a steady rate, whether or
// not those before were answered. Latency is counted from when an order was due:
// a bank that falls behind is not excused by its own delay.
func (b *clearingBank) offer(ctx context.Context, l *lane, rate float64) time.Duration {
	var waiting sync.WaitGroup
	l.answers = l.answers[:len(l.orders)]
	began := time.Now()
	for i, o := range l.orders {
		due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		waiting.Go(func() {
			a, err := b.engine.Submit(ctx, o)
			l.answers[i] = laneAnswer{time.Since(due), a.Receipt.Header.Number, a.Receipt.Index, err == nil}
		})
	}
	waiting.Wait()
	return time.Since(began)
}

// latencies are those of the accepted orders, sorted.
func latencies(lanes []lane) []time.Duration {
	var all []time.Duration
	for i := range lanes {
		for _, a := range lanes[i].answers {
			if a.accepted {
				all = append(all, a.latency)
			}
		}
	}
	slices.Sort(all)
	return all
}

// quantile of sorted durations, in milliseconds; 0 of none.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return microseconds(sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]) / 1000
}

// forge hands in orders with bad signatures, from as many callers as asked for, until
// the returned function is called. That says how many were refused, and whether
// anything else became of one.
func (b *clearingBank) forge(ctx context.Context, callers, atATime int, victims []lane) (stop func() (refused int, err error)) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	var total atomic.Int64
	for i := range callers {
		orders := forged(victims[i%len(victims)].orders, atATime)
		group.Go(func() error {
			for ctx.Err() == nil {
				for _, out := range b.engine.SubmitMany(ctx, orders) {
					switch code := ledger.CodeOf(out.Err); {
					case code == ledger.CodeSignature:
						total.Add(1)
					case code != clearing.CodeBusy && ctx.Err() == nil:
						return fmt.Errorf("a forged order got %q: %v", code, out.Err)
					}
				}
			}
			return nil
		})
	}
	return func() (int, error) {
		cancel()
		err := group.Wait()
		return int(total.Load()), err
	}
}

// forged copies orders and makes their signatures bad, in s: the point R is sound and
// costs its work.
func forged(orders []*ledger.Order, n int) []*ledger.Order {
	list := make([]*ledger.Order, min(n, len(orders)))
	for i := range list {
		o := *orders[i]
		o.Signature[32+i%32] ^= 1
		list[i] = &o
	}
	return list
}
