package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/brontide"
	"github.com/lightningnetwork/lnd/keychain"
	"golang.org/x/net/http2"
)

// discard keeps HTTP's own complaints about broken connections out of the log:
// they are told by Serve and by the caller of RoundTrip.
var discard = stdlog.New(io.Discard, "", 0)

// ErrAway says that a guardian has no connection now.
var ErrAway = errors.New("the guardian is not connected")

// Hub is the coordinator's end: it holds the newest connection of each known
// guardian. It is safe for concurrent use.
type Hub struct {
	listener *brontide.Listener
	log      *slog.Logger
	accept   sync.WaitGroup

	mu     sync.Mutex
	known  map[[33]byte]int // compressed host key to place
	links  []*peer          // by place
	change chan struct{}    // closed and replaced when a guardian connects
	closed bool
}

type peer struct {
	conn   net.Conn
	client *http2.ClientConn
}

func (p *peer) usable() bool {
	s := p.client.State()
	return !s.Closed && !s.Closing
}

// Listen opens a hub for guardians with these host keys, who get the places from 0
// in this order.
func Listen(address string, key *btcec.PrivateKey, guardians []*btcec.PublicKey, log *slog.Logger) (*Hub, error) {
	listener, err := brontide.NewListener(&keychain.PrivKeyECDH{PrivKey: key}, address)
	if err != nil {
		return nil, fmt.Errorf("listen for guardians: %w", err)
	}
	h := &Hub{listener: listener, log: log, known: make(map[[33]byte]int), change: make(chan struct{})}
	h.Admit(guardians)
	h.accept.Go(h.acceptAll)
	return h, nil
}

// Admit lets guardians with these host keys connect, too, and returns their places.
// One that is known keeps its own.
func (h *Hub) Admit(guardians []*btcec.PublicKey) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	places := make([]int, len(guardians))
	for i, g := range guardians {
		key := [33]byte(g.SerializeCompressed())
		place, known := h.known[key]
		if !known {
			place = len(h.links)
			h.known[key] = place
			h.links = append(h.links, nil)
		}
		places[i] = place
	}
	return places
}

// Addr is where guardians dial.
func (h *Hub) Addr() net.Addr { return h.listener.Addr() }

// acceptAll takes connections whose handshake succeeded until the hub closes.
func (h *Hub) acceptAll() {
	for {
		conn, err := h.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed) || h.isClosed():
			if err == nil {
				conn.Close()
			}
			return
		case err != nil:
			h.log.Debug("a handshake failed", "error", err)
			continue
		}
		h.accept.Go(func() { h.welcome(conn.(*brontide.Conn)) })
	}
}

func (h *Hub) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// helloLimit is how long a guardian that has authenticated itself may take to
// speak HTTP/2.
const helloLimit = 5 * time.Second

// welcome keeps the connection of a known guardian in place of its last one.
func (h *Hub) welcome(conn *brontide.Conn) {
	key := [33]byte(conn.RemotePub().SerializeCompressed())
	h.mu.Lock()
	place, known := h.known[key]
	h.mu.Unlock()
	if !known {
		h.log.Warn("an unknown key asked for a guardian's place", "key", fmt.Sprintf("%x", key), "from", conn.RemoteAddr())
		conn.Close()
		return
	}
	transport := &http2.Transport{AllowHTTP: true, ReadIdleTimeout: 10 * time.Second, PingTimeout: 5 * time.Second,
		MaxReadFrameSize: 1 << 20, MaxHeaderListSize: 16 << 10,
		StrictMaxConcurrentStreams: true} // wait for a place rather than fail
	client, err := transport.NewClientConn(conn)
	if err != nil {
		h.log.Warn("a guardian's connection failed", "guardian", place, "error", err)
		conn.Close()
		return
	}
	// The answer to a ping comes after the guardian's settings, without which
	// more requests would be sent at once than it takes.
	ctx, cancel := context.WithTimeout(context.Background(), helloLimit)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		h.log.Warn("a guardian's connection failed", "guardian", place, "error", err)
		conn.Close()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		conn.Close()
		return
	}
	if old := h.links[place]; old != nil {
		if old.usable() {
			h.log.Warn("a guardian connected while it had a connection: does it run twice?",
				"guardian", place, "from", conn.RemoteAddr(), "before", old.conn.RemoteAddr())
		}
		old.conn.Close()
	}
	h.links[place] = &peer{conn: conn, client: client}
	close(h.change)
	h.change = make(chan struct{})
	h.log.Info("guardian connected", "guardian", place, "from", conn.RemoteAddr())
}

// RoundTripper sends requests to one guardian. Its URLs have any host. Errors
// wrap ErrAway when there is no connection.
func (h *Hub) RoundTripper(guardian int) http.RoundTripper { return hubTripper{h, guardian} }

type hubTripper struct {
	hub      *Hub
	guardian int
}

func (t hubTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	p := t.hub.peer(t.guardian)
	if p == nil {
		return nil, fmt.Errorf("guardian %d: %w", t.guardian, ErrAway)
	}
	return p.client.RoundTrip(r)
}

// peer is a guardian's usable connection, or nil.
func (h *Hub) peer(i int) *peer {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.links[i]; p != nil && p.usable() {
		return p
	}
	return nil
}

// Wait returns once the guardians of these places are connected; the error names
// who is missing.
func (h *Hub) Wait(ctx context.Context, places ...int) error {
	for {
		h.mu.Lock()
		change := h.change
		h.mu.Unlock()
		var away []int
		for _, i := range places {
			if h.peer(i) == nil {
				away = append(away, i)
			}
		}
		if len(away) == 0 {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the guardians at the places %v of %v: %w", away, places, ctx.Err())
		}
	}
}

// Close cuts all connections and stops listening.
func (h *Hub) Close() error {
	h.mu.Lock()
	h.closed = true
	for _, p := range h.links {
		if p != nil {
			p.conn.Close()
		}
	}
	h.mu.Unlock()
	err := h.listener.Close()
	h.accept.Wait()
	return err
}
