package clearing_test

import (
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/ledger/postgres/lossy"
)

var (
	linearSeed   = flag.Uint64("linear.seed", 0, "seed of the histories; 0 takes a new one")
	linearRounds = flag.Int("linear.rounds", 6, "how many engines a history outlives")
)

// TestLinearizable records what clients see who pay each other and read
// balances at once, while engines die and orders are sent again, and asks
// whether one order of all payments and reads explains it (Herlihy and Wing,
// "Linearizability", 1990, section 2).
func TestLinearizable(t *testing.T) {
	seed := *linearSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./clearing -run TestLinearizable -args -linear.seed=%d -linear.rounds=%d", seed, *linearRounds)
	proxy, err := lossy.Start(cluster.Test(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	r := &recording{bank: openBankAt(t, proxy.URL()), proxy: proxy, started: time.Now()}
	r.payers = r.members(len(books{}), linearDeposit)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range *linearRounds {
		r.round(random.Uint64(), round)
	}
	r.read(0) // what all clients agree on at the end
	if verdict := judgeHistory(r.history); verdict != porcupine.Ok {
		t.Errorf("%s: no order explains these %d operations", verdict, len(r.history))
	}
	t.Logf("%d operations, %d of them payments that were refused, %d with an unknown outcome",
		len(r.history), r.count(refused), r.count(unknown))

	// The same history with one satoshi too many in one read is not explained.
	for i := range r.history {
		if seen, ok := r.history[i].Output.(books); ok {
			seen[0]++
			r.history[i].Output = seen
			break
		}
	}
	if verdict := judgeHistory(r.history); verdict != porcupine.Illegal {
		t.Errorf("a read that nobody can have made: %s, want %s", verdict, porcupine.Illegal)
	}
}

// The model must find each way in which a bank can go wrong; else it proves
// nothing that it finds none.
func TestModelOfHistories(t *testing.T) {
	at := func(call, end int64, input, output any) porcupine.Operation {
		return porcupine.Operation{Call: call, Return: end, Input: input, Output: output}
	}
	const d = linearDeposit
	start, paid := books{d, d, d, d}, books{d - 5, d + 5, d, d}
	five := payment{0, 1, 5}
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		want    porcupine.CheckResult
	}{
		{"paid, then read", []porcupine.Operation{at(0, 1, five, accepted), at(2, 3, nil, paid)}, porcupine.Ok},
		{"read while it is paid: before", []porcupine.Operation{at(0, 9, five, accepted), at(2, 3, nil, start)}, porcupine.Ok},
		{"read while it is paid: after", []porcupine.Operation{at(0, 9, five, accepted), at(2, 3, nil, paid)}, porcupine.Ok},
		{"a stale read", []porcupine.Operation{at(0, 1, five, accepted), at(2, 3, nil, start)}, porcupine.Illegal},
		{"a read that goes back", []porcupine.Operation{at(0, 9, five, accepted), at(2, 3, nil, paid), at(4, 5, nil, start)}, porcupine.Illegal},
		{"half a payment", []porcupine.Operation{at(0, 9, five, accepted), at(2, 3, nil, books{d - 5, d, d, d})}, porcupine.Illegal},
		{"paid twice", []porcupine.Operation{at(0, 1, five, accepted), at(2, 3, nil, books{d - 10, d + 10, d, d})}, porcupine.Illegal},
		{"refused, and paid", []porcupine.Operation{at(0, 1, payment{0, 1, d + 1}, refused), at(2, 3, nil, books{-1, 2*d + 1, d, d})}, porcupine.Illegal},
		{"refused although it was covered", []porcupine.Operation{at(0, 1, five, refused)}, porcupine.Illegal},
		{"accepted although it was not", []porcupine.Operation{at(0, 1, payment{0, 1, d + 1}, accepted)}, porcupine.Illegal},
		{"unknown, and paid", []porcupine.Operation{at(0, math.MaxInt64, five, unknown), at(2, 3, nil, paid)}, porcupine.Ok},
		{"unknown, and not paid", []porcupine.Operation{at(0, math.MaxInt64, five, unknown), at(2, 3, nil, start)}, porcupine.Ok},
		{"unknown, and paid later", []porcupine.Operation{at(0, math.MaxInt64, five, unknown), at(2, 3, nil, start), at(4, 5, nil, paid)}, porcupine.Ok},
		{"unknown, paid and taken back", []porcupine.Operation{at(0, math.MaxInt64, five, unknown), at(2, 3, nil, paid), at(4, 5, nil, start)}, porcupine.Illegal},
	} {
		if got := judgeHistory(c.history); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// The model: what everybody has. A read's output is books, its input nil.
type books [4]ledger.Amount

const linearDeposit = 40 // little, so that payments are refused too

type payment struct {
	payer, payee int // index of books
	amount       ledger.Amount
}

type result string // of a payment

const (
	accepted result = "accepted"
	refused  result = "refused"
	unknown  result = "unknown" // it got no answer: paid at any time after it was sent, or never
)

func judgeHistory(history []porcupine.Operation) porcupine.CheckResult {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{books{linearDeposit, linearDeposit, linearDeposit, linearDeposit}} },
		Step: func(state, input, output any) []any {
			before := state.(books)
			p, ok := input.(payment)
			if !ok {
				return keepIf(before, output == before)
			}
			after := before
			after[p.payer] -= p.amount
			after[p.payee] += p.amount
			covered := after[p.payer] >= 0
			switch {
			case output == refused:
				return keepIf(before, !covered)
			case output == accepted:
				return keepIf(after, covered)
			case covered:
				return []any{before, after}
			}
			return []any{before}
		},
	}
	return porcupine.CheckOperationsTimeout(model.ToModel(), history, time.Minute)
}

func keepIf(state books, possible bool) []any {
	if possible {
		return []any{state}
	}
	return nil
}

// A recording is a bank and what its clients have seen of it.
type recording struct {
	*bank
	proxy   *lossy.Proxy
	payers  []*member
	started time.Time
	paid    atomic.Int64 // payments that were answered in this round

	mu      sync.Mutex
	history []porcupine.Operation
}

// round lets all clients work on one engine until it dies, and opens the next,
// which answers what the one before did not.
func (r *recording) round(seed uint64, round int) {
	r.t.Helper()
	next := make(chan struct{}) // closed when there is another engine
	r.paid.Store(0)
	before := r.Engine
	var clients sync.WaitGroup
	for i := range r.payers {
		clients.Go(func() { r.pay(before, next, i, rand.New(rand.NewPCG(seed, uint64(i)))) })
		clients.Go(func() {
			for n := int64(1); r.readOn(before, len(r.payers)+i); n++ {
				for n > readsPerPayment*(r.paid.Load()+1) && !stopsWithin(before, time.Millisecond) {
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, math.MaxUint64))
	enough := int64(30 + random.IntN(60))
	r.eventually("clients see answers", func() bool { return r.paid.Load() >= enough })
	switch round % 3 {
	case 0:
		r.proxy.LoseReply()
	case 1:
		r.proxy.LoseCommit()
	case 2:
		ctx, cancel := context.WithCancel(r.t.Context())
		cancel()
		_ = before.Close(ctx)
	}
	if err := r.awaitStop(before); err == nil {
		r.t.Errorf("round %d: the engine stopped without a reason", round)
	}
	r.Engine = r.startWhenReady()
	close(next)
	clients.Wait()
}

// readsPerPayment is how many reads of a client there are at most for each payment
// that was answered: on a slow machine the judge would be lost in them.
const readsPerPayment = 8

func stopsWithin(engine *clearing.Engine, d time.Duration) bool {
	select {
	case <-engine.Done():
		return true
	case <-time.After(d):
		return false
	}
}

// pay lets a member pay others until the engine stops. The last payment, whose
// outcome it does not know, it sends again to the next engine, or, one time in
// four, gives up.
func (r *recording) pay(engine *clearing.Engine, next <-chan struct{}, i int, random *rand.Rand) {
	m := r.payers[i]
	for {
		p := payment{i, (i + 1 + random.IntN(len(r.payers)-1)) % len(r.payers), ledger.Amount(1 + random.IntN(30))}
		before := *m
		o := m.pay(r.payers[p.payee].id, p.amount)
		call := r.now()
		_, err := engine.Submit(r.t.Context(), o)
		stopped := errors.Is(err, clearing.ErrStopped)
		if stopped {
			<-next
			if random.IntN(4) == 0 {
				r.add(i, p, unknown, call, math.MaxInt64)
				m.sequence, m.last = before.sequence, before.last // m.id is read meanwhile
				r.learn(m)
				return
			}
			_, err = r.Submit(r.t.Context(), o)
		}
		switch {
		case err == nil:
			r.add(i, p, accepted, call, r.now())
		case ledger.CodeOf(err) == ledger.CodeFunds:
			r.add(i, p, refused, call, r.now())
			m.sequence, m.last = before.sequence, before.last // m.id is read meanwhile
		default:
			r.t.Errorf("order %d/%d: %v", o.Payer, o.Sequence, err)
			return
		}
		if stopped {
			return
		}
	}
}

// learn reads where a member's chain stands, as one does who lost track of it.
func (r *recording) learn(m *member) {
	err := r.View(r.t.Context(), func(s *ledger.State) {
		account, _ := s.Account(m.id)
		m.sequence, m.last = account.Sequence, account.Last
	})
	if err != nil {
		r.t.Error(err)
	}
}

func (r *recording) read(client int) {
	r.t.Helper()
	if !r.readOn(r.Engine, client) {
		r.t.Fatal("the engine has stopped")
	}
}

// readOn records what everybody has; false when the engine has stopped.
func (r *recording) readOn(engine *clearing.Engine, client int) bool {
	var seen books
	call := r.now()
	err := engine.View(r.t.Context(), func(s *ledger.State) {
		for i, m := range r.payers {
			seen[i] = s.Balance(m.id)
		}
	})
	if err != nil {
		if !errors.Is(err, clearing.ErrStopped) {
			r.t.Errorf("a read: %v", err)
		}
		return false
	}
	r.add(client, nil, seen, call, r.now())
	return true
}

func (r *recording) now() int64 { return int64(time.Since(r.started)) }

func (r *recording) add(client int, input, output any, call, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: input, Output: output, Call: call, Return: end})
	if _, ok := input.(payment); ok {
		r.paid.Add(1)
	}
}

func (r *recording) count(want result) (n int) {
	for _, o := range r.history {
		if o.Output == want {
			n++
		}
	}
	return n
}
