package clearing_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/ledger/postgres/lossy"
)

const (
	slowQueue = 64
	slowBatch = 16
	// What a full engine holds: the queue, the batch that is being committed, and
	// the one that is being gathered.
	slowHolds = slowQueue + 2*slowBatch
)

// slowBank is a bank with room for few orders, whose commits pass a proxy.
func slowBank(t *testing.T) (*bank, *lossy.Proxy) {
	t.Helper()
	proxy, err := lossy.Start(cluster.Test(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return openBankAt(t, proxy.URL(), func(c *clearing.Config) { c.QueueMax, c.BatchMax = slowQueue, slowBatch }), proxy
}

// While the disk does not answer, nobody is told that an order was accepted, the
// engine takes as many as it has room for and says "busy" to the rest at once,
// and its memory stays where it is. When the disk answers, nothing is lost.
func TestStalledDisk(t *testing.T) {
	const each = 8
	b, proxy := slowBank(t)
	payers := b.members(2*slowHolds/each, 1000)
	bob := payers[0]
	accepted := b.Stats().Accepted
	proxy.Hold()
	orders, outcomes := make([][]*ledger.Order, len(payers)), make([][]clearing.Outcome, len(payers))
	var calls sync.WaitGroup
	for i, m := range payers[1:] {
		for range each {
			orders[i] = append(orders[i], m.pay(bob.id, 1))
		}
		calls.Go(func() { outcomes[i] = b.SubmitMany(t.Context(), orders[i]) })
	}
	most := uint64(len(payers)-1)*each - slowHolds
	b.eventually("what has no room is refused", func() bool { return b.Stats().Refused[clearing.CodeBusy] >= most && proxy.Held() == 1 })

	flood := bob.pay(payers[1].id, 1)
	b.floodWhileFull(flood, 1000) // it may have had room for some
	before := heap()
	if busy := b.floodWhileFull(flood, 20_000); busy != 20_000 {
		t.Errorf("%d of 20,000 orders found the full engine busy", busy)
	}
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the engine grew by %d bytes, although it took nothing in", grown)
	}
	if s := b.Stats(); s.Accepted != accepted || s.Queued > slowQueue {
		t.Errorf("nothing is on disk, and the engine says %+v", s)
	}

	proxy.Delay(0)
	calls.Wait()
	for i := range outcomes {
		for j, out := range outcomes[i] {
			switch {
			case out.Err == nil:
				b.verify(out.Acceptance.Receipt, orders[i][j])
			case errors.Is(out.Err, clearing.ErrBusy):
				b.accept(orders[i][j])
			default:
				t.Errorf("payer %d order %d: %v", i, j, out.Err)
			}
		}
	}
	b.accept(flood)
	if got, want := b.balance(bob.id), ledger.Amount(1000+(len(payers)-1)*each-1); got != want {
		t.Errorf("the payee has %d, want %d", got, want)
	}
}

// floodWhileFull sends an order n times without waiting, and returns how often
// the engine was busy.
func (b *bank) floodWhileFull(o *ledger.Order, n int) (busy int) {
	b.t.Helper()
	before := b.Stats().Refused[clearing.CodeBusy]
	left, cancel := context.WithCancel(b.t.Context())
	cancel()
	for range n {
		if _, err := b.Submit(left, o); !errors.Is(err, clearing.ErrBusy) && !errors.Is(err, context.Canceled) {
			b.t.Fatalf("an order that nothing is known of: %v", err)
		}
	}
	return int(b.Stats().Refused[clearing.CodeBusy] - before)
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// On a slow disk every answer takes as long as the disk, and orders share the
// commits: all are carried out in fewer commits than there are orders.
func TestSlowDisk(t *testing.T) {
	const delay, payments = 20 * time.Millisecond, 200
	b, proxy := slowBank(t)
	members := b.members(24, 1000)
	batches := b.Stats().Batches
	proxy.Delay(delay)
	var begun atomic.Int64
	var mu sync.Mutex
	var acked []kept
	var clients sync.WaitGroup
	for i, m := range members {
		clients.Go(func() {
			for begun.Add(1) <= payments {
				o, start := m.pay(members[(i+1)%len(members)].id, 1), time.Now()
				a, err := b.Submit(t.Context(), o)
				if err != nil {
					t.Errorf("order %d/%d: %v", o.Payer, o.Sequence, err)
					return
				}
				if took := time.Since(start); took < delay {
					t.Errorf("order %d/%d is acknowledged after %v; its commit takes %v", o.Payer, o.Sequence, took, delay)
				}
				mu.Lock()
				acked = append(acked, kept{o, a.Receipt})
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	used := b.Stats().Batches - batches
	if used >= payments {
		t.Errorf("%d commits for %d payments: they do not share them", used, payments)
	}
	t.Logf("%d payments in %d commits of %v", payments, used, delay)
	proxy.Delay(0)
	b.audit(acked, nil)
}
