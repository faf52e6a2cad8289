package api

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"
	"strings"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
)

// Clearing carries out orders and shows the books. clearing.Engine is one.
type Clearing interface {
	Submit(ctx context.Context, order *ledger.Order) (clearing.Acceptance, error)
	SubmitMany(ctx context.Context, orders []*ledger.Order) []clearing.Outcome
	View(ctx context.Context, read func(*ledger.State)) error
}

// Journal reads what was accepted. postgres.Store is one.
type Journal interface {
	Batch(ctx context.Context, number uint64) (*ledger.Batch, error)
	Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error]
	History(ctx context.Context, account ledger.AccountID, before postgres.Cursor, limit int) ([]postgres.Movement, error)
	HeaderHashes(ctx context.Context, first, last uint64) ([]ledger.Hash, error)
	FindOrder(ctx context.Context, ref ledger.OrderRef) (batch uint64, index int, err error)
}

// Attestations reads what guardians attested. postgres.Store is one.
type Attestations interface {
	Attested(ctx context.Context, threshold int, guardians [][33]byte) (uint64, error)
	AttestationsOf(ctx context.Context, batch uint64) ([]postgres.Attestation, error)
}

// Desk prices withdrawals and lists settlements. settlement.Desk is one.
type Desk interface {
	Quote(ctx context.Context, script []byte) (settlement.Quote, error)
	Settlements(ctx context.Context, from uint32, limit int) ([]settlement.Status, error)
	Withdrawal(ctx context.Context, ref ledger.OrderRef) (*settlement.Withdrawal, error)
}

var (
	_ Clearing     = (*clearing.Engine)(nil)
	_ Journal      = (*postgres.Store)(nil)
	_ Attestations = (*postgres.Store)(nil)
	_ Desk         = (*settlement.Desk)(nil)
)

// Config is what the HTTP edge stands on. All fields are needed.
type Config struct {
	Clearing     Clearing
	Journal      Journal
	Attestations Attestations
	Desk         Desk
	Vaults       *netting.Vaults
	Charter      ledger.Charter
	// Councils are the guardians by generation of the vault's key.
	Councils func() []Council
	// Ready returns why the bank cannot work now: the engine, the database or
	// the node. Its text is shown to everyone who asks.
	Ready func(context.Context) error
	Log   *slog.Logger
}

// A bank answers the requests.
type bank struct {
	Config
	id     ledger.BankID
	params *chaincfg.Params
	mux    *http.ServeMux
	tree   journalTree
}

// A route is one endpoint. A test checks that docs/api.md has each of them.
type route struct {
	pattern string
	// handle returns what is answered with status 200, or an error.
	handle func(*http.Request) (any, error)
	// stream answers by itself; it is set instead of handle.
	stream func(http.ResponseWriter, *http.Request) error
}

func (b *bank) routes() []route {
	return []route{
		{pattern: "GET /v1/bank", handle: b.getBank},
		{pattern: "POST /v1/orders", handle: b.postOrder},
		{pattern: "POST /v1/orders/batch", stream: b.postOrders},
		{pattern: "GET /v1/orders/{payer}/{sequence}", handle: b.getOrder},
		{pattern: "GET /v1/accounts/{account}", handle: b.getAccount},
		{pattern: "GET /v1/accounts/{account}/history", handle: b.getHistory},
		{pattern: "GET /v1/keys/{key}", handle: b.getKey},
		{pattern: "GET /v1/quote", handle: b.getQuote},
		{pattern: "GET /v1/batches", handle: b.getBatches},
		{pattern: "GET /v1/batches/{number}", handle: b.getBatch},
		{pattern: "GET /v1/attestations/{batch}", handle: b.getAttestations},
		{pattern: "GET /v1/settlements", handle: b.getSettlements},
		{pattern: "GET /v1/proofs/cuts", handle: b.getCuts},
		{pattern: "GET /v1/proofs/balance/{account}", handle: b.getBalanceProof},
		{pattern: "GET /v1/proofs/journal/{batch}", handle: b.getJournalProof},
		{pattern: "GET /v1/proofs/consistency", handle: b.getConsistencyProof},
		{pattern: "GET /v1/withdrawals/{payer}/{sequence}", handle: b.getWithdrawal},
		{pattern: "GET /healthz", handle: getHealth},
		{pattern: "GET /readyz", handle: b.getReady},
	}
}

// NewHandler returns the bank's HTTP API.
func NewHandler(config Config) http.Handler {
	newest, _ := config.Vaults.Newest()
	b := &bank{Config: config, id: config.Charter.ID(), params: newest.Params(), mux: http.NewServeMux()}
	for _, r := range b.routes() {
		b.mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			if r.stream != nil {
				if err := r.stream(w, req); err != nil {
					b.refuse(w, req, err)
				}
				return
			}
			answer, err := r.handle(req)
			if err != nil {
				b.refuse(w, req, err)
				return
			}
			b.answer(w, req, http.StatusOK, answer)
		})
	}
	b.mux.HandleFunc("/", b.notFound)
	return b.mux
}

func (b *bank) answer(w http.ResponseWriter, req *http.Request, status int, answer any) {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	lines.SetEscapeHTML(false) // a descriptor has < and >, and nothing here is HTML
	if err := lines.Encode(answer); err != nil {
		b.refuse(w, req, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // whoever hung up is not told
}

func (b *bank) refuse(w http.ResponseWriter, req *http.Request, err error) {
	e := refusal(err)
	status := statusOf(e.Code)
	if status == http.StatusInternalServerError {
		b.Log.Error("a request met a fault", "method", req.Method, "path", req.URL.Path, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	b.answer(w, req, status, errorForm{Error: &errorBody{Code: e.Code, Message: e.Message}})
}

// notFound answers what no route matches, and tells a wrong method from a page
// that does not exist.
func (b *bank) notFound(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := &http.Request{Method: method, URL: req.URL, Host: req.Host}
		if _, pattern := b.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		b.refuse(w, req, &ledger.Error{Code: CodeNotFound, Message: "there is no such page: docs/api.md lists them all"})
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	b.refuse(w, req, &ledger.Error{Code: CodeMethod, Message: "this page is asked for with " + strings.Join(allowed, " or ")})
}
