package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daobank/daobank/ledger"
)

// Clients who send and do not read, or send without end, are put out when their
// time is over. Meanwhile others are served, and nothing of them stays behind.
func TestGreedyClients(t *testing.T) {
	const crowd = 10 // of each kind
	b := newRealBank(t)
	s := b.serveShort()
	client := Dial("http://" + s.addr)
	alice := b.openAccount(client, "alice")
	b.deposit(alice.id, 1_000_000)
	client.http.CloseIdleConnections()
	s.awaitOpen(0)
	before := runtime.NumGoroutine()

	orders := bytes.Repeat((&ledger.Order{Bank: b.id(), Payer: alice.id, Sequence: 1, Body: pay(ledger.Treasury, 1)}).Bytes(), 4000)
	batch := fmt.Appendf(nil, "POST /v1/orders/batch HTTP/1.1\r\nHost: bank\r\nContent-Length: %d\r\n\r\n", len(orders))
	batch = append(batch, orders...)
	kinds := []func(net.Conn){
		func(c net.Conn) { _, _ = c.Write(batch) },                                                      // never reads the 4,000 answers
		func(c net.Conn) { _, _ = c.Write(batch); s.drip(func() error { return readByte(c) }) },         // reads them byte by byte
		func(c net.Conn) { s.drip(writeByte(c, "POST /v1/orders HTTP/1.1\r\nHost: bank\r\nX-Slow: ")) }, // never ends the header
		func(c net.Conn) {
			s.drip(writeByte(c, "POST /v1/orders HTTP/1.1\r\nHost: bank\r\nContent-Length: 200000\r\n\r\n"))
		}, // nor the body
		func(c net.Conn) {}, // says nothing
	}
	var greedy sync.WaitGroup
	for _, act := range kinds {
		for range crowd {
			conn := s.dial()
			greedy.Go(func() { act(conn) })
		}
	}
	for range 50 {
		if a, err := client.Submit(t.Context(), alice.order(pay(ledger.Treasury, 1))); err != nil {
			t.Fatalf("payment beside the greedy: %+v, %v", a, err)
		}
	}
	t.Logf("50 payments are accepted, %d connections are open", s.open.Load())
	client.http.CloseIdleConnections()
	s.awaitOpen(0)
	s.hangUp()
	greedy.Wait()
	s.wait("goroutines to end", func() (bool, string) {
		now := runtime.NumGoroutine()
		return now <= before, fmt.Sprintf("%d, before %d", now, before)
	})
}

// shortServer is the bank's server with limits a fortieth as long, and small
// buffers in between, so that an answer that nobody reads soon blocks.
type shortServer struct {
	*realBank
	addr string
	open atomic.Int64 // connections
	ctx  context.Context

	mu    sync.Mutex
	conns []net.Conn // of greedy clients
}

func (b *realBank) serveShort() *shortServer {
	b.Helper()
	s := &shortServer{realBank: b, ctx: b.Context()}
	server := NewServer("", *b.now.Load())
	for name, limit := range map[string]*time.Duration{"ReadHeaderTimeout": &server.ReadHeaderTimeout, "ReadTimeout": &server.ReadTimeout,
		"WriteTimeout": &server.WriteTimeout, "IdleTimeout": &server.IdleTimeout} {
		if *limit <= 0 {
			b.Errorf("the server has no %s", name)
		}
		*limit /= 40
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.open.Add(1)
			_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	b.Cleanup(func() {
		s.hangUp()
		server.Close()
		<-served
	})
	return s
}

func (s *shortServer) dial() net.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	s.mu.Lock()
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	return c
}

// hangUp closes the greedy clients' ends.
func (s *shortServer) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *shortServer) awaitOpen(want int64) {
	s.Helper()
	s.wait("connections to end", func() (bool, string) {
		return s.open.Load() == want, fmt.Sprintf("%d are open", s.open.Load())
	})
}

func (s *shortServer) wait(what string, look func() (done bool, seen string)) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	for {
		done, seen := look()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			s.Fatalf("waited in vain for %s; last seen: %s", what, seen)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// drip does something every 20 ms until it fails.
func (s *shortServer) drip(act func() error) {
	for act() == nil {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func readByte(c net.Conn) error {
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// writeByte returns a function that writes what is said first, and then "x".
func writeByte(c net.Conn, first string) func() error {
	next := first
	return func() error {
		_, err := io.WriteString(c, next)
		next = "x"
		return err
	}
}

// account is a member of a realBank.
type account struct {
	b        *realBank
	name     string
	id       ledger.AccountID
	sequence uint64
	last     ledger.Hash
}

func (b *realBank) id() ledger.BankID {
	c := testCharter()
	return c.ID()
}

func (b *realBank) openAccount(client *Client, name string) *account {
	b.Helper()
	m := &account{b: b, name: name}
	a, err := client.Submit(b.Context(), m.sign(&ledger.Order{Body: &ledger.Open{Key: ledger.KeyOf(privateKey(name))}}))
	if err != nil {
		b.Fatal(err)
	}
	m.id = a.Account
	return m
}

// order signs the member's next order.
func (m *account) order(body ledger.Body) *ledger.Order {
	m.b.Helper()
	m.sequence++
	return m.sign(&ledger.Order{Payer: m.id, Sequence: m.sequence, Previous: m.last, Body: body})
}

func (m *account) sign(o *ledger.Order) *ledger.Order {
	m.b.Helper()
	o.Bank = m.b.id()
	if err := o.Sign(privateKey(m.name)); err != nil {
		m.b.Fatal(err)
	}
	m.last = o.Digest()
	return o
}
