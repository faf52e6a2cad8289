package clearing_test

import (
	"errors"
	"testing"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// Whoever may do anything in the database can switch its guards off. The engine
// does not start on what they leave, and names it.
func TestTamperingIsFoundAtStart(t *testing.T) {
	const (
		balance = "balance of account "
		history = "history of batch "
		// The accounts' rows as they were before anything was added to them.
		unbook = `update account set balance = 0, last_batch = 0; update booked set batch = 0; `
	)
	cases := []struct {
		name, sql string
		account   ledger.AccountID // of the *BalanceError
		batch     uint64           // of the *HistoryError
	}{
		{"money moved between accounts", `select book(0::smallint, 1000); update account set balance = balance + case id when 16 then -1 else 1 end where id in (16, 17)`, 16, 0},
		{"a booking changed", unbook + `update booking set amounts[1] = amounts[1] + 1, amounts[2] = amounts[2] - 1 where batch = 4`, 16, 0},
		{"a booking removed", unbook + `delete from booking where batch = 4`, 16, 0},
		{"money made", `update account set balance = balance + 1 where id = 17`, 17, 0},
		{"another key", `update account set key = sha256(key) where id = 17`, 17, 0},
		{"an account removed", `delete from account where id = 16`, 16, 0},
		{"the last account removed", `delete from account where id = 17`, 17, 0},
		{"an account of the bank removed", `delete from account where id = 3`, 3, 0},
		{"an account made", `insert into account values (0, 18, sha256('key'), 0, 0)`, 18, 0},
		{"an entry changed", `update entry set bytes = set_byte(bytes, 110, get_byte(bytes, 110) # 1) where batch = 3`, 0, 3},
		{"an entry removed", `delete from entry where batch = 2 and idx = 1`, 0, 2},
		{"a header changed", `update batch set header = set_byte(header, 57, get_byte(header, 57) # 1) where number = 3`, 0, 3},
		{"a signature changed", `update batch set header = set_byte(header, 150, get_byte(header, 150) # 1) where number = 2`, 0, 2},
		{"the newest batch removed", `delete from entry where batch = 4; delete from batch where number = 4`, 16, 0},
		{"a batch in the middle removed", `delete from entry where batch = 3; delete from batch where number = 3`, 0, 4},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := openBank(t)
			m := b.members(2, 1000)
			b.accept(m[0].pay(m[1].id, 100))
			b.accept(m[0].pay(m[1].id, 50))
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			conn := b.connect()
			for _, table := range []string{"account", "booking", "booked", "entry", "batch"} {
				b.exec(conn, `alter table `+table+` disable trigger user`)
			}
			b.exec(conn, `alter table batch drop constraint batch_has_its_entries, drop constraint columns_repeat_the_header`)
			b.exec(conn, `alter table event_posting drop constraint event_posting_shard_batch_idx_fkey`)
			b.exec(conn, `alter table booking drop constraint booking_shard_batch_fkey`)
			b.exec(conn, c.sql)

			engine, err := clearing.Open(t.Context(), b.config)
			if err == nil {
				b.closeEngine(engine)
				t.Fatal("the engine started")
			}
			var wrong *clearing.BalanceError
			var contradiction *ledger.HistoryError
			switch {
			case errors.As(err, &wrong) && wrong.Account == c.account && c.account != 0:
			case errors.As(err, &contradiction) && contradiction.Batch == c.batch && c.batch != 0:
			default:
				t.Errorf("%v; want %s%d or %s%d", err, balance, c.account, history, c.batch)
			}
			t.Log(err)
		})
	}
}

func TestOpenRefusesWhatIsNotItsBank(t *testing.T) {
	store := openStore(t, cluster.Test(t))
	config := clearing.Config{Store: store, Charter: charter, Operator: key(0)}
	if _, err := clearing.Open(t.Context(), config); !errors.Is(err, postgres.ErrNoBank) {
		t.Errorf("an empty database: %v, want ErrNoBank", err)
	}
	if err := store.Create(t.Context(), charter); err != nil {
		t.Fatal(err)
	}
	config.Charter.Name = "Another bank"
	var other *postgres.BankError
	if _, err := clearing.Open(t.Context(), config); !errors.As(err, &other) {
		t.Errorf("another bank's charter: %v, want a *BankError", err)
	}
	config.Charter, config.Operator = charter, key(1)
	if _, err := clearing.Open(t.Context(), config); err == nil {
		t.Error("another operator's key was taken")
	}
	if epoch, _, err := store.Lease(t.Context()); err != nil || epoch != 0 {
		t.Errorf("the lease is at epoch %d (%v): a refused engine must not fence the one that runs", epoch, err)
	}
}

// An operator who writes what no member signed passes his own checks only.
func TestCheckAllFindsOrdersThatNobodySigned(t *testing.T) {
	b := openBank(t)
	m := b.members(2, 1000)
	var next ledger.Header
	theft := m[0].pay(m[1].id, 1000)
	theft.Signature = ledger.Signature{1}
	err := b.View(t.Context(), func(s *ledger.State) {
		next = s.Next(ledger.EntryLeaf(theft.Bytes()), 1, b.Epoch(), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	signed, err := next.Sign(b.config.Operator)
	if err != nil {
		t.Fatal(err)
	}
	err = b.store.Commit(t.Context(), postgres.Commit{
		Batch:  &ledger.Batch{Header: signed, Entries: [][]byte{theft.Bytes()}},
		Refs:   []ledger.OrderRef{{Payer: m[0].id, Sequence: 1}},
		Deltas: []postgres.Delta{{Account: m[0].id, Amount: -1000}, {Account: m[1].id, Amount: 1000, Balance: 2000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.config.Checks = ledger.CheckAll
	var contradiction *ledger.HistoryError
	if _, err := clearing.Open(t.Context(), b.config); !errors.As(err, &contradiction) || contradiction.Batch != 3 || contradiction.Entry != 0 {
		t.Errorf("%v, want batch 3 entry 0 named", err)
	}
}
