package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// WaitError says that a wait ended before what it waited for came true.
type WaitError struct {
	For  string // what was awaited
	Last string // the last state seen, or the last failure to see it
	Err  error  // why the wait ended: the context's error, or the node's
}

// Error implements error.
func (e *WaitError) Error() string {
	return fmt.Sprintf("bitcoind: wait for %s: %v; last seen: %s", e.For, e.Err, e.Last)
}

// Unwrap returns why the wait ended.
func (e *WaitError) Unwrap() error { return e.Err }

// WaitHeight waits until the active chain has at least the height. Like every
// wait it passes over a node that is away, and its error is a *WaitError.
func (c *Client) WaitHeight(ctx context.Context, height int32) error {
	return c.wait(ctx, fmt.Sprintf("height %d", height), func() (bool, string, error) {
		tip, err := c.Tip(ctx)
		return err == nil && tip.Height >= height, "tip " + tip.String(), err
	})
}

// WaitTx waits until the transaction is in the mempool or the active chain.
func (c *Client) WaitTx(ctx context.Context, txid chainhash.Hash) error {
	return c.waitTx(ctx, txid, 0, fmt.Sprintf("transaction %s", txid))
}

// WaitConfirmed waits until the transaction has at least n confirmations.
func (c *Client) WaitConfirmed(ctx context.Context, txid chainhash.Hash, n int64) error {
	return c.waitTx(ctx, txid, n, fmt.Sprintf("%d confirmations of transaction %s", n, txid))
}

func (c *Client) waitTx(ctx context.Context, txid chainhash.Hash, n int64, what string) error {
	return c.wait(ctx, what, func() (bool, string, error) {
		_, confirmations, _, err := c.Tx(ctx, txid)
		if errors.Is(err, ErrTxNotFound) {
			return false, "not in mempool or chain", nil
		}
		return err == nil && confirmations >= n, fmt.Sprintf("%d confirmations", confirmations), err
	})
}

// wait polls look until it reports true, fails for good, or the context ends.
func (c *Client) wait(ctx context.Context, what string, look func() (done bool, seen string, err error)) error {
	last := "nothing"
	for {
		done, seen, err := look()
		switch {
		case done:
			return nil
		case err == nil:
			last = seen
		case ctx.Err() != nil: // then err only repeats it; keep what was seen before
			return &WaitError{For: what, Last: last, Err: ctx.Err()}
		case transient(err):
			last = err.Error()
			c.retrying(err)
		default:
			return &WaitError{For: what, Last: last, Err: err}
		}
		if err := pause(ctx, c.config.Poll); err != nil {
			return &WaitError{For: what, Last: last, Err: err}
		}
	}
}

func (c *Client) retrying(err error) {
	if c.config.OnRetry != nil {
		c.config.OnRetry(err)
	}
}

// pause waits for d or for the end of the context, whose error it returns.
func pause(ctx context.Context, d time.Duration) error { return pauseUnless(ctx, d, nil) }

// pauseUnless is pause that ends early when woken receives.
func pauseUnless(ctx context.Context, d time.Duration, woken <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
