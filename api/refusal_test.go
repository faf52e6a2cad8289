package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// ask sends one request and returns its status and the refusal, if it is one.
func ask(t testing.TB, method, url string, body []byte) (status int, refused errorBody, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return answer.StatusCode, refused, answer.Header
	}
	var form errorForm
	if err := json.NewDecoder(answer.Body).Decode(&form); err != nil || form.Error == nil {
		t.Fatalf("%s %s: status %d, and the body is no error object: %v", method, url, answer.StatusCode, err)
	}
	return answer.StatusCode, *form.Error, answer.Header
}

// with changes one field of an order's JSON; nil removes it.
func with(t testing.TB, order *ledger.Order, name string, value any) []byte {
	t.Helper()
	text, err := EncodeOrder(order)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil {
		t.Fatal(err)
	}
	if object[name] = value; value == nil {
		delete(object, name)
	}
	if text, err = json.Marshal(object); err != nil {
		t.Fatal(err)
	}
	return text
}

// Each thing that can be wrong with an order has its code and its status, says
// what to do, and leaves the books as they were.
func TestBadOrdersChangeNothing(t *testing.T) {
	f := newFixture(t)
	alice, bob, closed := f.open("alice"), f.open("bob"), f.open("closed")
	f.deposit(alice, 100_000)
	if _, err := f.client.Submit(t.Context(), f.order("closed", &ledger.Close{})); err != nil {
		t.Fatal(err)
	}
	script := append([]byte{0, 20}, make([]byte, 20)...)
	hold := f.order("alice", &ledger.Withdraw{Amount: 60_000, FeeMax: 1_000, Script: script})
	if _, err := f.client.Submit(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	good := f.order("alice", pay(bob, 100))
	encoded := func(o *ledger.Order) []byte {
		text, err := EncodeOrder(o)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	changed := func(change func(o *ledger.Order)) []byte {
		o := *good
		change(&o)
		return encoded(f.signed("alice", &o))
	}
	body := func(b ledger.Body) []byte { return changed(func(o *ledger.Order) { o.Body = b }) }
	address := func(a string) []byte {
		o := *good
		o.Body = &ledger.Withdraw{Amount: 2_000, FeeMax: 10, Script: script}
		return bytes.Replace(encoded(&o), []byte(`"script":"`+fmt.Sprintf("%x", script)+`"`), []byte(`"address":"`+a+`"`), 1)
	}
	many := &ledger.Transfer{}
	for range ledger.MaxPayees + 1 {
		many.Payments = append(many.Payments, ledger.Payment{Payee: bob, Amount: 1})
	}
	mainnet, err := taproot.FormatScript(script, &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name   string
		body   []byte
		code   ledger.Code
		status int
	}{
		{"unknown payer", changed(func(o *ledger.Order) { o.Payer = 4711 }), ledger.CodeAccount, 404},
		{"unknown payee", body(pay(4711, 1)), ledger.CodeAccount, 404},
		{"payer is the bank's", changed(func(o *ledger.Order) { o.Payer = ledger.Treasury }), ledger.CodeSystemAccount, 422},
		{"payee is the vault", body(pay(ledger.Vault, 1)), ledger.CodeSystemAccount, 422},
		{"closed payee", body(pay(closed, 1)), ledger.CodeClosed, 422},
		{"wrong key", encoded(f.signed("bob", &ledger.Order{Payer: alice, Sequence: good.Sequence, Previous: good.Previous, Body: pay(bob, 1)})), ledger.CodeSignature, 403},
		{"no signature", with(t, good, "signature", strings.Repeat("00", 64)), ledger.CodeSignature, 403},
		{"changed after signing", with(t, good, "reference", "ff"), ledger.CodeSignature, 403},
		{"replayed sequence", changed(func(o *ledger.Order) { o.Sequence-- }), ledger.CodeSequenceUsed, 409},
		{"skipped sequence", changed(func(o *ledger.Order) { o.Sequence++ }), ledger.CodeSequenceGap, 409},
		{"another previous", changed(func(o *ledger.Order) { o.Previous[0]++ }), ledger.CodePrevious, 409},
		{"key has an account", encoded(f.signed("alice", &ledger.Order{Expiry: 1_000, Body: &ledger.Open{Key: ledger.KeyOf(privateKey("alice"))}})), ledger.CodeExists, 409},
		{"key off the curve", encoded(f.signed("alice", &ledger.Order{Body: &ledger.Open{Key: ledger.Key{31: 5}}})), ledger.CodeKey, 400},
		{"amount zero", body(pay(bob, 0)), ledger.CodeAmount, 422},
		{"amount negative", body(pay(bob, -1)), ledger.CodeAmount, 422},
		{"amount above 21 million BTC", body(pay(bob, ledger.MaxAmount+1)), ledger.CodeAmount, 422},
		{"amount beyond int64", with(t, good, "payments", []any{map[string]any{"payee": bob, "amount_sat": json.Number("92233720368547758070")}}), ledger.CodeAmount, 422},
		{"amount with a fraction", with(t, good, "payments", []any{map[string]any{"payee": bob, "amount_sat": json.Number("1.5")}}), ledger.CodeMalformed, 400},
		{"amount with a point", with(t, good, "payments", []any{map[string]any{"payee": bob, "amount_sat": json.Number("1.0")}}), ledger.CodeMalformed, 400},
		{"amount with an exponent", with(t, good, "payments", []any{map[string]any{"payee": bob, "amount_sat": json.Number("1e3")}}), ledger.CodeMalformed, 400},
		{"amount as text", with(t, good, "payments", []any{map[string]any{"payee": bob, "amount_sat": "100"}}), ledger.CodeMalformed, 400},
		{"amount null", with(t, good, "payments", []any{map[string]any{"payee": bob, "amount_sat": json.RawMessage("null")}}), ledger.CodeMalformed, 400},
		{"payments overflow", body(&ledger.Transfer{Payments: []ledger.Payment{{Payee: bob, Amount: ledger.MaxAmount}, {Payee: bob, Amount: 1}}}), ledger.CodeOverflow, 422},
		{"withdrawal overflows", body(&ledger.Withdraw{Amount: ledger.MaxAmount, FeeMax: 1, Script: script}), ledger.CodeOverflow, 422},
		{"payee is the payer", body(pay(alice, 1)), ledger.CodeSelfPayment, 422},
		{"no payee", with(t, good, "payments", []any{}), ledger.CodeNoPayee, 422},
		{"too many payees", body(many), ledger.CodeOversized, 413},
		{"long reference", with(t, good, "reference", strings.Repeat("ab", ledger.MaxReference+1)), ledger.CodeOversized, 413},
		{"more than is available with a hold", body(pay(bob, 40_000)), ledger.CodeFunds, 422},
		{"dust withdrawal", body(&ledger.Withdraw{Amount: 999, FeeMax: 10, Script: script}), ledger.CodeDust, 422},
		{"script that is not paid", body(&ledger.Withdraw{Amount: 2_000, FeeMax: 10, Script: []byte{0x6a}}), ledger.CodeScript, 422},
		{"address of another network", address(mainnet), CodeAddressNetwork, 400},
		{"address with a typing error", address("bcrt1qnonsense"), CodeAddressMalformed, 400},
		{"order for another bank", changed(func(o *ledger.Order) { o.Bank[0]++ }), ledger.CodeWrongBank, 422},
		{"expired order", changed(func(o *ledger.Order) { o.Expiry = 100 }), ledger.CodeExpired, 422},
		{"account not empty", body(&ledger.Close{}), ledger.CodeNotEmpty, 422},

		{"nothing", nil, ledger.CodeMalformed, 400},
		{"not JSON", []byte("pay bob"), ledger.CodeMalformed, 400},
		{"null", []byte("null"), ledger.CodeMalformed, 400},
		{"a list", []byte("[]"), ledger.CodeMalformed, 400},
		{"two orders", append(encoded(good), encoded(good)...), ledger.CodeMalformed, 400},
		{"cut short", encoded(good)[:100], ledger.CodeMalformed, 400},
		{"unknown field", with(t, good, "tip_sat", 5), ledger.CodeMalformed, 400},
		{"field of another kind", with(t, good, "script", "00"), ledger.CodeMalformed, 400},
		{"field in capitals", bytes.Replace(encoded(good), []byte(`"payer"`), []byte(`"Payer"`), 1), ledger.CodeMalformed, 400},
		{"missing field", with(t, good, "expiry", nil), ledger.CodeMalformed, 400},
		{"unknown kind", with(t, good, "kind", "settled"), ledger.CodeMalformed, 400},
		{"short hash", with(t, good, "previous", "00"), ledger.CodeMalformed, 400},
		{"negative sequence", with(t, good, "sequence", -1), ledger.CodeMalformed, 400},
		{"account as text", with(t, good, "payer", "16"), ledger.CodeMalformed, 400},
		{"oversized body", append(encoded(good), bytes.Repeat([]byte(" "), MaxOrderJSON)...), ledger.CodeOversized, 413},
	}
	head := f.head()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, refused, _ := ask(t, http.MethodPost, f.url+"/v1/orders", test.body)
			if refused.Code != test.code || status != test.status {
				t.Errorf("got %d %s (%s), want %d %s", status, refused.Code, refused.Message, test.status, test.code)
			}
			if len(refused.Message) < 15 {
				t.Errorf("the message does not say what to do: %q", refused.Message)
			}
			if f.head() != head {
				t.Fatal("the books changed")
			}
		})
	}
	// The order that all of these were made from is good.
	if status, refused, _ := ask(t, http.MethodPost, f.url+"/v1/orders", encoded(good)); status != http.StatusOK {
		t.Errorf("the good order: %d %v", status, refused)
	}
}

func TestBadQuestions(t *testing.T) {
	f := newFixture(t)
	f.open("alice")
	script := append([]byte{0, 20}, make([]byte, 20)...)
	regtest, err := taproot.FormatScript(script, &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	mainnet, err := taproot.FormatScript(script, &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}
	other := testCharter()
	other.Name = "Another Bank"
	tests := []struct {
		path   string
		code   ledger.Code
		status int
	}{
		{"GET /v1/accounts/4711", ledger.CodeAccount, 404},
		{"GET /v1/accounts/alice", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/-1", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/18446744073709551616", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/" + ledger.FormatAccount(other.ID(), 16), ledger.CodeWrongBank, 422},
		{"GET /v1/accounts/dao1qqqqqq", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/4711/history", ledger.CodeAccount, 404},
		{"GET /v1/accounts/16/history?before=1.2", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/16/history?before=1.2.99999999999", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/16/history?limit=0", ledger.CodeMalformed, 400},
		{"GET /v1/accounts/16/history?limit=many", ledger.CodeMalformed, 400},
		{"GET /v1/keys/" + strings.Repeat("0", 64), ledger.CodeAccount, 404},
		{"GET /v1/keys/00", ledger.CodeMalformed, 400},
		{"GET /v1/quote", CodeAddressMalformed, 400},
		{"GET /v1/quote?address=" + mainnet + "&amount_sat=5000", CodeAddressNetwork, 400},
		{"GET /v1/quote?address=" + regtest, ledger.CodeMalformed, 400},
		{"GET /v1/quote?address=" + regtest + "&amount_sat=0.5", ledger.CodeMalformed, 400},
		{"GET /v1/quote?address=" + regtest + "&amount_sat=0", ledger.CodeAmount, 422},
		{"GET /v1/quote?address=" + regtest + "&amount_sat=999", ledger.CodeDust, 422},
		{"GET /v1/batches/9999", CodeNotFound, 404},
		{"GET /v1/batches/0", CodeNotFound, 404},
		{"GET /v1/batches/last", ledger.CodeMalformed, 400},
		{"GET /v1/batches?from=-1", ledger.CodeMalformed, 400},
		{"GET /v1/settlements?from=4294967296", ledger.CodeMalformed, 400},
		{"GET /v1/orders/16/7", CodeNotFound, 404},
		{"GET /v1/orders/16/x", ledger.CodeMalformed, 400},
		{"POST /v1/orders/batch", ledger.CodeMalformed, 400},
		{"GET /", CodeNotFound, 404},
		{"GET /v2/bank", CodeNotFound, 404},
		{"GET /v1/orders", CodeMethod, 405},
		{"POST /v1/bank", CodeMethod, 405},
		{"DELETE /v1/accounts/16", CodeMethod, 405},
	}
	for _, test := range tests {
		method, path, _ := strings.Cut(test.path, " ")
		status, refused, header := ask(t, method, f.url+path, nil)
		if refused.Code != test.code || status != test.status {
			t.Errorf("%s: got %d %s (%s), want %d %s", test.path, status, refused.Code, refused.Message, test.status, test.code)
		}
		if status == http.StatusMethodNotAllowed && header.Get("Allow") == "" {
			t.Errorf("%s: the answer does not say which method is right", test.path)
		}
	}
}

// The bank's own troubles: never an order's fault, and with nothing of the
// inside in the answer.
func TestTroublesOfTheBank(t *testing.T) {
	f := newFixture(t)
	tests := []struct {
		fail   error
		code   ledger.Code
		status int
	}{
		{clearing.ErrBusy, clearing.CodeBusy, 503},
		{clearing.ErrStopped, clearing.CodeUnavailable, 503},
		{fmt.Errorf("view: %w", context.DeadlineExceeded), clearing.CodeUnavailable, 503},
		{errors.New("password=hunter2 refused"), CodeInternal, 500},
	}
	order, err := EncodeOrder(f.signed("alice", &ledger.Order{Body: &ledger.Open{Key: ledger.KeyOf(privateKey("alice"))}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		f.fail = test.fail
		for _, request := range []string{"POST /v1/orders", "GET /v1/bank", "GET /v1/accounts/16", "GET /v1/settlements"} {
			method, path, _ := strings.Cut(request, " ")
			status, refused, header := ask(t, method, f.url+path, order)
			if refused.Code != test.code || status != test.status {
				t.Errorf("%s with %v: got %d %s, want %d %s", request, test.fail, status, refused.Code, test.status, test.code)
			}
			if (header.Get("Retry-After") != "") != (test.status == http.StatusServiceUnavailable) {
				t.Errorf("%s with %v: Retry-After is %q", request, test.fail, header.Get("Retry-After"))
			}
			if strings.Contains(refused.Message, "hunter2") {
				t.Errorf("%s shows the inside: %s", request, refused.Message)
			}
		}
	}
	f.fail = errors.New("the node does not answer")
	if status, refused, _ := ask(t, "GET", f.url+"/readyz", nil); status != 503 || !strings.Contains(refused.Message, "the node does not answer") {
		t.Errorf("readyz: got %d %v", status, refused)
	}
	if status, _, _ := ask(t, "GET", f.url+"/healthz", nil); status != 200 {
		t.Errorf("healthz: got %d", status)
	}
	f.fail = nil
	if status, _, _ := ask(t, "GET", f.url+"/readyz", nil); status != 200 {
		t.Errorf("readyz: got %d", status)
	}
}

// A code without a status would be answered as a fault of the bank.
func TestEveryCodeHasAStatus(t *testing.T) {
	codes := 0
	for _, file := range []string{"../ledger/errors.go", "../clearing/errors.go", "error.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			code, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes++
			if _, ok := statuses[ledger.Code(code)]; !ok {
				t.Errorf("%s: the code %q has no status", file, code)
			}
			return true
		})
	}
	if codes != len(statuses) {
		t.Errorf("%d codes are declared, %d have a status", codes, len(statuses))
	}
}
