package clearing_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

// A flood of forged orders, from as many clients as there are honest ones, in
// calls as large as theirs: each honest order is accepted, each forged one is
// refused for its signature, and the books know of none.
//
// What the flood takes from the honest is measured by daobank bench clearing
// --forgers.
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

// forgeries is one forged order many times.
func forgeries(m member, payee ledger.AccountID, n int) []*ledger.Order {
	forged := m.pay(payee, 1)
	forged.Signature[40] ^= 1
	return slices.Repeat([]*ledger.Order{forged}, n)
}

// Who forges waits for himself: an honest order that comes later is answered before
// all that was forged is looked through.
func TestHonestOrdersPassForgedOnes(t *testing.T) {
	b := openBank(t)
	m := b.members(3, 1000)
	through := make(chan struct{})
	go func() {
		defer close(through)
		for _, out := range b.SubmitMany(t.Context(), forgeries(*m[2], m[0].id, 8000)) {
			if ledger.CodeOf(out.Err) != ledger.CodeSignature {
				t.Errorf("a forged order: %v, want %q", out.Err, ledger.CodeSignature)
				return
			}
		}
	}()
	for b.Stats().Queued == 0 {
		select {
		case <-through:
			t.Fatal("the forged orders never waited")
		case <-time.After(time.Millisecond):
		}
	}
	b.accept(m[0].pay(m[1].id, 1))
	select {
	case <-through:
		t.Error("the honest order waited for the forged ones")
	default:
	}
	<-through
	b.accept(m[2].pay(m[0].id, 1)) // whose name was used is not the worse for it
}

// Only so many forged orders wait; the rest is answered busy, and right when it is
// sent again.
func TestTooManyForgedOrdersAreBusy(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	orders := forgeries(*m[0], m[1].id, 20_000)
	orders[0] = m[0].pay(m[1].id, 1)
	count := map[ledger.Code]int{}
	for _, out := range b.SubmitMany(t.Context(), orders) {
		count[ledger.CodeOf(out.Err)]++
	}
	t.Logf("%v", count)
	if count[clearing.CodeBusy] == 0 || count[clearing.CodeBusy]+count[ledger.CodeSignature] < len(orders)-1 {
		t.Errorf("%v of %d orders, of which all but one are forged", count, len(orders))
	}
	b.accept(orders[0])
	if got := b.balance(m[1].id); got != 1001 {
		t.Errorf("the payee has %d, want 1001", got)
	}
	if out := b.SubmitMany(t.Context(), orders[1:2]); ledger.CodeOf(out[0].Err) != ledger.CodeSignature {
		t.Errorf("sent again: %v, want %q", out[0].Err, ledger.CodeSignature)
	}
}
