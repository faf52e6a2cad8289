package link

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serveWith serves guardian 0 once, with limits of its own, until the test ends.
func (p *pair) serveWith(t *testing.T, handler http.Handler, l limits) <-chan error {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveOnce(ctx, p.hub.Addr().String(), p.key.PubKey(), p.guardians[0], handler, l)
	}()
	t.Cleanup(cancel)
	return ended
}

// TestSlowBody: a request that is never sent to its end is given up, so that it
// cannot hold a guardian's memory.
func TestSlowBody(t *testing.T) {
	p, l := newPair(t, 1), usualLimits
	l.send = 50 * time.Millisecond
	read := make(chan error, 1)
	p.serveWith(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	}), l)
	p.wait(t, 0)
	body, more := io.Pipe()
	defer more.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://guardian/", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if answer, err := p.hub.RoundTripper(0).RoundTrip(r); err == nil {
			answer.Body.Close()
		}
	}()
	if _, err := more.Write([]byte("the beginning")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-read:
		if err == nil {
			t.Error("the half of a body was taken for the whole")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the guardian still waits for a body that does not come")
	}
}

// TestRequestsAtATime: however many requests the coordinator has, a guardian
// works on a few.
func TestRequestsAtATime(t *testing.T) {
	p, l := newPair(t, 1), usualLimits
	l.requests = 3
	var now, most atomic.Int32
	p.serveWith(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(time.Millisecond)
		now.Add(-1)
	}), l)
	p.wait(t, 0)
	// The limit comes with the guardian's settings, at the latest with its first answer.
	if _, err := p.ask(t.Context(), 0, nil); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 30)
	for range cap(answered) {
		go func() { _, err := p.ask(t.Context(), 0, nil); answered <- err }()
	}
	for range cap(answered) {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	if n := most.Load(); int(n) > l.requests {
		t.Errorf("%d requests were under way at a time, the limit is %d", n, l.requests)
	}
}

// TestLargeHeaders: headers beyond the limit reach no handler.
func TestLargeHeaders(t *testing.T) {
	p := newPair(t, 1)
	var reached atomic.Int32
	p.serveWith(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }), usualLimits)
	p.wait(t, 0)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://guardian/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Much", strings.Repeat("x", 4*usualLimits.headers))
	answer, err := p.hub.RoundTripper(0).RoundTrip(r)
	if err == nil {
		answer.Body.Close()
	}
	if reached.Load() > 0 {
		t.Errorf("a handler got %d bytes of headers", 4*usualLimits.headers)
	}
}

// TestDeadCoordinator: a coordinator whose machine is gone, so that nothing
// tells the guardian, is given up by itself.
func TestDeadCoordinator(t *testing.T) {
	p, l := newPair(t, 1), usualLimits
	l.quiet, l.ping = 500*time.Millisecond, 500*time.Millisecond // a slow machine answers in time
	wall := newWall(t, p.hub.Addr().String())
	ended := make(chan error, 1)
	go func() {
		ended <- serveOnce(t.Context(), wall.Addr().String(), p.key.PubKey(), p.guardians[0], echo("g0"), l)
	}()
	p.wait(t, 0)
	if _, err := p.ask(t.Context(), 0, nil); err != nil {
		t.Fatal(err)
	}
	close(wall.up)
	select {
	case err := <-ended:
		if !errors.Is(err, errEnded) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the guardian still waits for a coordinator that is gone")
	}
}

// A wall passes one connection on, and once it is up swallows what comes from
// the other side, as a network does that is cut.
type wall struct {
	net.Listener
	up chan struct{}
}

func newWall(t *testing.T, to string) *wall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{Listener: l, up: make(chan struct{})}
	t.Cleanup(func() { l.Close() })
	go func() {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			in.Close()
			return
		}
		t.Cleanup(func() { in.Close(); out.Close() })
		go io.Copy(out, in)
		buffer := make([]byte, 4096)
		for {
			n, err := out.Read(buffer)
			if err != nil {
				return
			}
			select {
			case <-w.up:
				continue
			default:
				in.Write(buffer[:n])
			}
		}
	}()
	return w
}

// TestPauses: however long the coordinator was away, it is found within two
// seconds once it is there.
func TestPauses(t *testing.T) {
	pause := firstPause
	for range 1000 {
		pause = next(pause)
	}
	if pause > 2*time.Second || pause < 10*firstPause {
		t.Errorf("after many failures the pause is %v", pause)
	}
}
