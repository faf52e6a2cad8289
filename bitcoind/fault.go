package bitcoind

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Fault says which calls are struck, and how.
type Fault struct {
	Method string // empty: every method
	Skip   int    // calls that pass first
	Count  int    // calls that are struck then; zero: all
	Do     Action
}

// Action is what happens to a struck call: one of Refuse, Answer, HTTPStatus,
// DropRequest, DropReply, Delay, Hang and Stale.
type Action func(context.Context, *struck) (proxyReply, error)

// struck is a call under a fault.
type struck struct {
	proxy   *Proxy
	fault   *Injected
	request proxyRequest
	pass    func() (proxyReply, error)
}

// Injected is a fault at work.
type Injected struct {
	proxy *Proxy
	fault Fault

	// The proxy's mutex guards what follows.
	passed, hits int
	stale        map[string]json.RawMessage // what Stale answers
}

// Inject sets a fault to work. Of several for one call, the first that was
// injected strikes.
func (p *Proxy) Inject(fault Fault) *Injected {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &Injected{proxy: p, fault: fault, stale: maps.Clone(p.replies)}
	p.faults = append(p.faults, f)
	return f
}

// Hits returns how many calls it has struck.
func (f *Injected) Hits() int {
	f.proxy.mu.Lock()
	defer f.proxy.mu.Unlock()
	return f.hits
}

// WaitHits waits until it has struck at least n calls. A call counts when it
// comes in.
func (f *Injected) WaitHits(ctx context.Context, n int) error {
	return f.proxy.await(ctx, fmt.Sprintf("%d calls of %q struck", n, f.fault.Method), func() (bool, string) {
		got := f.Hits()
		return got >= n, fmt.Sprintf("%d struck", got)
	})
}

// Remove ends it. Calls it has struck stay struck.
func (f *Injected) Remove() {
	f.proxy.mu.Lock()
	defer f.proxy.mu.Unlock()
	for i, other := range f.proxy.faults {
		if other == f {
			f.proxy.faults = append(f.proxy.faults[:i:i], f.proxy.faults[i+1:]...)
			return
		}
	}
}

func (f *Injected) act(ctx context.Context, s *struck) (proxyReply, error) { return f.fault.Do(ctx, s) }

// Refuse answers with an error; the node does not see the call.
func Refuse(code int, message string) Action {
	return func(_ context.Context, s *struck) (proxyReply, error) {
		return s.reply(500, nil, map[string]any{"code": code, "message": message})
	}
}

// Answer answers with a result, encoded as JSON; the node does not see the call.
func Answer(result any) Action {
	return func(_ context.Context, s *struck) (proxyReply, error) { return s.reply(200, result, nil) }
}

// HTTPStatus answers with a bare HTTP status, such as 503 of a node whose work
// queue is full; the node does not see the call.
func HTTPStatus(status int) Action {
	return func(context.Context, *struck) (proxyReply, error) { return proxyReply{status: status}, nil }
}

// DropRequest closes the connection; the node does not see the call.
func DropRequest() Action {
	return func(context.Context, *struck) (proxyReply, error) { return proxyReply{}, errHangUp }
}

// DropReply lets the node execute the call and closes the connection instead of
// answering. To the caller it looks like DropRequest.
func DropReply() Action {
	return func(_ context.Context, s *struck) (proxyReply, error) {
		s.pass()
		return proxyReply{}, errHangUp
	}
}

// Delay passes the call on after a while, unless the caller leaves before.
func Delay(d time.Duration) Action {
	return func(ctx context.Context, s *struck) (proxyReply, error) {
		if err := pause(ctx, d); err != nil {
			return proxyReply{}, err
		}
		return s.pass()
	}
}

// Hang keeps the call until the caller leaves; the node does not see it.
func Hang() Action {
	return func(ctx context.Context, _ *struck) (proxyReply, error) {
		<-ctx.Done()
		return proxyReply{}, errHangUp
	}
}

// Stale answers as of the moment when it was injected, like a node behind a load
// balancer that lags: each call gets the result that the same call, with the
// same parameters, had last before. One that the proxy had not seen passes, and
// is answered the same way from then on.
func Stale() Action {
	return func(_ context.Context, s *struck) (proxyReply, error) {
		key := s.request.key()
		s.proxy.mu.Lock()
		result, known := s.fault.stale[key]
		s.proxy.mu.Unlock()
		if known {
			return s.reply(200, result, nil)
		}
		reply, err := s.pass()
		var r rpcResult
		if err == nil && json.Unmarshal(reply.body, &r) == nil && r.Result != nil && string(r.Result) != "null" {
			s.proxy.mu.Lock()
			s.fault.stale[key] = r.Result
			s.proxy.mu.Unlock()
		}
		return reply, err
	}
}

// reply makes the answer to this call.
func (s *struck) reply(status int, result, failure any) (proxyReply, error) {
	body, err := json.Marshal(map[string]any{"id": s.request.ID, "result": result, "error": failure})
	return proxyReply{status: status, body: body}, err
}
