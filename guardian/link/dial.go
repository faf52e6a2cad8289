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
	lastPause  = 15 * time.Second
	// idleLimit ends a connection on which the coordinator, which asks for the
	// status every few seconds, has been silent.
	idleLimit = time.Minute
)

// Serve dials the coordinator and answers its requests with the handler, one
// connection after another, until ctx ends. It returns ctx's error.
func Serve(ctx context.Context, address string, coordinator *btcec.PublicKey, host *btcec.PrivateKey, handler http.Handler, log *slog.Logger) error {
	pause, failed := firstPause, ""
	for {
		began := time.Now()
		err := serveOnce(ctx, address, coordinator, host, handler)
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
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, lastPause)
	}
}

var errEnded = errors.New("the connection ended")

func serveOnce(ctx context.Context, address string, coordinator *btcec.PublicKey, host *btcec.PrivateKey, handler http.Handler) error {
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
	(&http2.Server{IdleTimeout: idleLimit}).ServeConn(conn, &http2.ServeConnOpts{
		Context: ctx, Handler: handler, BaseConfig: &http.Server{ErrorLog: discard},
	})
	return errEnded
}
