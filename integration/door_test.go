package integration

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A door is an address that leads somewhere as long as it is open. Shut, it cuts
// all connections and lets none through, as a network does that fails.
type door struct {
	listener net.Listener

	mu     sync.Mutex
	leads  func(net.Conn) // nil when it is shut
	inside map[net.Conn]bool
	passed int // connections so far
}

// newDoor makes a door that leads to an address.
func newDoor(t *testing.T, to string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: l, leads: forward(to), inside: make(map[net.Conn]bool)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() { d.pass(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		d.lead(nil)
		done.Wait()
	})
	return d
}

func (d *door) address() string { return d.listener.Addr().String() }

// lead cuts all connections and says where the next ones go; nil shuts the door.
func (d *door) lead(to func(net.Conn)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leads = to
	for conn := range d.inside {
		conn.Close()
	}
}

func (d *door) shut()          { d.lead(nil) }
func (d *door) open(to string) { d.lead(forward(to)) }

// count is how many connections have come so far.
func (d *door) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func (d *door) pass(conn net.Conn) {
	defer conn.Close()
	d.mu.Lock()
	leads := d.leads
	d.inside[conn] = true
	d.passed++
	d.mu.Unlock()
	if leads != nil {
		leads(conn)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, conn)
}

// forward passes bytes on in both directions until one side is done.
func forward(to string) func(net.Conn) {
	return func(in net.Conn) {
		out, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		relay(in, out, func(to io.Writer, from io.Reader) { _, _ = io.Copy(to, from) })
	}
}

// relay copies in both directions and closes both ends when one copy ends.
func relay(in, out net.Conn, copy func(to io.Writer, from io.Reader)) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			copy(way[0], way[1])
			in.Close()
			out.Close()
		})
	}
	both.Wait()
}
