package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// estimator is a fake of the node: all that a quote asks it for.
type estimator struct{ settlement.Chain }

func (estimator) FeeRate(context.Context, int) (int64, error) { return 2_000, nil }

func (estimator) Height(context.Context) (int32, error) { return 1, nil }

func (estimator) BlockHash(context.Context, int32) (chainhash.Hash, error) {
	return chainhash.Hash{1}, nil
}

// realBank is the real engine, store and desk on a real PostgreSQL, behind one
// URL at which it can be stopped and opened again.
type realBank struct {
	testing.TB
	store  *postgres.Store
	engine *clearing.Engine
	now    atomic.Pointer[http.Handler]
	url    string
}

func newRealBank(t testing.TB) *realBank {
	t.Helper()
	store, err := postgres.Open(t.Context(), cluster.Test(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.Create(t.Context(), testCharter()); err != nil {
		t.Fatal(err)
	}
	b := &realBank{TB: t, store: store}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*b.now.Load()).ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	b.url = server.URL
	b.open()
	return b
}

func (b *realBank) open() {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	engine, err := clearing.Open(b.Context(), clearing.Config{Store: b.store, Charter: testCharter(), Operator: privateKey("operator"), Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Close(context.Background()) }) // closing twice is harmless
	vaults := testVaults(b)
	desk, err := settlement.New(settlement.Config{Engine: engine, Store: b.store, Vaults: vaults, Chain: estimator{}, Policy: settlement.DefaultPolicy(), Log: log})
	if err != nil {
		b.Fatal(err)
	}
	handler := NewHandler(Config{Clearing: engine, Journal: b.store, Attestations: b.store, Desk: desk, Vaults: vaults, Charter: testCharter(), Councils: func() []Council { return nil }, Ready: func(context.Context) error { return engine.Err() }, Log: log})
	b.engine = engine
	b.now.Store(&handler)
}

func (b *realBank) deposit(id ledger.AccountID, amount ledger.Amount) {
	b.Helper()
	charter := testCharter()
	block := sha256.Sum256([]byte("block"))
	err := b.engine.Record(b.Context(), []ledger.Event{
		&ledger.Block{Height: charter.BirthHeight + 1, Hash: block, Previous: charter.BirthHash},
		&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: block}, Amount: amount, Index: id.Index(), Height: charter.BirthHeight + 1, TxIndex: 1},
	})
	if err != nil {
		b.Fatal(err)
	}
}

// Two members, a payment, a withdrawal and a restart, on the real parts: what
// was accepted stays, and the same order sent again gets its first receipt.
func TestStoryOnTheRealEngine(t *testing.T) {
	b := newRealBank(t)
	ctx := t.Context()
	charter := testCharter()
	client := Dial(b.url).Pin(charter.ID())
	numbers := map[string]ledger.AccountID{}
	var aliceLast ledger.Hash
	for _, name := range []string{"alice", "bob"} {
		order := &ledger.Order{Bank: charter.ID(), Body: &ledger.Open{Key: ledger.KeyOf(privateKey(name))}}
		if err := order.Sign(privateKey(name)); err != nil {
			t.Fatal(err)
		}
		a, err := client.Submit(ctx, order)
		if err != nil {
			t.Fatal(err)
		}
		if numbers[name] = a.Account; name == "alice" {
			aliceLast = a.Digest
		}
	}
	alice, bob := numbers["alice"], numbers["bob"]
	b.deposit(alice, 1_000_000)

	// Many payments in one request, through the real queue.
	orders := make([]*ledger.Order, 500)
	for i := range orders {
		orders[i] = &ledger.Order{Bank: charter.ID(), Payer: alice, Sequence: uint64(i + 1), Previous: aliceLast, Body: pay(bob, 10)}
		if err := orders[i].Sign(privateKey("alice")); err != nil {
			t.Fatal(err)
		}
		aliceLast = orders[i].Digest()
	}
	for i, o := range client.SubmitMany(ctx, orders) {
		if o.Err != nil {
			t.Fatalf("payment %d: %v", i, o.Err)
		}
	}
	script := append([]byte{0, 20}, make([]byte, 20)...)
	address, err := taproot.FormatScript(script, &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	quote, err := client.Quote(ctx, address, 50_000)
	if err != nil || quote.Fee <= 0 || quote.FeeMax < quote.Fee || quote.FeeRate != 2_000 {
		t.Fatalf("quote: %+v, %v", quote, err)
	}
	withdrawal := &ledger.Order{Bank: charter.ID(), Payer: alice, Sequence: 501, Previous: aliceLast,
		Body: &ledger.Withdraw{Amount: 50_000, FeeMax: quote.FeeMax, Script: script}}
	if err := withdrawal.Sign(privateKey("alice")); err != nil {
		t.Fatal(err)
	}
	first, err := client.Submit(ctx, withdrawal)
	if err != nil {
		t.Fatal(err)
	}

	// The bank restarts. While it is away nothing is refused for good.
	if err := b.engine.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Submit(ctx, withdrawal); !errors.Is(err, clearing.ErrStopped) {
		t.Errorf("while the bank is away: %v", err)
	}
	type answer struct {
		Acceptance
		err error
	}
	answered := make(chan answer, 1)
	go func() {
		a, err := client.SubmitUntilAnswered(ctx, withdrawal)
		answered <- answer{a, err}
	}()
	b.open()
	again := <-answered
	if again.err != nil || !again.Repeated || again.Receipt.Header != first.Receipt.Header {
		t.Errorf("after the restart: %+v, want the first receipt", again)
	}

	shown, err := client.Account(ctx, alice)
	if err != nil {
		t.Fatal(err)
	}
	if want := ledger.Amount(1_000_000 - 5_000); shown.Balance != want || shown.Held != 50_000+quote.FeeMax || shown.Sequence != 501 {
		t.Errorf("alice has %+v, want a balance of %v with the withdrawal held", shown, want)
	}
	b.waitForHistory(ctx, client, bob, 500)
	replica, err := ledger.NewState(charter)
	if err != nil {
		t.Fatal(err)
	}
	for batch, err := range client.Batches(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if err := replica.Append(batch, ledger.CheckAll); err != nil {
			t.Fatal(err)
		}
	}
	if replica.Balance(bob) != 5_000 {
		t.Errorf("a replica of the journal gives bob %v, want 5000 sat", replica.Balance(bob))
	}
	if list, err := client.Settlements(ctx, 1, 10); err != nil || len(list) != 0 {
		t.Errorf("settlements: %+v, %v, want none", list, err)
	}
}

// waitForHistory waits until the history, which may lag, has that many lines.
func (b *realBank) waitForHistory(ctx context.Context, client *Client, id ledger.AccountID, lines int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		h, err := client.History(ctx, id, "", maxLimit)
		if err != nil {
			b.Fatal(err)
		}
		if len(h.Movements) == lines {
			return
		}
		select {
		case <-ctx.Done():
			b.Fatalf("the history of account %s has %d lines, want %d", id, len(h.Movements), lines)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
