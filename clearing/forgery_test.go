package clearing_test

import (
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/ledger"
)

// A flood of forged orders, from as many clients as there are honest ones, in
// calls as large as theirs: each honest order is accepted, each forged one is
// refused for its signature, and the books know of none.
//
// What the flood takes from the honest is told in the log and not asserted: a
// forged order costs the verifiers more than a good one, and all wait in one
// queue, so the share depends on the machine and on the number of forgers.
func TestFloodOfForgedSignatures(t *testing.T) {
	const clients, calls, each = 4, 3, 32
	b := openBank(t)
	members := b.members(2*clients, clients*calls*each)
	sign := func() (orders [clients][calls][]*ledger.Order) {
		for i, m := range members[:clients] {
			for j := range orders[i] {
				for range each {
					orders[i][j] = append(orders[i][j], m.pay(members[clients+i].id, 1))
				}
			}
		}
		return orders
	}
	send := func(orders [clients][calls][]*ledger.Order) time.Duration {
		start := time.Now()
		var payers sync.WaitGroup
		for i := range orders {
			payers.Go(func() {
				for _, call := range orders[i] {
					for _, out := range b.SubmitMany(t.Context(), call) {
						if out.Err != nil {
							t.Errorf("an honest order: %v", out.Err)
						}
					}
				}
			})
		}
		payers.Wait()
		return time.Since(start)
	}
	quiet, beside := send(sign()), sign()

	over := make(chan struct{})
	var forgers sync.WaitGroup
	for i := range clients {
		victim := *members[clients+i]
		orders := make([]*ledger.Order, each)
		for j := range orders {
			orders[j] = victim.pay(members[i].id, 1)
			orders[j].Signature[32+j%32] ^= 1 // in s: R is sound and costs its work
		}
		forgers.Go(func() {
			for ended := false; !ended; {
				for _, out := range b.SubmitMany(t.Context(), orders) {
					if ledger.CodeOf(out.Err) != ledger.CodeSignature {
						t.Errorf("a forged order: %v, want %q", out.Err, ledger.CodeSignature)
						return
					}
				}
				select {
				case <-over:
					ended = true
				default:
				}
			}
		})
	}
	flooded := send(beside)
	close(over)
	forgers.Wait()

	s := b.Stats()
	t.Logf("%d honest orders took %v, and %v beside %d forged ones: %.2f of the throughput",
		clients*calls*each, quiet, flooded, s.Refused[ledger.CodeSignature], quiet.Seconds()/flooded.Seconds())
	if s.Refused[ledger.CodeSignature] == 0 {
		t.Error("there was no flood")
	}
	for i, m := range members {
		want := ledger.Amount(clients * calls * each)
		if moved := ledger.Amount(2 * calls * each); i < clients {
			want -= moved
		} else {
			want += moved
		}
		if got := b.balance(m.id); got != want {
			t.Errorf("member %d has %d, want %d", i, got, want)
		}
	}
}
