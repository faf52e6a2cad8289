package bitcoind

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/lightninglabs/gozmq"
)

// announcements receives soon after the node has announced a change by ZMQ; it
// is nil when the node announces nothing. What is announced is not looked at:
// publishers drop messages under load and while a subscriber reconnects, so an
// announcement is only a reason to look now and not later.
func (c *Client) announcements(ctx context.Context) <-chan struct{} {
	if c.config.ZMQ == "" {
		return nil
	}
	woken := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			listen(ctx, c.config.ZMQ, woken)
			pause(ctx, c.config.Poll)
		}
	}()
	return woken
}

// listen forwards announcements until the context or the subscription ends.
func listen(ctx context.Context, address string, woken chan<- struct{}) {
	// Closing a subscription under a reader is a data race in the library, so
	// the reader looks up from time to time.
	const look = 200 * time.Millisecond
	subscription, err := gozmq.Subscribe(address, []string{"sequence"}, look)
	if err != nil {
		return
	}
	defer subscription.Close()
	// Something may have happened before the subscription, or before the library
	// made it again.
	wake(woken)
	for ctx.Err() == nil {
		_, err := subscription.Receive(nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		wake(woken)
		var timeout net.Error
		if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			return
		}
	}
}

// wake does nothing when the follower has not yet looked since the last.
func wake(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}
