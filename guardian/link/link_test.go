package link

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
)

func newKey(t *testing.T) *btcec.PrivateKey {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair is a hub with guardians that echo what they are asked, each on its own
// connection.
type pair struct {
	hub       *Hub
	key       *btcec.PrivateKey
	guardians []*btcec.PrivateKey
}

var quiet = slog.New(slog.DiscardHandler)

func newPair(t *testing.T, n int) *pair {
	t.Helper()
	p := &pair{key: newKey(t)}
	var public []*btcec.PublicKey
	for range n {
		key := newKey(t)
		p.guardians, public = append(p.guardians, key), append(public, key.PubKey())
	}
	var err error
	if p.hub, err = Listen("127.0.0.1:0", p.key, public, quiet); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.hub.Close() })
	return p
}

func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprintf(w, "%s:%s", name, body)
	})
}

// connect serves a guardian until the test or the returned function ends it.
func (p *pair) connect(t *testing.T, i int, handler http.Handler) context.CancelFunc {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, p.hub.Addr().String(), p.key.PubKey(), p.guardians[i], handler, quiet)
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// wait returns once the guardians of these places are connected.
func (p *pair) wait(t *testing.T, places ...int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.hub.Wait(ctx, places...); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) ask(ctx context.Context, i int, body []byte) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guardian/echo", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := p.hub.RoundTripper(i).RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return fmt.Sprintf("%d %s", answer.StatusCode, text), err
}

// TestEachGuardianAnswersForItself: requests reach the guardian whose key it
// is, many at once.
func TestEachGuardianAnswersForItself(t *testing.T) {
	p := newPair(t, 3)
	for i := range 3 {
		p.connect(t, i, echo(fmt.Sprint("g", i)))
	}
	p.wait(t, 0, 1, 2)
	var wg sync.WaitGroup
	for k := range 60 {
		wg.Go(func() {
			got, err := p.ask(t.Context(), k%3, fmt.Append(nil, k))
			if want := fmt.Sprintf("200 g%d:%d", k%3, k); err != nil || got != want {
				t.Errorf("asked %d: %q, %v; want %q", k, got, err, want)
			}
		})
	}
	wg.Wait()
}

func TestAway(t *testing.T) {
	p := newPair(t, 2)
	stop := p.connect(t, 0, echo("g0"))
	p.wait(t, 0)
	if _, err := p.ask(t.Context(), 1, nil); !errors.Is(err, ErrAway) {
		t.Errorf("a guardian that never came: %v", err)
	}
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for p.hub.peer(0) != nil {
		if ctx.Err() != nil {
			t.Fatal("the hub still holds the connection of a guardian that left")
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := p.ask(t.Context(), 0, nil); err == nil {
		t.Error("a guardian that left has answered")
	}
	p.connect(t, 0, echo("back"))
	p.wait(t, 0)
	if got, err := p.ask(t.Context(), 0, []byte("?")); got != "200 back:?" {
		t.Errorf("after it came back: %q, %v", got, err)
	}
}

// TestNewerConnectionReplaces: a guardian that was restored elsewhere takes its
// place.
func TestNewerConnectionReplaces(t *testing.T) {
	p := newPair(t, 1)
	first := p.connect(t, 0, echo("first"))
	p.wait(t, 0)
	first()
	p.connect(t, 0, echo("second"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		if got, _ := p.ask(ctx, 0, nil); got == "200 second:" {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("the newer connection does not answer")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestStrangersAreRefused: neither an unknown guardian nor a false coordinator
// gets anywhere.
func TestStrangersAreRefused(t *testing.T) {
	p := newPair(t, 1)
	stranger := newKey(t)
	asked := make(chan struct{}, 1)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	Serve(ctx, p.hub.Addr().String(), p.key.PubKey(), stranger, handler, quiet)
	if p.hub.peer(0) != nil {
		t.Error("the hub holds a connection of an unknown key")
	}
	// The guardian pins the coordinator's key: another one fails the handshake.
	err := serveOnce(t.Context(), p.hub.Addr().String(), stranger.PubKey(), p.guardians[0], handler, usualLimits)
	if err == nil || errors.Is(err, errEnded) {
		t.Errorf("a coordinator with another key was served: %v", err)
	}
	if len(asked) > 0 {
		t.Error("a request passed")
	}
}

// TestGarbageOnTheWire: bytes that are no handshake do not disturb the others.
func TestGarbageOnTheWire(t *testing.T) {
	p := newPair(t, 1)
	for range 20 {
		conn, err := net.Dial("tcp", p.hub.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		junk := make([]byte, 200)
		rand.Read(junk)
		conn.Write(junk)
	}
	p.connect(t, 0, echo("g0"))
	p.wait(t, 0)
	if got, err := p.ask(t.Context(), 0, []byte("x")); got != "200 g0:x" {
		t.Errorf("beside garbage: %q, %v", got, err)
	}
}

// TestLimits: a request beyond the handler's limit is refused, and the
// connection goes on.
func TestLimits(t *testing.T) {
	p := newPair(t, 1)
	p.connect(t, 0, echo("g0"))
	p.wait(t, 0)
	got, err := p.ask(t.Context(), 0, make([]byte, 1<<20))
	if err == nil && !strings.HasPrefix(got, "413") {
		t.Errorf("a megabyte was answered with %.40q", got)
	}
	if got, err := p.ask(t.Context(), 0, []byte("small")); got != "200 g0:small" {
		t.Errorf("after the refusal: %q, %v", got, err)
	}
}

func TestWaitNamesWhoIsMissing(t *testing.T) {
	p := newPair(t, 2)
	p.connect(t, 1, echo("g1"))
	p.wait(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.hub.Wait(ctx, 0, 1)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "[0]") {
		t.Errorf("waiting in vain says %v, want that 0 is missing", err)
	}
}

// Guardians that come later are let in without a word of those who are there.
func TestAdmit(t *testing.T) {
	p := newPair(t, 1)
	p.connect(t, 0, echo("g0"))
	p.wait(t, 0)
	late := newKey(t)
	p.guardians = append(p.guardians, late)
	places := p.hub.Admit([]*btcec.PublicKey{late.PubKey(), p.guardians[0].PubKey()})
	if !slices.Equal(places, []int{1, 0}) {
		t.Fatalf("the new guardian and the old one have the places %v", places)
	}
	p.connect(t, 1, echo("g1"))
	p.wait(t, 0, 1)
	for i, want := range []string{"200 g0:", "200 g1:"} {
		if got, err := p.ask(t.Context(), i, []byte("x")); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("place %d answers %q, %v; want %s", i, got, err, want)
		}
	}
}

// TestGuardianRunsTwice: two processes with one host key are told to the log, one
// that comes back is not.
func TestGuardianRunsTwice(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave bool // the first has gone when the second comes
		want  bool
	}{{"beside", false, true}, {"after", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			p, said := &pair{key: newKey(t), guardians: []*btcec.PrivateKey{newKey(t)}}, &lockedBuffer{}
			var err error
			p.hub, err = Listen("127.0.0.1:0", p.key, []*btcec.PublicKey{p.guardians[0].PubKey()}, slog.New(slog.NewTextHandler(said, nil)))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.hub.Close() })
			stop := p.connect(t, 0, echo("first"))
			p.wait(t, 0)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if tt.leave {
				stop()
				for p.hub.peer(0) != nil && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			}
			p.connect(t, 0, echo("second"))
			for strings.Count(said.String(), `"guardian connected"`) < 2 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if got := strings.Contains(said.String(), "does it run twice?"); got != tt.want || ctx.Err() != nil {
				t.Errorf("the log says so: %t, want %t:\n%s", got, tt.want, said)
			}
		})
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
