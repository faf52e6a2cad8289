package clearing_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/ledger/postgres/lossy"
)

func TestSecondEngineFencesTheFirst(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	old, lastOfOld := b.Engine, m[0].pay(m[1].id, 1)
	b.accept(lastOfOld)
	b.Engine = b.start()
	if b.Epoch() != old.Epoch()+1 {
		t.Errorf("epochs %d and %d", old.Epoch(), b.Epoch())
	}
	next := m[0].pay(m[1].id, 2)
	if _, err := old.Submit(t.Context(), next); !errors.Is(err, clearing.ErrStopped) || ledger.CodeOf(err) != clearing.CodeUnavailable {
		t.Errorf("the old engine: %v, want ErrStopped", err)
	}
	if err := b.awaitStop(old); !errors.Is(err, postgres.ErrFenced) {
		t.Errorf("the old engine stopped for %v, want ErrFenced", err)
	}
	if a := b.accept(next); a.Repeated {
		t.Error("the old engine has written after the take-over")
	}
	if a := b.accept(lastOfOld); !a.Repeated {
		t.Error("what the old engine accepted is lost")
	}
}

func TestIdleEngineLearnsThatItWasReplaced(t *testing.T) {
	b := openBank(t)
	old := b.Engine
	b.Engine = b.start()
	if err := b.awaitStop(old); !errors.Is(err, postgres.ErrFenced) {
		t.Errorf("it stopped for %v, want ErrFenced", err)
	}
	if err := old.View(t.Context(), func(*ledger.State) {}); !errors.Is(err, clearing.ErrStopped) {
		t.Errorf("its view: %v", err)
	}
}

// PostgreSQL adds up every balance itself. An engine whose books it contradicts
// stops by itself.
func TestEngineStopsWhenPostgreSQLAddsUpOtherBalances(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	b.accept(m[0].pay(m[1].id, 1))
	conn := b.connect()
	b.exec(conn, `alter table account disable trigger user`)
	b.exec(conn, `select book(0::smallint, 1000); update account set balance = balance + case id when 16 then -1 else 1 end where id in (16, 17)`)
	b.accept(m[0].pay(m[1].id, 1))
	if err := b.awaitStop(b.Engine); !errors.As(err, new(*postgres.BookingError)) {
		t.Errorf("it stopped for %v, want a *BookingError", err)
	} else {
		t.Log(err)
	}
}

func TestCloseInHaste(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	blocker := b.connect()
	b.exec(blocker, `begin; select from lease for update`)
	o, outcome := m[0].pay(m[1].id, 1), make(chan error, 1)
	go func() {
		_, err := b.Submit(t.Context(), o)
		outcome <- err
	}()
	b.waitForCommit()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v, want the context's error", err)
	}
	if err := <-outcome; !errors.Is(err, clearing.ErrStopped) {
		t.Errorf("the order: %v, want ErrStopped", err)
	}
	b.exec(blocker, `rollback`)
	b.Engine = b.start()
	b.accept(o)
	if got := b.balance(m[0].id); got != 999 {
		t.Errorf("the balance is %d, want 999: paid once", got)
	}
}

// COMMIT was sent and its end is lost. The engine cannot know; it stops. The
// next one reads what is true, and the order sent again is carried out once.
func TestLostEndOfCommit(t *testing.T) {
	for _, c := range []struct {
		name      string
		lose      func(*lossy.Proxy)
		committed bool
	}{
		{"the reply is lost", (*lossy.Proxy).LoseReply, true},
		{"COMMIT is lost", (*lossy.Proxy).LoseCommit, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy, err := lossy.Start(cluster.Test(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Close)
			b := openBankAt(t, proxy.URL())
			m := b.members(2, 1000)
			c.lose(proxy)
			o := m[0].pay(m[1].id, 600)
			if _, err := b.Submit(t.Context(), o); !errors.Is(err, clearing.ErrStopped) {
				t.Fatalf("%v, want ErrStopped", err)
			}
			if err := b.awaitStop(b.Engine); !errors.Is(err, postgres.ErrAmbiguous) || proxy.Lost() != 1 {
				t.Fatalf("it stopped for %v after %d losses, want ErrAmbiguous after 1", err, proxy.Lost())
			}
			if _, err := b.Submit(t.Context(), o); !errors.Is(err, clearing.ErrStopped) {
				t.Fatalf("the stopped engine: %v, want ErrStopped", err)
			}
			b.Engine = b.start()
			if a := b.accept(o); a.Repeated != c.committed {
				t.Errorf("sent again: repeated %v, want %v", a.Repeated, c.committed)
			}
			if got := b.balance(m[0].id); got != 400 {
				t.Errorf("the balance is %d, want 400: paid once", got)
			}
		})
	}
}

// An acknowledged order and its receipt, kept by a client.
type kept struct {
	order   *ledger.Order
	receipt ledger.Receipt
}

// traffic lets each member pay others until the engine stops or the context
// ends. It returns what was acknowledged, and each member's order whose outcome
// it does not know.
func (b *bank) traffic(ctx context.Context, members []*member, seed uint64, accepted *atomic.Int64) (acked []kept, unknown []*ledger.Order) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	engine := b.Engine
	for i, m := range members {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for ctx.Err() == nil {
				payee := members[(i+1+random.IntN(len(members)-1))%len(members)]
				o := m.pay(payee.id, ledger.Amount(1+random.IntN(3)))
				a, err := engine.Submit(context.WithoutCancel(ctx), o)
				mu.Lock()
				switch {
				case err == nil:
					accepted.Add(1)
					acked = append(acked, kept{o, a.Receipt})
				case errors.Is(err, clearing.ErrStopped):
					unknown = append(unknown, o)
				default:
					b.t.Errorf("order %d/%d: %v", o.Payer, o.Sequence, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return acked, unknown
}

// audit checks that every acknowledged order stands in the journal under its
// receipt, and that every other is carried out now or was before.
func (b *bank) audit(acked []kept, unknown []*ledger.Order) {
	b.t.Helper()
	for _, k := range acked {
		b.verify(k.receipt, k.order)
		number, index, err := b.store.FindOrder(b.t.Context(), ledger.OrderRef{Payer: k.order.Payer, Sequence: k.order.Sequence})
		if err != nil || number != k.receipt.Header.Number || index != int(k.receipt.Index) {
			b.t.Fatalf("acknowledged order %d/%d of batch %d is in batch %d: %v", k.order.Payer, k.order.Sequence, k.receipt.Header.Number, number, err)
		}
	}
	for _, o := range unknown {
		b.accept(o)
	}
	if len(acked) > 0 {
		last := acked[len(acked)-1]
		if a := b.accept(last.order); !a.Repeated || !sameReceipt(a.Receipt, last.receipt) {
			b.t.Errorf("sent again: %+v, want the first answer", a)
		}
	}
	err := b.View(b.t.Context(), func(s *ledger.State) {
		if err := s.CheckInvariants(); err != nil {
			b.t.Error(err)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// inTraffic returns when the members have made so many payments and go on; outcome
// waits for their end.
func (b *bank) inTraffic(members []*member, seed uint64, payments int64) (outcome func() (acked []kept, unknown []*ledger.Order)) {
	b.t.Helper()
	var accepted atomic.Int64
	var acked []kept
	var unknown []*ledger.Order
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		acked, unknown = b.traffic(b.t.Context(), members, seed, &accepted)
	}()
	b.eventually("payments flow", func() bool { return accepted.Load() >= payments })
	return func() ([]kept, []*ledger.Order) { <-ended; return acked, unknown }
}

func TestDatabaseKilledInTraffic(t *testing.T) {
	t.Setenv("DAOBANK_POSTGRES", "") // only a server of one's own can be killed
	server, err := cluster.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	url, err := server.CreateDatabase(t.Context(), "bank")
	if err != nil {
		t.Fatal(err)
	}
	b := openBankAt(t, url)
	members := b.members(12, 100_000)
	for round := range uint64(3) {
		outcome := b.inTraffic(members, round, 150+50*int64(round))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := b.awaitStop(b.Engine); err == nil {
			t.Error("the engine stopped without a reason")
		}
		acked, unknown := outcome()
		if len(unknown) != len(members) {
			t.Errorf("round %d: %d clients of %d have an unknown outcome", round, len(unknown), len(members))
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.url = server.URL("bank"); b.url != url {
			t.Fatal("the private server has moved")
		}
		b.Engine = b.startWhenReady()
		b.audit(acked, unknown)
		t.Logf("round %d: %d acknowledged, %d unknown", round, len(acked), len(unknown))
	}
}

// startWhenReady opens an engine on a store whose old connections may be broken.
func (b *bank) startWhenReady() *clearing.Engine {
	b.t.Helper()
	var engine *clearing.Engine
	var last error
	b.eventually("an engine opens", func() bool {
		engine, last = clearing.Open(b.t.Context(), b.config)
		return last == nil
	})
	b.t.Cleanup(func() { b.closeEngine(engine) })
	return engine
}

func TestConcurrentClients(t *testing.T) {
	const seed = 7
	b := openBank(t, func(c *clearing.Config) { c.BatchMax = 16 })
	members := b.members(16, 1_000_000)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var viewing sync.WaitGroup
	viewing.Go(func() {
		for ctx.Err() == nil {
			err := b.View(context.WithoutCancel(ctx), func(s *ledger.State) {
				if err := s.CheckInvariants(); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	var accepted atomic.Int64
	acked, unknown := b.traffic(ctx, members, seed, &accepted)
	viewing.Wait()
	if len(unknown) != 0 || len(acked) == 0 {
		t.Errorf("seed %d: %d acknowledged, %d unknown", seed, len(acked), len(unknown))
	}
	b.restart()
	b.audit(acked, nil)
	b.historyAddsUp(members)
	t.Logf("%d payments in %d batches", len(acked), acked[len(acked)-1].receipt.Header.Number)
}

// historyAddsUp waits for the projection and compares each member's movements
// with the balance.
func (b *bank) historyAddsUp(members []*member) {
	b.t.Helper()
	newest, err := b.store.LastBatch(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	b.eventually("the history catches up", func() bool {
		position, _, err := b.store.Project(b.t.Context())
		return err == nil && position == newest
	})
	for _, m := range members {
		var sum ledger.Amount
		var before postgres.Cursor
		for {
			page, err := b.store.History(b.t.Context(), m.id, before, 500)
			if err != nil {
				b.t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, movement := range page {
				sum += movement.Amount
			}
			before = page[len(page)-1].Cursor
		}
		if want := b.balance(m.id); sum != want {
			b.t.Errorf("account %s: movements add up to %d, the balance is %d", m.id, sum, want)
		}
	}
}
