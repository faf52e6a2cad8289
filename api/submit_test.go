package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

// One request carries many orders; each is answered for itself, in order.
func TestOrdersOfABatchAreAnsweredEachForItself(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 1_000_000)
	orders := f.chain("alice", chunk+10, pay(bob, 1))
	broke := f.order("bob", pay(alice, 999_999))
	orders = append(orders[:5:5], append([]*ledger.Order{broke}, orders[5:]...)...)

	for i, o := range f.client.SubmitMany(t.Context(), orders) {
		switch {
		case i == 5 && ledger.CodeOf(o.Err) != ledger.CodeFunds:
			t.Errorf("order 5 has not the funds: got %v", o.Err)
		case i != 5 && (o.Err != nil || o.Acceptance.Digest != orders[i].Digest() || o.Acceptance.Account != alice):
			t.Fatalf("order %d: %+v", i, o)
		}
	}
	for i, o := range f.client.SubmitMany(t.Context(), orders[:5]) {
		if o.Err != nil || !o.Acceptance.Repeated {
			t.Errorf("order %d, sent again: %+v", i, o)
		}
	}
	if account, err := f.client.Account(t.Context(), bob); err != nil || account.Balance != chunk+10 {
		t.Errorf("bob has %v, want %d sat (%v)", account.Balance, chunk+10, err)
	}
}

// After the first order without room, none is carried out: the ones behind it
// could only be refused for the gap.
func TestBusyEndsABatch(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 1_000_000)
	f.busyAt = chunk - 1
	for i, o := range f.client.SubmitMany(t.Context(), f.chain("alice", 2*chunk, pay(bob, 1))) {
		if i < chunk-1 && o.Err != nil || i >= chunk-1 && !errors.Is(o.Err, clearing.ErrBusy) {
			t.Fatalf("order %d: %v", i, o.Err)
		}
	}
}

func TestBatchThatCannotBeReadChangesNothing(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 1_000_000)
	good := f.order("alice", pay(bob, 1)).Bytes()
	head := f.head()
	tests := []struct {
		name   string
		body   []byte
		code   ledger.Code
		status int
	}{
		{"cut short", append(bytes.Clone(good), good[:50]...), ledger.CodeMalformed, 400},
		{"an event", append(bytes.Clone(good), 1, 64), ledger.CodeMalformed, 400},
		{"JSON", []byte("{}"), ledger.CodeMalformed, 400},
		{"too many orders", bytes.Repeat((&ledger.Order{Body: &ledger.Close{}}).Bytes(), MaxOrders+1), ledger.CodeOversized, 413},
		{"too many bytes", make([]byte, MaxOrdersSize+1), ledger.CodeOversized, 413},
	}
	for _, test := range tests {
		status, refused, _ := ask(t, http.MethodPost, f.url+"/v1/orders/batch", test.body)
		if refused.Code != test.code || status != test.status || f.head() != head {
			t.Errorf("%s: got %d %s (%s), want %d %s and the same books", test.name, status, refused.Code, refused.Message, test.status, test.code)
		}
	}
}

// More orders than one request may carry are sent in several.
func TestClientSplitsManyOrders(t *testing.T) {
	f := newFixture(t)
	var requests atomic.Int64
	handler := NewHandler(f.config)
	client := Dial(f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		handler.ServeHTTP(w, r)
	})))
	big := &ledger.Transfer{Payments: make([]ledger.Payment, ledger.MaxPayees)}
	orders := make([]*ledger.Order, 600) // 16 KiB each, 9.6 MiB in all
	for i := range orders {
		orders[i] = &ledger.Order{Payer: ledger.AccountID(i), Body: big}
	}
	for i, o := range client.SubmitMany(t.Context(), orders) {
		if ledger.CodeOf(o.Err) != ledger.CodeWrongBank {
			t.Fatalf("order %d: %v", i, o.Err)
		}
	}
	if n := requests.Load(); n != 4 {
		t.Errorf("%d requests, want one for the charter and three for the orders", n)
	}
}

// An answer that proves nothing is never taken for an acceptance.
func TestClientRefusesFalseReceipts(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 1_000_000)
	handler := NewHandler(f.config)
	for _, test := range []struct {
		name string
		lie  func(*ledger.Receipt)
	}{
		{"another signature", func(r *ledger.Receipt) { r.Header.Signature[0]++ }},
		{"another root", func(r *ledger.Receipt) { r.Header.Root[0]++ }},
		{"another bank", func(r *ledger.Receipt) { r.Header.Bank[0]++ }},
		{"another place", func(r *ledger.Receipt) { r.Index++ }},
		{"a path too long", func(r *ledger.Receipt) { r.Path = append(r.Path, ledger.Hash{1}) }},
	} {
		liar := &lyingBank{fakeBank: f.fakeBank, lie: test.lie}
		config := f.config
		config.Clearing = liar
		client := Dial(f.serve(NewHandler(config)))
		order := f.order("alice", pay(bob, 1))
		if _, err := client.Submit(t.Context(), order); !errors.Is(err, ErrReceipt) || ledger.CodeOf(err) != "" {
			t.Errorf("%s: Submit: %v", test.name, err)
		}
		if out := client.SubmitMany(t.Context(), []*ledger.Order{order}); !errors.Is(out[0].Err, ErrReceipt) {
			t.Errorf("%s: SubmitMany: %v", test.name, out[0].Err)
		}
	}
	// A true receipt of another order, when the header is known to be good.
	client := Dial(f.serve(handler))
	first := f.order("alice", pay(bob, 1))
	a, err := client.Submit(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.proof.verify(f.order("alice", pay(bob, 2)), &a.Receipt); !errors.Is(err, ErrReceipt) {
		t.Errorf("the receipt of another order: %v", err)
	}
}

// lyingBank is a fakeBank that changes its receipts.
type lyingBank struct {
	*fakeBank
	lie func(*ledger.Receipt)
}

func (l *lyingBank) Submit(ctx context.Context, o *ledger.Order) (clearing.Acceptance, error) {
	a, err := l.fakeBank.Submit(ctx, o)
	l.lie(&a.Receipt)
	return a, err
}

func (l *lyingBank) SubmitMany(ctx context.Context, orders []*ledger.Order) []clearing.Outcome {
	outcomes := l.fakeBank.SubmitMany(ctx, orders)
	for i := range outcomes {
		l.lie(&outcomes[i].Acceptance.Receipt)
	}
	return outcomes
}

// A bank that restarts loses answers in every way there is. The order is
// carried out once and its receipt arrives.
func TestOrderIsSentUntilItIsAnswered(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.open("alice"), f.open("bob")
	f.deposit(alice, 1_000_000)
	handler := NewHandler(f.config)
	var attempts atomic.Int64
	client := Dial(f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/orders" {
			handler.ServeHTTP(w, r)
			return
		}
		switch attempts.Add(1) {
		case 1: // gone before it read the order
			panic(http.ErrAbortHandler)
		case 2: // carried out, and gone before it answered
			handler.ServeHTTP(discard{}, r)
			panic(http.ErrAbortHandler)
		case 3: // something in between says that the bank is not there
			http.Error(w, "<html>Bad Gateway</html>", http.StatusBadGateway)
		case 4: // gone in the middle of the answer
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"account":`)
		default:
			handler.ServeHTTP(w, r)
		}
	})))
	order := f.order("alice", pay(bob, 100))
	a, err := client.SubmitUntilAnswered(t.Context(), order)
	if err != nil || !a.Repeated || attempts.Load() != 5 {
		t.Fatalf("after %d attempts: %+v, %v", attempts.Load(), a, err)
	}
	if account, err := client.Account(t.Context(), bob); err != nil || account.Balance != 100 {
		t.Errorf("bob has %v, want 100 sat once (%v)", account.Balance, err)
	}
	// A refusal is an answer.
	attempts.Store(4)
	if _, err := client.SubmitUntilAnswered(t.Context(), f.order("alice", pay(bob, 999_999_999))); ledger.CodeOf(err) != ledger.CodeFunds || attempts.Load() != 5 {
		t.Errorf("after %d attempts: %v, want one refusal", attempts.Load()-4, err)
	}
}

// discard is where an answer goes that nobody receives.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestNoAnswerIsNoRefusal(t *testing.T) {
	f := newFixture(t)
	order := f.signed("alice", &ledger.Order{Body: &ledger.Open{Key: ledger.KeyOf(privateKey("alice"))}})
	gone := Dial("http://127.0.0.1:1") // nobody listens on tcpmux
	gone.bank, gone.proof = &Bank{}, newVerifier(testCharter())
	_, err := gone.Submit(t.Context(), order)
	var transport *TransportError
	if !errors.As(err, &transport) || ledger.CodeOf(err) != "" || !Unanswered(err) {
		t.Errorf("Submit: %v", err)
	}
	for _, o := range gone.SubmitMany(t.Context(), []*ledger.Order{order, order}) {
		if !errors.As(o.Err, &transport) {
			t.Errorf("SubmitMany: %v", o.Err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := gone.SubmitUntilAnswered(ctx, order); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &transport) || !Unanswered(err) {
		t.Errorf("SubmitUntilAnswered: %v", err)
	}
}

func TestClientKnowsItsBank(t *testing.T) {
	f := newFixture(t)
	order := f.signed("alice", &ledger.Order{Body: &ledger.Open{Key: ledger.KeyOf(privateKey("alice"))}})
	head := f.head()
	other := testCharter()
	other.Name = "Another Bank"
	if _, err := Dial(f.url).Pin(other.ID()).Submit(t.Context(), order); !errors.Is(err, ErrBank) {
		t.Errorf("another bank than the one pinned: %v", err)
	}
	// A bank that claims an id that does not follow from its charter.
	handler := NewHandler(f.config)
	id := testCharter()
	liar := f.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer bytes.Buffer
		handler.ServeHTTP(recorder{&answer, w}, r)
		_, _ = io.WriteString(w, strings.Replace(answer.String(), id.ID().String(), other.ID().String(), 1))
	}))
	if _, err := Dial(liar).Pin(other.ID()).Submit(t.Context(), order); !errors.Is(err, ErrBank) {
		t.Errorf("a false id: %v", err)
	}
	if f.head() != head {
		t.Error("an order was sent to a bank that was not the right one")
	}
	if _, err := Dial(f.url).Pin(id.ID()).Submit(t.Context(), order); err != nil {
		t.Errorf("the right bank: %v", err)
	}
}

// recorder keeps the body of an answer.
type recorder struct {
	*bytes.Buffer
	w http.ResponseWriter
}

func (r recorder) Header() http.Header { return http.Header{} }
func (r recorder) WriteHeader(int)     {}

// What a bank writes is shown on terminals.
func TestMessagesCannotSteerATerminal(t *testing.T) {
	f := newFixture(t)
	client := Dial(f.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":{"code":"x\u001b","message":"a\u001b[2Jb\nc"}}`)
	})))
	_, err := client.Account(t.Context(), 16)
	if err == nil || err.Error() != "a [2Jb c" || ledger.CodeOf(err) != "x " {
		t.Errorf("got %q %q", err, ledger.CodeOf(err))
	}
}

// chain is n orders of a member, each the next of the one before.
func (f *fixture) chain(name string, n int, body ledger.Body) []*ledger.Order {
	f.Helper()
	orders := []*ledger.Order{f.order(name, body)}
	for len(orders) < n {
		last := orders[len(orders)-1]
		next := *last
		next.Sequence, next.Previous = last.Sequence+1, last.Digest()
		orders = append(orders, f.signed(name, &next))
	}
	return orders
}
