package clearing_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// key is a private key that is the same in every run.
func key(n uint32) *btcec.PrivateKey {
	var b [32]byte
	b[0] = 1
	binary.BigEndian.PutUint32(b[28:], n)
	priv, _ := btcec.PrivKeyFromBytes(b[:])
	return priv
}

var charter = ledger.Charter{Name: "A bank under test", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(key(0)),
	BirthHeight: 100, BirthHash: ledger.Hash{100}, Depth: 1, WithdrawalMin: 1000}

// A bank is a database and the engine that runs on it.
type bank struct {
	*clearing.Engine
	t      *testing.T
	url    string
	store  *postgres.Store
	config clearing.Config
}

// openBank makes a bank in a fresh database and starts its engine.
func openBank(t *testing.T, change ...func(*clearing.Config)) *bank {
	t.Helper()
	return openBankAt(t, cluster.Test(t), change...)
}

func openBankAt(t *testing.T, url string, change ...func(*clearing.Config)) *bank {
	t.Helper()
	store := openStore(t, url)
	if err := store.Create(t.Context(), charter); err != nil {
		t.Fatal(err)
	}
	b := &bank{t: t, url: url, store: store, config: clearing.Config{Store: store, Charter: charter, Operator: key(0),
		Log: slog.New(slog.DiscardHandler)}}
	for _, c := range change {
		c(&b.config)
	}
	b.Engine = b.start()
	return b
}

func openStore(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// start opens one more engine on the bank's database.
func (b *bank) start() *clearing.Engine {
	b.t.Helper()
	e, err := clearing.Open(b.t.Context(), b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.closeEngine(e) })
	return e
}

func (b *bank) closeEngine(e *clearing.Engine) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = e.Close(ctx)
}

// restart closes the engine and opens another.
func (b *bank) restart() {
	b.t.Helper()
	if err := b.Close(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.Engine = b.start()
}

// awaitStop waits until the engine has stopped and returns why.
func (b *bank) awaitStop(e *clearing.Engine) error {
	b.t.Helper()
	select {
	case <-e.Done():
		return e.Err()
	case <-time.After(20 * time.Second):
		b.t.Fatalf("the engine still runs: %+v", e.Stats())
		return nil
	}
}

func (b *bank) connect() *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (b *bank) exec(conn *pgx.Conn, sql string) {
	b.t.Helper()
	if _, err := conn.Exec(b.t.Context(), sql); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// eventually waits until the condition holds.
func (b *bank) eventually(what string, condition func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			b.t.Fatalf("never came true: %s; last seen: %+v", what, b.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// A member signs orders, each naming the one before.
type member struct {
	priv     *btcec.PrivateKey
	id       ledger.AccountID
	sequence uint64
	last     ledger.Hash
}

func newMember(n uint32) *member { return &member{priv: key(n)} }

// sign fills in and signs the member's next order.
func (m *member) sign(body ledger.Body) *ledger.Order {
	o := &ledger.Order{Bank: charter.ID(), Body: body}
	if body.Kind() != ledger.KindOpen {
		m.sequence++
		o.Payer, o.Sequence, o.Previous = m.id, m.sequence, m.last
	}
	if err := o.Sign(m.priv); err != nil {
		panic(err)
	}
	m.last = o.Digest()
	return o
}

func (m *member) open() *ledger.Order { return m.sign(&ledger.Open{Key: ledger.KeyOf(m.priv)}) }

func (m *member) pay(payee ledger.AccountID, amount ledger.Amount) *ledger.Order {
	return m.sign(&ledger.Transfer{Payments: []ledger.Payment{{Payee: payee, Amount: amount}}})
}

func (m *member) withdraw(amount ledger.Amount) *ledger.Order {
	return m.sign(&ledger.Withdraw{Amount: amount, FeeMax: 0, Script: append([]byte{0, 20}, make([]byte, 20)...)})
}

// members opens n accounts and gives each the amount, as a deposit.
func (b *bank) members(n int, amount ledger.Amount) []*member {
	b.t.Helper()
	list := make([]*member, n)
	orders := make([]*ledger.Order, n)
	for i := range list {
		list[i] = newMember(uint32(i + 1))
		orders[i] = list[i].open()
	}
	for i, o := range b.SubmitMany(b.t.Context(), orders) {
		if o.Err != nil {
			b.t.Fatalf("open account %d: %v", i, o.Err)
		}
		list[i].id = o.Acceptance.Account
	}
	events := []ledger.Event{b.nextBlock()}
	for i, m := range list {
		events = append(events, depositTo(m.id, amount, 101, uint32(i)+1))
	}
	if err := b.Record(b.t.Context(), events); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// nextBlock is the block that follows the books' last.
func (b *bank) nextBlock() *ledger.Block {
	b.t.Helper()
	var block ledger.Block
	err := b.View(b.t.Context(), func(s *ledger.State) {
		block.Height, block.Previous = s.Block()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	block.Height++
	block.Hash = ledger.Hash{byte(block.Height)}
	return &block
}

func depositTo(id ledger.AccountID, amount ledger.Amount, height, tx uint32) *ledger.Deposit {
	return &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{byte(height), byte(tx), byte(tx >> 8)}},
		Amount: amount, Branch: ledger.BranchDeposit, Index: id.Index(), Height: height, TxIndex: tx}
}

// accept submits an order that must be accepted, and verifies its receipt.
func (b *bank) accept(o *ledger.Order) clearing.Acceptance {
	b.t.Helper()
	a, err := b.Submit(b.t.Context(), o)
	if err != nil {
		b.t.Fatalf("%s order %d/%d: %v", o.Kind(), o.Payer, o.Sequence, err)
	}
	b.verify(a.Receipt, o)
	return a
}

func (b *bank) verify(r ledger.Receipt, o *ledger.Order) {
	b.t.Helper()
	c := charter
	if err := r.Verify(&c, o.Bytes()); err != nil {
		b.t.Fatalf("receipt of order %d/%d: %v", o.Payer, o.Sequence, err)
	}
}

// balance is what the books hold now.
func (b *bank) balance(id ledger.AccountID) (amount ledger.Amount) {
	b.t.Helper()
	if err := b.View(b.t.Context(), func(s *ledger.State) { amount = s.Balance(id) }); err != nil {
		b.t.Fatal(err)
	}
	return amount
}

func sameReceipt(a, b ledger.Receipt) bool { return string(a.Bytes()) == string(b.Bytes()) }

// hold stops the sequencer in a view until release is called.
func (b *bank) hold() (release func()) {
	b.t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	returned := make(chan error, 1)
	go func() {
		returned <- b.View(b.t.Context(), func(*ledger.State) { close(held); <-free })
	}()
	select {
	case <-held:
	case err := <-returned:
		b.t.Fatalf("the view was not run: %v", err)
	}
	return func() {
		close(free)
		if err := <-returned; err != nil && !errors.Is(err, clearing.ErrStopped) {
			b.t.Error(err)
		}
	}
}
