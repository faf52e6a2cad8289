package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// clearingBank is a bank in this process, on a database of its own, with
// accounts that have money.
type clearingBank struct {
	accounts int
	url      string
	store    *postgres.Store
	engine   *clearing.Engine
	charter  ledger.Charter
	runs     uint64 // seeds the traffic: no run repeats another
}

const (
	operatorKey    = 1         // what the bank signs with
	firstKey       = 1_000_000 // the first member's; each next one has the next number
	openedTogether = 8192      // accounts that are opened by one call
	wealth         = 100_000_000
)

// benchKey is the private key of this number. Keys that anyone can guess are good
// enough for a bank that ends with the measurement.
func benchKey(n int) *btcec.PrivateKey {
	var key btcec.PrivateKey
	key.Key.SetInt(uint32(n))
	return &key
}

// signQuickly signs without verifying the signature again, which takes btcec four
// times as long as signing.
func signQuickly(o *ledger.Order, key *btcec.PrivateKey) error {
	digest := o.Digest()
	s, err := schnorr.Sign(key, digest[:], schnorr.FastSign())
	if err != nil {
		return err
	}
	o.Signature = ledger.Signature(s.Serialize())
	return nil
}

// openClearingBank makes a bank on a server and gives its members money.
func openClearingBank(ctx context.Context, pg *cluster.Cluster, accounts int, say func(string, ...any)) (_ *clearingBank, err error) {
	b := &clearingBank{accounts: accounts, charter: ledger.Charter{Name: "bench", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(benchKey(operatorKey)),
		BirthHeight: 100, BirthHash: ledger.Hash{100}, Depth: 1, WithdrawalMin: 1000}}
	if b.url, err = newDatabase(ctx, pg); err != nil {
		return nil, err
	}
	if b.store, err = postgres.Open(ctx, b.url); err != nil {
		return nil, err
	}
	if err := b.store.Create(ctx, b.charter); err != nil {
		return nil, errors.Join(err, b.close())
	}
	b.engine, err = clearing.Open(ctx, clearing.Config{Store: b.store, Charter: b.charter, Operator: benchKey(operatorKey),
		Verifiers: verifiers(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	say("opening %d accounts", accounts)
	if err := errors.Join(openAccounts(ctx, b.engine, benchMember(0), accounts), b.fund(ctx)); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, b.settle(ctx)
}

// databases numbers the banks of this process.
var databases atomic.Uint64

// close stops the bank; its database goes with the server.
func (b *clearingBank) close() error {
	var err error
	if b.engine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = b.engine.Close(ctx)
	}
	b.store.Close()
	return err
}

// benchMember is the account with this index among the members.
func benchMember(i int) ledger.AccountID { return ledger.FirstMember + ledger.AccountID(i) }

// openAccounts opens accounts with the keys from firstKey on, of which the first has
// this number.
func openAccounts(ctx context.Context, engine *clearing.Engine, first ledger.AccountID, accounts int) error {
	bank := charterID(engine)
	for done := 0; done < accounts; done += openedTogether {
		orders := make([]*ledger.Order, min(openedTogether, accounts-done))
		err := onAllCores(len(orders), func(i int) error {
			key := benchKey(firstKey + done + i)
			orders[i] = &ledger.Order{Bank: bank, Body: &ledger.Open{Key: ledger.KeyOf(key)}}
			return signQuickly(orders[i], key)
		})
		if err != nil {
			return err
		}
		for i, o := range engine.SubmitMany(ctx, orders) {
			if want := first + ledger.AccountID(done+i); o.Err != nil || o.Acceptance.Account != want {
				return fmt.Errorf("open account %d: got %d, %w", want, o.Acceptance.Account, o.Err)
			}
		}
	}
	return nil
}

// fund credits one deposit to the first member, who pays everyone else.
func (b *clearingBank) fund(ctx context.Context) error {
	deposit := &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{1}}, Amount: ledger.Amount(b.accounts) * wealth,
		Branch: ledger.BranchDeposit, Index: benchMember(0).Index(), Height: b.charter.BirthHeight + 1, TxIndex: 1}
	block := &ledger.Block{Height: deposit.Height, Hash: ledger.Hash{101}, Previous: b.charter.BirthHash}
	if err := b.engine.Record(ctx, []ledger.Event{block, deposit}); err != nil {
		return err
	}
	tips, err := b.tips(ctx)
	if err != nil {
		return err
	}
	var orders []*ledger.Order
	for next := 1; next < b.accounts; next += ledger.MaxPayees {
		transfer := &ledger.Transfer{}
		for i := next; i < min(next+ledger.MaxPayees, b.accounts); i++ {
			transfer.Payments = append(transfer.Payments, ledger.Payment{Payee: benchMember(i), Amount: wealth})
		}
		o := &ledger.Order{Bank: b.charter.ID(), Body: transfer}
		if err := tips[0].sign(o); err != nil {
			return err
		}
		orders = append(orders, o)
	}
	for _, o := range b.engine.SubmitMany(ctx, orders) {
		if o.Err != nil {
			return fmt.Errorf("give the members money: %w", o.Err)
		}
	}
	return nil
}

// settle waits until the members' history and the accounts' rows have caught up, so
// that no run pays for the one before it.
func (b *clearingBank) settle(ctx context.Context) error {
	for {
		position, newest, err := b.store.Project(ctx)
		if err != nil {
			return err
		}
		if position >= newest {
			break
		}
	}
	for {
		pending, err := b.store.Unbooked(ctx)
		if err != nil || pending == 0 {
			return err
		}
		if _, err := b.store.Book(ctx, postgres.BookChanges); err != nil {
			return err
		}
	}
}

// logSegmentsMax are the segments of 16 MB that a server's log is given before runs.
const logSegmentsMax = 96

// fillLog lets the server make segments of its write-ahead log, which it keeps and
// writes into again after a checkpoint. A server that has run for an hour has them; a
// new one would stop for each, at any moment of a run, to fill 16 MB with zeros.
func (b *clearingBank) fillLog(ctx context.Context, segments int) error {
	return b.administer(ctx, func(conn *pgx.Conn) error {
		for range segments {
			if _, err := conn.Exec(ctx, "select pg_logical_emit_message(false, 'bench', ''); select pg_switch_wal()"); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, "checkpoint")
		return err
	})
}

// checkpoint lets the server do now what it would do behind the next run for the one
// before it: vacuum, and write what it holds in memory to its files. That frees the
// log's segments too.
func (b *clearingBank) checkpoint(ctx context.Context) error {
	return b.administer(ctx, func(conn *pgx.Conn) error {
		for _, sql := range []string{"vacuum (analyze)", "checkpoint"} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// administer uses a connection of its own.
func (b *clearingBank) administer(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return f(conn)
}

// A tip is the end of an account's chain of orders.
type tip struct {
	account  int
	sequence uint64
	last     ledger.Hash
}

// tips reads the ends of all members' chains, by member.
func (b *clearingBank) tips(ctx context.Context) ([]tip, error) {
	tips := make([]tip, b.accounts)
	err := b.engine.View(ctx, func(s *ledger.State) {
		for i := range tips {
			a, _ := s.Account(benchMember(i))
			tips[i] = tip{account: i, sequence: a.Sequence, last: a.Last}
		}
	})
	return tips, err
}

// sign makes an order the account's next.
func (t *tip) sign(o *ledger.Order) error {
	o.Payer, o.Sequence, o.Previous = benchMember(t.account), t.sequence+1, t.last
	t.sequence, t.last = o.Sequence, o.Digest()
	return signQuickly(o, benchKey(firstKey+t.account))
}

// onAllCores calls f for 0 to n-1, on as many cores as there are.
func onAllCores(n int, f func(i int) error) error {
	var group errgroup.Group
	var next atomic.Int64
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// newDatabase makes an empty database that no other run uses.
func newDatabase(ctx context.Context, pg *cluster.Cluster) (url string, err error) {
	return pg.CreateDatabase(ctx, fmt.Sprintf("bench_%d_%d", os.Getpid(), databases.Add(1)))
}
