package bitcoind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// fakeNode answers calls as reply says and counts them.
func fakeNode(t *testing.T, reply func(w http.ResponseWriter, id uint64)) (*Client, *atomic.Int32) {
	t.Helper()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var request rpcRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Errorf("request: %v", err)
		}
		reply(w, request.ID)
	}))
	t.Cleanup(server.Close)
	return newClient(Config{URL: server.URL, User: "user", Password: "password", Poll: time.Millisecond}), &calls
}

func TestCallOutcomes(t *testing.T) {
	say := func(status int, format string) func(http.ResponseWriter, uint64) {
		return func(w http.ResponseWriter, id uint64) {
			w.WriteHeader(status)
			io.WriteString(w, strings.ReplaceAll(format, "ID", fmt.Sprint(id)))
		}
	}
	hangUp := func(w http.ResponseWriter, _ uint64) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			connection.Close()
		}
	}
	tests := []struct {
		name      string
		reply     func(http.ResponseWriter, uint64)
		wantCode  int   // of an RPCError
		wantCause error // of a TransportError
		transport bool
	}{
		{name: "result", reply: say(200, `{"id":ID,"result":7,"error":null}`)},
		{name: "result without error field", reply: say(200, `{"id":ID,"result":7}`)},
		{name: "unknown fields", reply: say(200, `{"id":ID,"result":7,"warnings":["new"]}`)},
		{name: "error with status 500", reply: say(500, `{"id":ID,"result":null,"error":{"code":-5,"message":"no"}}`), wantCode: CodeNotFound},
		{name: "error with status 200", reply: say(200, `{"id":ID,"error":{"code":-8,"message":"no"}}`), wantCode: CodeInvalidParameter},
		{name: "method not found", reply: say(404, `{"id":ID,"result":null,"error":{"code":-32601,"message":"no"}}`), wantCode: CodeMethodNotFound},
		{name: "unauthorized", reply: say(401, ``), transport: true, wantCause: ErrUnauthorized},
		{name: "forbidden", reply: say(403, `no`), transport: true, wantCause: ErrUnauthorized},
		{name: "overloaded", reply: say(503, `Work queue depth exceeded`), transport: true},
		{name: "redirect", reply: say(307, ``), transport: true},
		{name: "garbage", reply: say(200, `<html>`), transport: true},
		{name: "empty", reply: say(200, ``), transport: true},
		{name: "truncated", reply: say(200, `{"id":ID,"result":`), transport: true},
		{name: "another call's id", reply: say(200, `{"id":0,"result":7}`), transport: true},
		{name: "no id", reply: say(200, `{"result":7}`), transport: true},
		{name: "no result", reply: say(200, `{"id":ID}`), transport: true},
		{name: "result of another type", reply: say(200, `{"id":ID,"result":"seven"}`), transport: true},
		{name: "status 500 with a result", reply: say(500, `{"id":ID,"result":7}`), transport: true},
		{name: "too large", reply: say(200, `{"id":ID,"result":"`+strings.Repeat("x", 2000)+`"}`), transport: true, wantCause: ErrResponseTooLarge},
		{name: "lost reply", reply: hangUp, transport: true, wantCause: io.EOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client, calls := fakeNode(t, test.reply)
			client.maxResponse = 1000
			var got int
			err := client.Call(t.Context(), "method", &got, 1, "two")
			if n := calls.Load(); n != 1 {
				t.Errorf("the node saw %d calls, want 1", n)
			}
			var refused *RPCError
			var transport *TransportError
			switch {
			case test.wantCode != 0:
				if !errors.As(err, &refused) || refused.Code != test.wantCode || refused.Method != "method" {
					t.Errorf("error %v, want code %d", err, test.wantCode)
				}
			case test.transport:
				if !errors.As(err, &transport) || (test.wantCause != nil && !errors.Is(err, test.wantCause)) {
					t.Errorf("error %v, want a TransportError of %v", err, test.wantCause)
				}
			case err != nil || got != 7:
				t.Errorf("got %d, %v; want 7", got, err)
			}
		})
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	client, calls := fakeNode(t, func(http.ResponseWriter, uint64) { <-release })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- client.Call(ctx, "slow", nil) }()
	for calls.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	err := <-failed
	var transport *TransportError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &transport) {
		t.Errorf("error %v, want a TransportError of context.Canceled", err)
	}
}

func TestCallToNobody(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := Dial(t.Context(), Config{URL: server.URL})
	var transport *TransportError
	if !errors.As(err, &transport) || transport.Status != 0 {
		t.Errorf("error %v, want a TransportError without status", err)
	}
}

func TestRPCErrorIsComparedByCode(t *testing.T) {
	err := fmt.Errorf("context: %w", &RPCError{Method: "m", Code: -26, Message: "dust"})
	if !errors.Is(err, &RPCError{Code: CodeVerifyRejected}) || errors.Is(err, &RPCError{Code: CodeVerifyError}) {
		t.Error("errors.Is does not compare codes")
	}
}

func TestWaitTellsTheLastStateSeen(t *testing.T) {
	const reply = `{"id":%d,"result":{"chain":"regtest","blocks":3,"bestblockhash":"` +
		`0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"}}`
	var answered atomic.Int32
	client, _ := fakeNode(t, func(w http.ResponseWriter, id uint64) {
		if answered.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable) // a wait passes over this
			return
		}
		fmt.Fprintf(w, reply, id)
	})
	retried := make(chan error, 1)
	client.config.OnRetry = func(err error) {
		select {
		case retried <- err:
		default:
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- client.WaitHeight(ctx, 4) }()
	<-retried
	for answered.Load()%2 == 0 { // until the next good answer
		time.Sleep(100 * time.Microsecond)
	}
	cancel()
	err := <-failed
	var wait *WaitError
	if !errors.As(err, &wait) || !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want a WaitError of context.Canceled", err)
	}
	if wait.For != "height 4" || (!strings.HasPrefix(wait.Last, "tip 3 ") && !strings.Contains(wait.Last, "503")) {
		t.Errorf("error %q does not tell the last state", err)
	}
}

func TestWaitEndsAtAnErrorThatDoesNotPass(t *testing.T) {
	client, _ := fakeNode(t, func(w http.ResponseWriter, _ uint64) { w.WriteHeader(http.StatusUnauthorized) })
	if err := client.WaitHeight(t.Context(), 1); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("error %v, want ErrUnauthorized", err)
	}
}

// answering is a client of a node that gives each method one answer: a result, or
// a member "error" of its own.
func answering(t *testing.T, answers map[string]string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request rpcRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Errorf("request: %v", err)
		}
		answer, known := answers[request.Method]
		if !known {
			answer = `"error":{"code":-32601,"message":"Method not found"}`
		} else if !strings.HasPrefix(answer, `"error":`) {
			answer = `"result":` + answer
		}
		fmt.Fprintf(w, `{"id":%d,%s}`, request.ID, answer)
	}))
	t.Cleanup(server.Close)
	return newClient(Config{URL: server.URL, Poll: time.Millisecond})
}

// TestTxWhileTheNodeIndexes: what a node does not find while it makes its txindex
// is not known to be missing.
func TestTxWhileTheNodeIndexes(t *testing.T) {
	const unknown = `"error":{"code":-5,"message":"No such mempool transaction"}`
	for name, test := range map[string]struct {
		index string
		want  error
	}{
		"no index":    {`{}`, ErrTxNotFound},
		"synced":      {`{"txindex":{"synced":true,"best_block_height":7}}`, ErrTxNotFound},
		"being made":  {`{"txindex":{"synced":false,"best_block_height":3}}`, ErrIndexing},
		"other index": {`{"basic block filter index":{"synced":false}}`, ErrTxNotFound},
	} {
		client := answering(t, map[string]string{"getrawtransaction": unknown, "getindexinfo": test.index})
		if _, _, _, err := client.Tx(t.Context(), chainhash.Hash{1}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if !transient(fmt.Errorf("wrapped: %w", ErrIndexing)) {
		t.Error("a wait does not pass over ErrIndexing")
	}
}

// TestAnAnswerThatMakesNoSenseDoesNotPass: to ask again would be to ask for ever.
func TestAnAnswerThatMakesNoSenseDoesNotPass(t *testing.T) {
	client := answering(t, map[string]string{"getbestblockhash": `{"hash":"of another version"}`, "getblockhash": `7`})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var last error
	for _, err := range client.Follow(ctx, Block{Height: 1, Hash: chainhash.Hash{1}}) {
		last = err
	}
	var transport *TransportError
	if !errors.As(last, &transport) || errors.Is(last, context.DeadlineExceeded) {
		t.Errorf("%v, want a TransportError at once", last)
	}
}

// TestWaitTellsItsOnlyLook: the context ended during the first look, which saw
// something all the same.
func TestWaitTellsItsOnlyLook(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := newClient(Config{}).wait(ctx, "nothing", func() (bool, string, error) { return false, "a state", nil })
	var wait *WaitError
	if !errors.As(err, &wait) || wait.Last != "a state" || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a WaitError that saw a state", err)
	}
}

// TestCallInTurn has two calls in one request, whose answers must all be there, in
// their order.
func TestCallInTurn(t *testing.T) {
	for name, test := range map[string]struct {
		reply string
		want  error // nil: two results
	}{
		"both":             {`[{"id":1,"result":null},{"id":2,"result":"x"}]`, nil},
		"one is an error":  {`[{"id":1,"result":null},{"id":2,"error":{"code":-25,"message":"no"}}]`, &RPCError{Code: -25}},
		"one is missing":   {`[{"id":1,"result":null}]`, &TransportError{}},
		"they are swapped": {`[{"id":2,"result":null},{"id":1,"result":null}]`, &TransportError{}},
		"one for all":      {`{"id":1,"result":null}`, &TransportError{}},
		"none":             {``, &TransportError{}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var requests []rpcRequest
			if err := json.NewDecoder(r.Body).Decode(&requests); err != nil || len(requests) != 2 {
				t.Errorf("%s: %d requests, %v", name, len(requests), err)
			}
			io.WriteString(w, test.reply)
		}))
		client := newClient(Config{URL: server.URL})
		results, err := client.callInTurn(t.Context(), "submitblock", [][]any{{"a"}, {"b"}})
		server.Close()
		switch want := test.want.(type) {
		case nil:
			if err != nil || len(results) != 2 || string(results[0]) != "null" || string(results[1]) != `"x"` {
				t.Errorf("%s: %s, %v", name, results, err)
			}
		case *RPCError:
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		case *TransportError:
			if !errors.As(err, &want) {
				t.Errorf("%s: %v, want a TransportError", name, err)
			}
		}
	}
}
