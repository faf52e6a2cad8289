package bitcoind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Proxy stands between the code under test and a node's RPC, and does to chosen
// calls what networks and loaded nodes do. Without faults it passes everything
// on, byte for byte. It works for any JSON-RPC client, with batches as well.
type Proxy struct {
	config Config
	server *http.Server
	http   *http.Client
	served chan struct{} // closed when the server has ended

	mu      sync.Mutex
	faults  []*Injected
	calls   map[string]int
	replies map[string]json.RawMessage // the last result of each call, by method and parameters
	changed chan struct{}              // closed and made anew when a count changes
}

// NewProxy starts a proxy in front of a node. Close ends it.
func NewProxy(node Config) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("bitcoind: proxy: %w", err)
	}
	p := &Proxy{
		config: node, http: newHTTPClient(), served: make(chan struct{}),
		calls: make(map[string]int), replies: make(map[string]json.RawMessage), changed: make(chan struct{}),
	}
	p.config.URL = "http://" + listener.Addr().String()
	target := strings.TrimSuffix(node.URL, "/")
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, target) })}
	go func() {
		p.server.Serve(listener) // ends with Close
		close(p.served)
	}()
	return p, nil
}

// Proxy starts a proxy in front of the node for the length of a test.
func (n *Node) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p, err := NewProxy(n.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Config is for the code under test: the node's, by way of the proxy.
func (p *Proxy) Config() Config { return p.config }

// Close ends the proxy and drops the calls under way.
func (p *Proxy) Close() error {
	err := p.server.Close()
	<-p.served
	p.http.CloseIdleConnections()
	return err
}

// Calls returns how many calls of a method came in, also those that a fault kept
// from the node; of an empty method, all.
func (p *Proxy) Calls(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if method != "" {
		return p.calls[method]
	}
	total := 0
	for _, n := range p.calls {
		total += n
	}
	return total
}

// WaitCalls waits until at least n calls of a method have come in.
func (p *Proxy) WaitCalls(ctx context.Context, method string, n int) error {
	return p.await(ctx, fmt.Sprintf("%d calls of %q at the proxy", n, method), func() (bool, string) {
		got := p.Calls(method)
		return got >= n, fmt.Sprintf("%d calls", got)
	})
}

func (p *Proxy) await(ctx context.Context, what string, look func() (bool, string)) error {
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		done, seen := look()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &WaitError{For: what, Last: seen, Err: ctx.Err()}
		}
	}
}

// note tells those who wait. It needs the mutex.
func (p *Proxy) note() {
	close(p.changed)
	p.changed = make(chan struct{})
}

type proxyRequest struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// proxyReply is what the caller gets for one call.
type proxyReply struct {
	status int
	body   []byte
}

// errHangUp makes the proxy close the caller's connection without an answer.
var errHangUp = errors.New("proxy hangs up")

// serve answers one HTTP request, which holds one call or a batch.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, target string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	send := func(body []byte) (proxyReply, error) { return p.forward(r, target+r.URL.EscapedPath(), body) }
	var reply proxyReply
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		reply, err = p.batch(r.Context(), trimmed, send)
	} else {
		reply, err = p.call(r.Context(), body, send)
	}
	if err != nil { // a proxy has no better way to say that no answer came
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(reply.status)
	w.Write(reply.body)
}

// batch passes the calls on one by one, so that each meets its own faults.
func (p *Proxy) batch(ctx context.Context, body []byte, send func([]byte) (proxyReply, error)) (proxyReply, error) {
	var calls []json.RawMessage
	if err := json.Unmarshal(body, &calls); err != nil {
		return send(body) // for the node to refuse
	}
	replies := make([]json.RawMessage, 0, len(calls))
	for _, call := range calls {
		reply, err := p.call(ctx, call, send)
		if err != nil {
			return proxyReply{}, err
		}
		if !json.Valid(reply.body) { // a bare HTTP status counts for the whole
			return reply, nil
		}
		replies = append(replies, reply.body)
	}
	joined, err := json.Marshal(replies)
	return proxyReply{status: http.StatusOK, body: joined}, err
}

// call passes one call on, unless a fault strikes it.
func (p *Proxy) call(ctx context.Context, body []byte, send func([]byte) (proxyReply, error)) (proxyReply, error) {
	var request proxyRequest
	if err := json.Unmarshal(body, &request); err != nil {
		return send(body)
	}
	pass := func() (proxyReply, error) {
		reply, err := send(body)
		if err == nil {
			p.remember(request, reply)
		}
		return reply, err
	}
	if fault := p.strike(request.Method); fault != nil {
		return fault.act(ctx, &struck{proxy: p, fault: fault, request: request, pass: pass})
	}
	return pass()
}

// strike counts the call and chooses the fault that meets it, if any.
func (p *Proxy) strike(method string) *Injected {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[method]++
	defer p.note()
	for _, f := range p.faults {
		if f.fault.Method != "" && f.fault.Method != method {
			continue
		}
		if f.passed < f.fault.Skip {
			f.passed++
			continue
		}
		if f.fault.Count == 0 || f.hits < f.fault.Count {
			f.hits++
			return f
		}
	}
	return nil
}

// remember keeps a result for stale answers.
func (p *Proxy) remember(request proxyRequest, reply proxyReply) {
	var r rpcResult
	if json.Unmarshal(reply.body, &r) != nil || string(r.Result) == "null" || r.Result == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies[request.key()] = r.Result
}

type rpcResult struct {
	Result json.RawMessage `json:"result"`
}

func (r proxyRequest) key() string { return r.Method + string(r.Params) }

// forward makes the call at the node.
func (p *Proxy) forward(r *http.Request, url string, body []byte) (proxyReply, error) {
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return proxyReply{}, err
	}
	for _, name := range []string{"Authorization", "Content-Type"} {
		if value := r.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := p.http.Do(request)
	if err != nil {
		return proxyReply{}, err
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(response.Body)
	return proxyReply{status: response.StatusCode, body: reply}, err
}
