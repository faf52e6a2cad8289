// Package lossy is a connection to PostgreSQL that loses or delays the end of a
// commit, for tests of what a program does when it cannot know whether it
// committed, and when its disk is slow. The end, called COMMIT here, is that
// statement, or the end of the last COPY where a Tx is one query of COPYs.
//
// A Proxy forwards everything until it is told to lose the next commit of a
// batch: either its reply, when the server has committed, or the COMMIT itself,
// when it has not. The client sees the same in both cases: the connection
// breaks. Connections made afterwards work again.
//
// Told to delay, it lets each COMMIT of a batch wait on its way, as a server does
// whose disk takes long to say that it has the data.
//
// Watched, it stops at the two moments of each write between which a process can
// die and not know: before its COMMIT reaches the server, and when the server has
// carried it out and the client has not heard so.
package lossy

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// What happens to the next commit.
const (
	loseNothing int32 = iota
	loseReply
	loseCommit
)

// Proxy stands between a client and a PostgreSQL server.
type Proxy struct {
	listener net.Listener
	server   *pgconn.Config
	lose     atomic.Int32
	lost     atomic.Int32
	trips    atomic.Int64
	gate     atomic.Pointer[gate] // nil when commits pass freely
	watch    atomic.Pointer[Watcher]

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// Start listens on a free port of 127.0.0.1 for clients of the database at url.
func Start(url string) (*Proxy, error) {
	server, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for database clients: %w", err)
	}
	p := &Proxy{listener: listener, server: server, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	return p, nil
}

// URL is where clients connect to.
func (p *Proxy) URL() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.server.User, p.server.Password),
		Host: p.listener.Addr().String(), Path: "/" + p.server.Database, RawQuery: "sslmode=disable"}
	return u.String()
}

// LoseReply lets the next COMMIT of a batch reach the server and loses its reply.
func (p *Proxy) LoseReply() { p.lose.Store(loseReply) }

// LoseCommit loses the next COMMIT of a batch on its way to the server.
func (p *Proxy) LoseCommit() { p.lose.Store(loseCommit) }

// Lost is the number of commits or replies lost so far.
func (p *Proxy) Lost() int { return int(p.lost.Load()) }

// RoundTrips is how often the server has answered a client that waited for it.
func (p *Proxy) RoundTrips() int { return int(p.trips.Load()) }

// A gate is where commits wait.
type gate struct {
	delay   time.Duration // for each; 0 waits until the gate opens
	open    chan struct{}
	waiting atomic.Int32
}

// Delay lets each COMMIT of a batch from now on wait for that long; 0 ends it.
func (p *Proxy) Delay(d time.Duration) {
	if d == 0 {
		p.setGate(nil)
		return
	}
	p.setGate(&gate{delay: d, open: make(chan struct{})})
}

// Hold keeps back each COMMIT of a batch until Delay or Close is called.
func (p *Proxy) Hold() { p.setGate(&gate{open: make(chan struct{})}) }

// Held is the number of commits that wait now.
func (p *Proxy) Held() int {
	if g := p.gate.Load(); g != nil {
		return int(g.waiting.Load())
	}
	return 0
}

func (p *Proxy) setGate(g *gate) {
	if old := p.gate.Swap(g); old != nil {
		close(old.open)
	}
}

// pass returns when a commit may go on.
func (g *gate) pass() {
	if g == nil {
		return
	}
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	var passed <-chan time.Time // never, without a delay
	if g.delay > 0 {
		timer := time.NewTimer(g.delay)
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-passed:
	case <-g.open:
	}
}

// Close breaks all connections and returns when they are gone.
func (p *Proxy) Close() {
	p.listener.Close()
	p.setGate(nil)
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

// hold remembers a connection so that Close breaks it.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *Proxy) serve(client net.Conn) {
	if !p.hold(client) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial(pgconn.NetworkAddress(p.server.Host, p.server.Port))
	if err != nil || !p.hold(server) {
		return
	}
	defer p.drop(server)
	var replies sync.WaitGroup
	defer replies.Wait()
	next := &reply{}
	replies.Go(func() {
		defer client.Close()
		defer server.Close()
		p.forwardReplies(client, server, next)
	})
	defer server.Close()
	p.forwardRequests(client, server, next)
	if next.lost.Load() {
		replies.Wait() // until the server has answered, so that it has committed
	}
}

// A reply is what happens to the server's next one.
type reply struct {
	lost  atomic.Bool
	write atomic.Pointer[Write] // that it says is done
}

// forwardReplies passes message after message. What is to happen to a reply happens
// at its end, ReadyForQuery: until then the server may still be at it.
func (p *Proxy) forwardReplies(client io.Writer, server io.Reader, next *reply) {
	in, out := bufio.NewReaderSize(server, 64<<10), bufio.NewWriterSize(client, 64<<10)
	refused := false
	for {
		message, err := readMessage(in, 1)
		if err != nil {
			return
		}
		switch message[0] {
		case 'E':
			refused = true
		case 'Z':
			if next.lost.Load() {
				return
			}
			if w := next.write.Swap(nil); w != nil && !refused && !p.allows(*w, true) {
				return
			}
			refused = false
			p.trips.Add(1)
		}
		if _, err := out.Write(message); err != nil {
			return
		}
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// forwardRequests passes message after message (PostgreSQL's manual, "Message
// Formats") and looks for the ends of Txs.
func (p *Proxy) forwardRequests(client io.Reader, server io.Writer, next *reply) {
	in := bufio.NewReaderSize(client, 64<<10)
	kind := 0 // the first message has no byte for it
	reading := reader{}
	for ; ; kind = 1 {
		message, err := readMessage(in, kind)
		if err != nil {
			return
		}
		w, batch := reading.take(message)
		if reading.begins {
			next.write.Store(nil) // its end was on its way when the server refused it
		}
		if w != nil && p.watch.Load() != nil {
			if !p.allows(*w, false) {
				return
			}
			next.write.Store(w)
		}
		if batch {
			p.gate.Load().pass()
			switch p.lose.Swap(loseNothing) {
			case loseCommit:
				p.lost.Add(1)
				return
			case loseReply:
				p.lost.Add(1)
				next.lost.Store(true)
				_, _ = server.Write(message)
				return
			}
		}
		if _, err := server.Write(message); err != nil {
			return
		}
	}
}

// readMessage reads a whole message that begins with kind bytes and its length.
func readMessage(in *bufio.Reader, kind int) ([]byte, error) {
	const most = 1 << 30
	head, err := in.Peek(kind + 4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[kind:]))
	if size < 4 || size > most {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	message := make([]byte, kind+size)
	_, err = io.ReadFull(in, message)
	return message, err
}
