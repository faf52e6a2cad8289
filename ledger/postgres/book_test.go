package postgres_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// rows returns the accounts' own rows, and the batch up to which they are booked.
func (b *bank) rows() (balances map[ledger.AccountID]ledger.Amount, position uint64) {
	b.t.Helper()
	balances = make(map[ledger.AccountID]ledger.Amount)
	rows, err := b.connect().Query(b.t.Context(), `select id, account.balance, batch from account join booked using (shard)`)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id ledger.AccountID
		var amount ledger.Amount
		if err := rows.Scan(&id, &amount, &position); err != nil {
			b.t.Fatal(err)
		}
		balances[id] = amount
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return balances, position
}

// compare compares the view of all balances with the books in memory.
func (b *bank) compare() {
	b.t.Helper()
	for stored, err := range b.store.Balances(b.t.Context()) {
		if err != nil {
			b.t.Fatal(err)
		}
		if want := b.state.Balance(stored.Account); stored.Amount != want {
			b.t.Errorf("account %s has %d, want %d", stored.Account, stored.Amount, want)
		}
	}
}

// However many bookings are in the accounts' rows already, what is read is the
// same; and a step takes as many as it may, at least one.
func TestBookInSteps(t *testing.T) {
	b := openBank(t)
	b.fund()
	for i := range 6 {
		b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 10}))
		if i%2 == 0 {
			b.commit(b.pay(3, ledger.Payment{Payee: alice, Amount: 3}))
		}
	}
	last := b.state.Last().Number
	conn := b.connect()
	b.compare()
	// Batch 1 moves no money; 2 changes three accounts, each other one two.
	for _, want := range []struct{ changesMax, position uint64 }{{1, 2}, {1, 3}, {2, 4}, {3, 6}, {4, 8}, {1 << 20, last}, {1, last}} {
		var position uint64
		if err := conn.QueryRow(t.Context(), `select book(0::smallint, $1)`, want.changesMax).Scan(&position); err != nil || position != want.position {
			t.Fatalf("booked up to %d with at most %d changes, want %d: %v", position, want.changesMax, want.position, err)
		}
		if _, stored := b.rows(); stored != position {
			t.Fatalf("booked says %d, want %d", stored, position)
		}
		b.compare()
	}
	if unbooked, err := b.store.Unbooked(t.Context()); err != nil || unbooked != 0 {
		t.Errorf("%d changes are not booked: %v", unbooked, err)
	}
	balances, _ := b.rows()
	for id, amount := range balances {
		if want := b.state.Balance(id); amount != want {
			t.Errorf("the row of account %s has %d, want %d", id, amount, want)
		}
	}
}

// Many bookers beside a writer: every booking is added once.
func TestBookAtOnce(t *testing.T) {
	b := openBank(t)
	b.fund()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				if _, err := b.store.Book(t.Context(), postgres.BookChanges); err != nil {
					t.Errorf("book: %v", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 60 {
		b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 1 + ledger.Amount(random.IntN(9))}))
		if random.IntN(3) == 0 {
			b.compare()
		}
	}
	close(done)
	wg.Wait()
	position, err := b.store.Book(t.Context(), postgres.BookChanges)
	if err != nil || position != b.state.Last().Number {
		t.Errorf("booked up to %d, want %d: %v", position, b.state.Last().Number, err)
	}
	b.compare()
}

// What a batch says of its balances is compared with what PostgreSQL adds up.
func TestBookFindsAnEngineThatIsWrong(t *testing.T) {
	cases := []struct {
		name   string
		change func([]postgres.Delta)
	}{
		{"more than it has", func(d []postgres.Delta) { d[0].Balance++ }},
		{"less than it has", func(d []postgres.Delta) { d[1].Balance-- }},
		{"money moved to another", func(d []postgres.Delta) { d[0].Amount--; d[1].Amount++ }},
		{"an account that was never opened", func(d []postgres.Delta) { d[1].Account += 5 }},
		{"below zero, and it says otherwise", func(d []postgres.Delta) { d[0].Amount -= 1000; d[1].Amount += 1000 }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := openBank(t)
			b.fund()
			if _, err := b.store.Book(t.Context(), postgres.BookChanges); err != nil {
				t.Fatal(err)
			}
			before, position := b.rows()
			commit := b.prepare(b.pay(2, ledger.Payment{Payee: bob, Amount: 10}))
			c.change(commit.Deltas)
			if err := b.store.Commit(t.Context(), commit); err != nil {
				t.Fatalf("commit: %v", err)
			}
			var wrong *postgres.BookingError
			if _, err := b.store.Book(t.Context(), postgres.BookChanges); !errors.As(err, &wrong) {
				t.Errorf("%v, want a *BookingError", err)
			} else {
				t.Log(err)
			}
			after, still := b.rows()
			for id, amount := range after {
				if amount != before[id] || still != position {
					t.Errorf("account %s changed from %d to %d although the step failed", id, before[id], amount)
				}
			}
		})
	}
}
