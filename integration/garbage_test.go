package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/brontide"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"
	"golang.org/x/net/http2"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// TestGarbageOnTheWire: the coordinator's listener and the guardians get bytes
// that are nothing, and pieces of what they should get, before, in and after the
// handshake. Nobody falls over, and settlements go on.
func TestGarbageOnTheWire(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	random := rand.New(rand.NewPCG(newSeed(t), 5))
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 3)
	var way *door
	tape := &recorder{}
	h.openWith(ctx, func(i int) *process {
		if way == nil {
			way = newDoor(t, h.address)
			way.lead(tape.forward(h.address))
		}
		return h.guardianBehind(i, map[string]*door{"coordinator": way})
	})
	c := newCustomer(ctx, h)

	// To the coordinator, in the place of a guardian that is gone, too.
	h.guardians[2].stop()
	key := h.hostKey(2)
	coordinator := h.secret("coordinator.key").PubKey()
	var noise sync.WaitGroup
	for range 40 {
		seed := random.Uint64()
		noise.Go(func() { h.pester(rand.New(rand.NewPCG(seed, 1)), coordinator, key, tape.said()) })
	}
	c.withdraw(10_000)
	c.mine(1)
	c.settle(2)
	noise.Wait()

	// To the guardians, from somebody who has taken the coordinator's address, and
	// at the end also its key.
	before := way.count()
	way.lead(rubbish(random.Uint64(), h.address, h.falseListener(random.Uint64())))
	c.wait("the guardians to try again and again", func() (bool, string) {
		return way.count() >= before+10, fmt.Sprint(way.count() - before)
	})
	u := h.usurp("127.0.0.1:0")
	way.open(u.hub.Addr().String())
	u.await(ctx, 2)
	u.askRubbish(ctx, random)

	way.open(h.address)
	h.guardians[2].start()
	c.withdraw(10_000)
	c.mine(1)
	c.settle(3)
	h.expectSound()
	h.expectSignedOnce(c)
	for _, p := range append(h.guardians, h.bank) {
		raw, err := os.ReadFile(p.log)
		if err != nil || len(p.exited) > 0 || bytes.Contains(raw, []byte("panic")) {
			t.Errorf("%s has fallen over (%v)", p.name, err)
		}
	}
}

// hostKey is that of a guardian that has stopped.
func (h *house) hostKey(i int) *btcec.PrivateKey {
	h.t.Helper()
	k, err := keep.Open(h.folder(i))
	if err != nil {
		h.t.Fatal(err)
	}
	defer k.Close()
	host, err := k.HostKey(keyfile.IdentityFile(h.identity(i)))
	if err != nil {
		h.t.Fatal(err)
	}
	secret, err := host.Reveal()
	if err != nil {
		h.t.Fatal(err)
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	return key
}

// A recorder forwards, and keeps what the side that dials says first.
type recorder struct {
	mu    sync.Mutex
	first []byte
}

func (r *recorder) said() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.first)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.first) < 1<<10 {
		r.first = append(r.first, b...)
	}
	return len(b), nil
}

func (r *recorder) forward(to string) func(net.Conn) {
	return func(in net.Conn) {
		out, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		relay(in, out, func(to io.Writer, from io.Reader) {
			if to == io.Writer(out) && len(r.said()) == 0 {
				to = io.MultiWriter(to, r)
			}
			_, _ = io.Copy(to, from)
		})
	}
}

// someBytes are at most n random bytes.
func someBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, random.IntN(n+1))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// pester dials the coordinator once and sends it rubbish of one kind.
func (h *house) pester(random *rand.Rand, coordinator *btcec.PublicKey, known *btcec.PrivateKey, handshake []byte) {
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	switch random.IntN(4) {
	case 0:
		_, _ = conn.Write(someBytes(random, 4096))
	case 1: // a guardian's own words, cut short
		_, _ = conn.Write(handshake[:random.IntN(len(handshake))])
	case 2: // or repeated, with a bit changed
		handshake[random.IntN(len(handshake))] ^= 1 << random.IntN(8)
		_, _ = conn.Write(handshake)
	case 3:
		conn.Close()
		h.pesterAs(random, coordinator, known)
		return
	}
	_, _ = io.CopyN(io.Discard, conn, 50)
}

// pesterAs sends rubbish with a host key: a guardian's, or one that nobody knows.
func (h *house) pesterAs(random *rand.Rand, coordinator *btcec.PublicKey, key *btcec.PrivateKey) {
	if random.IntN(2) == 0 {
		key, _ = btcec.NewPrivateKey()
	}
	tcp, err := net.ResolveTCPAddr("tcp", h.address)
	if err != nil {
		return
	}
	conn, err := brontide.Dial(&keychain.PrivKeyECDH{PrivKey: key},
		&lnwire.NetAddress{IdentityKey: coordinator, Address: tcp}, 5*time.Second, net.DialTimeout)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	speakRubbish(random, conn)
	_, _ = io.CopyN(io.Discard, conn, 100)
}

// speakRubbish writes what is no HTTP/2, or begins like it.
func speakRubbish(random *rand.Rand, conn io.Writer) {
	for range random.IntN(20) {
		body := someBytes(random, 200)
		frame := binary.BigEndian.AppendUint32(nil, uint32(random.IntN(2*len(body)+1))<<8|uint32(random.IntN(12)))
		frame = append(frame, byte(random.Uint32()))
		frame = binary.BigEndian.AppendUint32(frame, uint32(random.IntN(8)))
		if _, err := conn.Write(append(frame, body...)); err != nil {
			return
		}
	}
}

// falseListener has the coordinator's key and speaks rubbish once a guardian has
// made sure of that.
func (h *house) falseListener(seed uint64) string {
	h.t.Helper()
	l, err := brontide.NewListener(&keychain.PrivKeyECDH{PrivKey: h.secret("coordinator.key")}, "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	go func() {
		random := rand.New(rand.NewPCG(seed, 2))
		for {
			conn, err := l.Accept()
			if err != nil {
				if conn == nil && h.t.Context().Err() != nil {
					return
				}
				continue
			}
			if random.IntN(2) == 0 {
				_, _ = io.WriteString(conn, http2.ClientPreface)
			}
			speakRubbish(random, conn)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// rubbish is what is behind the door instead of the coordinator.
func rubbish(seed uint64, honest, false string) func(net.Conn) {
	var mu sync.Mutex
	random, n := rand.New(rand.NewPCG(seed, 3)), 0
	return func(conn net.Conn) {
		mu.Lock()
		n++
		kind, own := n%4, rand.New(rand.NewPCG(random.Uint64(), 4))
		mu.Unlock()
		switch kind {
		case 0:
			_, _ = conn.Write(someBytes(own, 4096))
		case 1: // at once nothing
		case 2:
			forward(false)(conn)
		case 3: // the coordinator's own words, cut short or with a bit changed
			out, err := net.Dial("tcp", honest)
			if err != nil {
				return
			}
			whole, spoilt := own.IntN(300), own.IntN(2) == 0
			relay(conn, out, func(to io.Writer, from io.Reader) {
				if to != io.Writer(conn) {
					_, _ = io.Copy(to, from)
					return
				}
				_, _ = io.CopyN(to, from, int64(whole))
				if b := make([]byte, 1); spoilt {
					_, _ = io.ReadFull(from, b)
					_, _ = to.Write([]byte{b[0] ^ 1})
					_, _ = io.CopyN(to, from, 100)
				}
			})
		}
	}
}

// askRubbish asks connected guardians what is no request. Each answer is a whole
// one, and an error: a handler that fell over would give none.
func (u *usurper) askRubbish(ctx context.Context, random *rand.Rand) {
	u.h.t.Helper()
	paths := []string{"/status", "/commit", "/sign", "/keygen/begin", "/keygen/step2", "/keygen/finalize", "/keygen/adopt", "/keygen/investigate", "/", "/%00", "/../commit"}
	words := []string{`{`, `}`, `[`, `]`, `"`, `:`, `,`, `null`, `-1`, `1e99`, `"proposal"`, `"request"`, `"settlement"`, `"tx"`, `"nonces"`,
		`"signers"`, `"founding"`, `"message"`, `""`, `"00"`, `{"request":null}`, `{"proposal":{"settlement":1},"request":{"messages":-1}}`, `{"signers":[4294967295]}`}
	for range 200 {
		path := paths[random.IntN(len(paths))]
		var body []byte
		switch random.IntN(3) {
		case 0:
			body = someBytes(random, 1000)
		case 1:
			for range random.IntN(12) {
				body = append(body, words[random.IntN(len(words))]...)
			}
		case 2:
			body = bytes.Repeat([]byte(words[random.IntN(len(words))]), random.IntN(100_000))
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guardian"+path, bytes.NewReader(body))
		if err != nil {
			u.h.t.Fatal(err)
		}
		answer, err := u.hub.RoundTripper(random.IntN(2)).RoundTrip(r)
		if err != nil {
			u.h.t.Errorf("%s, %d bytes %.40q: %v", path, len(body), body, err)
			continue
		}
		raw, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode == http.StatusOK && !json.Valid(raw) {
			u.h.t.Errorf("%s, %d bytes %.40q: status %d, %.200s, %v", path, len(body), body, answer.StatusCode, raw, err)
		}
		if answer.StatusCode == http.StatusOK {
			u.h.t.Errorf("%s, %d bytes %.40q was done: %.200s", path, len(body), body, raw)
		}
	}
}
