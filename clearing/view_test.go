package clearing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// A view, and a refusal, that rests on a payment is not given before the
// payment is on disk; and never when it does not get there.
func TestNothingUncommittedIsShown(t *testing.T) {
	for _, c := range []struct {
		name   string
		finish string // ends the Tx that holds up the commit
		lands  bool
	}{
		{"the commit succeeds", `rollback`, true},
		{"another engine takes over", `update lease set epoch = epoch + 1; commit`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := openBank(t)
			m := b.members(2, 1000)
			blocker := b.connect()
			b.exec(blocker, `begin; select from lease for update`)

			type answer struct {
				what string
				err  error
			}
			answers := make(chan answer)
			paid := m[0].pay(m[1].id, 1000)
			go func() {
				_, err := b.Submit(t.Context(), paid)
				answers <- answer{"payment", err}
			}()
			b.waitForCommit()
			// So many orders that they are judged while a commit is under way; the last
			// one, which is accepted, tells when.
			orders := make([]*ledger.Order, 100)
			for i := range orders {
				payer := *m[0]
				orders[i] = payer.pay(m[1].id, ledger.Amount(i+1))
			}
			orders[len(orders)-1] = m[1].pay(m[0].id, 7)
			go func() {
				outcomes := b.SubmitMany(t.Context(), orders)
				answers <- answer{"first refusal", outcomes[0].Err}
				answers <- answer{"last payment", outcomes[len(orders)-1].Err}
			}()
			waiting := 3
			b.eventually("a view runs on the books after all orders", func() bool {
				seen := make(chan ledger.Amount, 1)
				waiting++
				go func() {
					answers <- answer{"view", b.View(t.Context(), func(s *ledger.State) { seen <- s.Balance(m[0].id) })}
				}()
				return <-seen == 7
			})
			select {
			case a := <-answers:
				t.Fatalf("the %s was answered before the commit: %v", a.what, a.err)
			case <-time.After(100 * time.Millisecond): // the chance to be wrong
			}
			b.exec(blocker, c.finish)
			for range waiting {
				a := <-answers
				switch {
				case !c.lands && !errors.Is(a.err, clearing.ErrStopped):
					t.Errorf("the %s: %v, want ErrStopped", a.what, a.err)
				case c.lands && a.what == "first refusal" && ledger.CodeOf(a.err) != ledger.CodeFunds:
					t.Errorf("the first refusal: %v, want insufficient funds", a.err)
				case c.lands && a.what != "first refusal" && a.err != nil:
					t.Errorf("the %s: %v", a.what, a.err)
				}
			}
			if !c.lands {
				if err := b.awaitStop(b.Engine); !errors.Is(err, postgres.ErrFenced) {
					t.Errorf("the engine stopped for %v, want ErrFenced", err)
				}
			}
		})
	}
}

// waitForCommit returns when a commit waits for a lock in the database.
func (b *bank) waitForCommit() {
	b.t.Helper()
	conn := b.connect()
	b.eventually("a commit waits", func() bool {
		var n int
		err := conn.QueryRow(b.t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like 'copy batch%'`).Scan(&n)
		return err == nil && n > 0
	})
}

func TestCutEndsItsBatch(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 10_000)
	b.accept(m[0].withdraw(4000))
	cut := &ledger.Cut{Settlement: 1, Version: 1, Inputs: []ledger.OutPoint{depositTo(m[0].id, 10_000, 101, 1).OutPoint},
		Payouts: []ledger.CutPayout{{Payer: m[0].id, Sequence: 1}}}
	// An order that is sequenced in the same moment comes after the cut's batch.
	release := b.hold()
	recorded, paid := make(chan error, 1), make(chan clearing.Outcome, 1)
	go func() {
		recorded <- b.Record(t.Context(), []ledger.Event{&ledger.Block{Height: 102, Previous: ledger.Hash{101}}, cut})
	}()
	go func() { paid <- b.SubmitMany(t.Context(), []*ledger.Order{m[1].pay(m[0].id, 1)})[0] }()
	b.eventually("the order waits", func() bool { return b.Stats().Queued == 1 })
	release()
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	if out := <-paid; out.Err != nil {
		t.Fatal(out.Err)
	}
	for batch, err := range b.store.Batches(t.Context(), 1) {
		if err != nil {
			t.Fatal(err)
		}
		for i, raw := range batch.Entries {
			if e, err := ledger.DecodeEntry(raw); err != nil || e.Kind() == ledger.KindCut && i != len(batch.Entries)-1 {
				t.Errorf("batch %d: entry %d of %d is the cut (%v)", batch.Header.Number, i, len(batch.Entries), err)
			}
		}
	}
	err := b.View(t.Context(), func(s *ledger.State) {
		if open := s.Open(); open == nil || open.Change != 6000 || open.Books.Header.IsZero() {
			t.Errorf("the open cut is %+v", open)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.restart()
}

func TestEventsBeforeTheRefusedOneStand(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	block := b.nextBlock()
	again := depositTo(m[1].id, 7, block.Height, 9)
	err := b.Record(t.Context(), []ledger.Event{block, depositTo(m[0].id, 5, block.Height, 8), again, again, b.nextBlock()})
	var refused *clearing.EventError
	if !errors.As(err, &refused) || refused.Index != 3 || ledger.CodeOf(err) != ledger.CodeEvent {
		t.Fatalf("%v, want event 3 refused", err)
	}
	if err := b.Record(t.Context(), []ledger.Event{nil}); !errors.As(err, &refused) || refused.Index != 0 {
		t.Errorf("no event: %v", err)
	}
	if err := b.Record(t.Context(), nil); err != nil {
		t.Errorf("no events: %v", err)
	}
	b.restart()
	if got := [2]ledger.Amount{b.balance(m[0].id), b.balance(m[1].id)}; got != [2]ledger.Amount{1005, 1007} {
		t.Errorf("balances %v", got)
	}
}
