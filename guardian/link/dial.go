package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/brontide"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"
	"golang.org/x/net/http2"
)

// Timing of the guardian's end.
const (
	dialLimit  = 10 * time.Second
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second // a coordinator that is back is found within it
)

// limits bound what the coordinator may use of a guardian.
type limits struct {
	requests int           // under way at a time
	headers  int           // bytes of a request's headers
	send     time.Duration // to send a request
	answer   time.Duration // to carry it out and take the answer
	// A connection on which nothing was heard for quiet is tried, and ends when
	// the coordinator does not answer within ping.
	quiet, ping time.Duration
}

var usualLimits = limits{requests: 16, headers: 16 << 10, send: 15 * time.Second, answer: 2 * time.Minute,
	quiet: 10 * time.Second, ping: 5 * time.Second}

// Serve dials the coordinator and answers its requests with the handler, one
// connection after another, until ctx ends. It returns ctx's error.
func Serve(ctx context.Context, address string, coordinator *btcec.PublicKey, host *btcec.PrivateKey, handler http.Handler, log *slog.Logger) error {
	pause, failed := firstPause, ""
	for {
		began := time.Now()
		err := serveOnce(ctx, address, coordinator, host, handler, usualLimits)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > lastPause {
			pause, failed = firstPause, ""
		}
		if text := err.Error(); text != failed {
			failed = text
			log.Warn("no connection to the coordinator", "address", address, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = next(pause)
	}
}

func next(pause time.Duration) time.Duration { return min(2*pause, lastPause) }

var errEnded = errors.New("the connection ended")

func serveOnce(ctx context.Context, address string, coordinator *btcec.PublicKey, host *btcec.PrivateKey, handler http.Handler, l limits) error {
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return err
	}
	conn, err := brontide.Dial(&keychain.PrivKeyECDH{PrivKey: host},
		&lnwire.NetAddress{IdentityKey: coordinator, Address: tcp}, dialLimit,
		func(network, address string, timeout time.Duration) (net.Conn, error) {
			d := net.Dialer{Timeout: timeout}
			return d.DialContext(ctx, network, address)
		})
	if err != nil {
		return fmt.Errorf("dial the coordinator: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	server := &http2.Server{MaxConcurrentStreams: uint32(l.requests), ReadIdleTimeout: l.quiet, PingTimeout: l.ping}
	server.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, Handler: handler, BaseConfig: &http.Server{
		ErrorLog: discard, MaxHeaderBytes: l.headers, ReadTimeout: l.send, WriteTimeout: l.answer}})
	return errEnded
}
