package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// privateKey is a key made from a name: the same in every run.
func privateKey(name string) *btcec.PrivateKey {
	seed := sha256.Sum256([]byte("daobank api test key " + name))
	priv, _ := btcec.PrivKeyFromBytes(seed[:])
	return priv
}

func testCharter() ledger.Charter {
	return ledger.Charter{
		Name: "Bank of the Edge", Chain: sha256.Sum256([]byte("genesis")),
		Operator:    ledger.KeyOf(privateKey("operator")),
		BirthHeight: 100, BirthHash: sha256.Sum256([]byte("birth")),
		Depth: 3, WithdrawalMin: 1000,
	}
}

// testVaults are those of a bank that has had one key.
func testVaults(t testing.TB) *netting.Vaults {
	charter := testCharter()
	return netting.NewVaults(charter.ID(), testVault(t))
}

func testVault(t testing.TB) *taproot.Vault {
	t.Helper()
	p := taproot.Policy{
		Threshold: 3, Guardians: 5, Network: "regtest",
		Recovery: taproot.Recovery{Threshold: 1, Delay: 144},
	}
	copy(p.GroupKey[:], privateKey("group").PubKey().SerializeCompressed())
	p.Recovery.Keys = []taproot.XOnlyKey{taproot.XOnlyKey(schnorr.SerializePubKey(privateKey("recovery").PubKey()))}
	v, err := taproot.NewVault(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fakeBank is a fake of the clearing engine, its journal and the desk: real
// books, each order a batch of its own, and nothing behind them: no queue, no
// disk. The story of this package runs on the real ones.
type fakeBank struct {
	mu           sync.Mutex
	state        *ledger.State
	batches      []*ledger.Batch
	places       map[ledger.OrderRef]uint64
	moves        []postgres.Movement
	attestations []postgres.Attestation // by guardian, one of each
	fail         error                  // what everything answers, if set
	busyAt       int                    // the order of a SubmitMany that the queue has no room for; 0 is none
}

var (
	_ Clearing = (*fakeBank)(nil)
	_ Journal  = (*fakeBank)(nil)
	_ Desk     = (*fakeBank)(nil)

	_ Attestations = (*fakeBank)(nil)
)

func newFakeBank(t testing.TB) *fakeBank {
	t.Helper()
	state, err := ledger.NewState(testCharter())
	if err != nil {
		t.Fatal(err)
	}
	return &fakeBank{state: state, places: map[ledger.OrderRef]uint64{}}
}

func (f *fakeBank) Submit(_ context.Context, order *ledger.Order) (clearing.Acceptance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return clearing.Acceptance{}, f.fail
	}
	return f.accept(order)
}

func (f *fakeBank) SubmitMany(_ context.Context, orders []*ledger.Order) []clearing.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	outcomes := make([]clearing.Outcome, len(orders))
	for i, order := range orders {
		switch {
		case f.fail != nil:
			outcomes[i].Err = f.fail
		case f.busyAt > 0 && i >= f.busyAt:
			outcomes[i].Err = clearing.ErrBusy
		default:
			outcomes[i].Acceptance, outcomes[i].Err = f.accept(order)
		}
	}
	return outcomes
}

func (f *fakeBank) accept(order *ledger.Order) (clearing.Acceptance, error) {
	if err := order.Check(f.state.Bank()); err != nil {
		return clearing.Acceptance{}, err
	}
	ref := ledger.OrderRef{Payer: order.Payer, Sequence: order.Sequence}
	key := ledger.Key{}
	if open, ok := order.Body.(*ledger.Open); ok {
		key = open.Key
		ref.Payer, _ = f.state.Lookup(key)
	} else if account, ok := f.state.Account(order.Payer); ok {
		key = account.Key
	}
	if number := f.places[ref]; number != 0 {
		b := f.batches[number-1]
		if first, err := ledger.DecodeOrder(b.Entries[0]); err == nil && first.Digest() == order.Digest() {
			return f.acceptance(b, ref.Payer, order, true), nil
		}
	}
	if err := f.state.CanApplyOrder(order); err != nil {
		return clearing.Acceptance{}, err
	}
	if err := order.Verify(key); err != nil {
		return clearing.Acceptance{}, err
	}
	effects, err := f.apply(ledger.Entry{Order: order})
	if err != nil {
		return clearing.Acceptance{}, err
	}
	if effects.Opened != 0 {
		ref.Payer = effects.Opened
	}
	b := f.batches[len(f.batches)-1]
	f.places[ref] = b.Header.Number
	return f.acceptance(b, ref.Payer, order, false), nil
}

func (f *fakeBank) acceptance(b *ledger.Batch, account ledger.AccountID, order *ledger.Order, repeated bool) clearing.Acceptance {
	a := clearing.Acceptance{Receipt: ledger.Receipt{Header: b.Header}, Repeated: repeated}
	if order.Kind() == ledger.KindOpen {
		a.Account = account
	}
	return a
}

// apply makes a batch of one entry.
func (f *fakeBank) apply(e ledger.Entry) (ledger.Effects, error) {
	effects, err := f.state.Apply(e)
	if err != nil {
		return effects, err
	}
	number := f.state.Last().Number + 1
	for i, p := range effects.Postings {
		at := postgres.Cursor{Batch: number, Line: uint32(i)}
		m := postgres.Movement{Cursor: at, Account: p.Debit, Counterparty: p.Credit, Amount: -p.Amount, Kind: e.Kind(), UnixMilli: 1}
		n := postgres.Movement{Cursor: at, Account: p.Credit, Counterparty: p.Debit, Amount: p.Amount, Kind: e.Kind(), UnixMilli: 1}
		if e.Order != nil {
			m.Sequence, n.Sequence = e.Order.Sequence, e.Order.Sequence
			if t, ok := e.Order.Body.(*ledger.Transfer); ok {
				m.Reference, n.Reference = t.Reference, t.Reference
			}
		}
		f.moves = append(f.moves, m, n)
	}
	header := f.state.Next(e.Leaf(), 1, 1, number)
	signed, err := header.Sign(privateKey("operator"))
	if err != nil {
		return effects, err
	}
	f.batches = append(f.batches, &ledger.Batch{Header: signed, Entries: [][]byte{e.Bytes()}})
	return effects, f.state.Seal(&header)
}

func (f *fakeBank) View(_ context.Context, read func(*ledger.State)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	read(f.state)
	return nil
}

func (f *fakeBank) Batch(_ context.Context, number uint64) (*ledger.Batch, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number == 0 || number > uint64(len(f.batches)) {
		return nil, fmt.Errorf("batch %d: %w", number, postgres.ErrNotFound)
	}
	return f.batches[number-1], nil
}

func (f *fakeBank) HeaderHashes(_ context.Context, first, last uint64) (list []ledger.Hash, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := first; n <= last && n <= uint64(len(f.batches)); n++ {
		list = append(list, f.batches[n-1].Header.Hash())
	}
	return list, f.fail
}

func (f *fakeBank) Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		for n := max(from, 1); ; n++ {
			b, err := f.Batch(ctx, n)
			if errors.Is(err, postgres.ErrNotFound) || !yield(b, err) {
				return
			}
		}
	}
}

func (f *fakeBank) History(_ context.Context, id ledger.AccountID, before postgres.Cursor, limit int) ([]postgres.Movement, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []postgres.Movement
	for i := len(f.moves) - 1; i >= 0 && len(list) < limit; i-- {
		m := f.moves[i]
		if m.Account == id && (before == (postgres.Cursor{}) || m.Batch < before.Batch || m.Batch == before.Batch && m.Line < before.Line) {
			list = append(list, m)
		}
	}
	return list, nil
}

func (f *fakeBank) FindOrder(_ context.Context, ref ledger.OrderRef) (batch uint64, index int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number := f.places[ref]; number != 0 {
		return number, 0, nil
	}
	return 0, 0, fmt.Errorf("order %s: %w", ref, postgres.ErrNotFound)
}

func (f *fakeBank) Quote(context.Context, []byte) (settlement.Quote, error) {
	return settlement.Quote{FeeRate: 2000, Fee: 86, FeeMax: 172, Height: 100}, f.fail
}

func (f *fakeBank) Withdrawal(_ context.Context, ref ledger.OrderRef) (*settlement.Withdrawal, error) {
	if ref.Sequence != 2 {
		return nil, postgres.ErrNotFound
	}
	return &settlement.Withdrawal{Payer: ref.Payer, Sequence: ref.Sequence, State: settlement.WithdrawalPaid, Amount: 70_000, Script: []byte{0, 1},
		Cut: &settlement.EntryPlace{Batch: 9}, Settlement: 2, Version: 1, TxID: "5e2f", Confirmations: 3,
		Posted: &settlement.EntryPlace{Batch: 13, Index: 1}}, nil
}

func (f *fakeBank) Settlements(_ context.Context, from uint32, limit int) ([]settlement.Status, error) {
	var list []settlement.Status
	for n := max(from, 1); n <= 3 && len(list) < limit; n++ {
		list = append(list, settlement.Status{Number: n, Stage: string(settlement.StagePosted), TxID: fmt.Sprintf("%064x", n)})
	}
	return list, f.fail
}

// fixture is the API over a fake bank, on a real HTTP connection.
type fixture struct {
	testing.TB
	*fakeBank
	config Config
	url    string
	client *Client
	next   *Council // guardians after the founding's, when they have changed
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, fakeBank: newFakeBank(t)}
	f.config = Config{
		Clearing: f.fakeBank, Journal: f.fakeBank, Attestations: f.fakeBank, Desk: f.fakeBank, Vaults: testVaults(t), Charter: testCharter(),
		Councils: func() []Council {
			councils := []Council{{Threshold: 3, Guardians: hostKeys(t)}}
			if f.next != nil {
				councils = append(councils, *f.next)
			}
			return councils
		},
		Ready: func(context.Context) error { return f.fakeBank.fail },
		Log:   slog.New(slog.DiscardHandler),
	}
	f.url = f.serve(NewHandler(f.config))
	f.client = Dial(f.url)
	return f
}

func (f *fixture) serve(h http.Handler) string {
	server := httptest.NewServer(h)
	f.Cleanup(server.Close)
	return server.URL
}

// open opens an account of that name and returns its number.
func (f *fixture) open(name string) ledger.AccountID {
	f.Helper()
	a, err := f.client.Submit(f.Context(), f.signed(name, &ledger.Order{Body: &ledger.Open{Key: ledger.KeyOf(privateKey(name))}}))
	if err != nil {
		f.Fatalf("open %s: %v", name, err)
	}
	return a.Account
}

// deposit credits an account as a block with a coin for it would.
func (f *fixture) deposit(id ledger.AccountID, amount ledger.Amount) {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	height, hash := f.state.Block()
	next := sha256.Sum256(fmt.Append(nil, "block ", height+1))
	for _, event := range []ledger.Event{
		&ledger.Block{Height: height + 1, Hash: next, Previous: hash},
		&ledger.Deposit{OutPoint: ledger.OutPoint{TxID: next}, Amount: amount, Index: id.Index(), Height: height + 1, TxIndex: 1},
	} {
		if _, err := f.apply(ledger.Entry{Event: event}); err != nil {
			f.Fatal(err)
		}
	}
}

// order is the next order of a member, signed.
func (f *fixture) order(name string, body ledger.Body) *ledger.Order {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	id, _ := f.state.Lookup(ledger.KeyOf(privateKey(name)))
	account, _ := f.state.Account(id)
	return f.signed(name, &ledger.Order{Payer: id, Sequence: account.Sequence + 1, Previous: account.Last, Body: body})
}

func (f *fixture) signed(name string, o *ledger.Order) *ledger.Order {
	f.Helper()
	if o.Bank.IsZero() {
		o.Bank = f.state.Bank()
	}
	if err := o.Sign(privateKey(name)); err != nil {
		f.Fatal(err)
	}
	return o
}

// head is the hash of the last batch: equal heads are equal books.
func (f *fixture) head() ledger.Hash {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Head()
}

func pay(payee ledger.AccountID, amount ledger.Amount) *ledger.Transfer {
	return &ledger.Transfer{Payments: []ledger.Payment{{Payee: payee, Amount: amount}}}
}
