package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// medianBlocks is how many blocks must be after a time before the median of the
// last eleven is (BIP 113).
const medianBlocks = 6

// Freeze stops the node's clock at a time, in whole seconds, until Advance or
// Freeze moves it or Unfreeze lets it run. Blocks of a Miner of this Client take
// their times from it, and a Node keeps it through Restart. Only regtest has
// such a clock; btcd has none: ErrUnsupported.
func (c *Client) Freeze(ctx context.Context, at time.Time) error {
	if at.Unix() <= 0 {
		return fmt.Errorf("bitcoind: freeze the clock at %v: want a time after 1970", at)
	}
	return c.setClock(ctx, at.Unix())
}

// Advance moves the frozen clock forward and returns its new time. A running
// clock is frozen at its present time plus d.
func (c *Client) Advance(ctx context.Context, d time.Duration) (time.Time, error) {
	if d < 0 {
		return time.Time{}, fmt.Errorf("bitcoind: advance the clock by %v: time does not run backwards; Freeze can", d)
	}
	at := c.Now().Add(d)
	return at, c.Freeze(ctx, at)
}

// Unfreeze lets the node's clock run again, at the present time. A chain whose
// blocks are more than two hours ahead of it can no longer grow, and its node no
// longer start.
func (c *Client) Unfreeze(ctx context.Context) error { return c.setClock(ctx, 0) }

// Now returns the node's time as far as this Client set it, else the machine's.
func (c *Client) Now() time.Time {
	if at := c.frozen.Load(); at != 0 {
		return time.Unix(at, 0)
	}
	return time.Now()
}

func (c *Client) setClock(ctx context.Context, unix int64) error {
	if c.params.Net != chaincfg.RegressionNetParams.Net {
		return fmt.Errorf("bitcoind: clock on %s: %w", c.params.Name, ErrNotRegtest)
	}
	if err := c.disturb(); err != nil {
		return err
	}
	err := c.Call(ctx, "setmocktime", nil, unix)
	if c.btcd || errors.Is(err, &RPCError{Code: CodeMethodNotFound}) {
		return fmt.Errorf("bitcoind: clock: %w", ErrUnsupported)
	}
	if err == nil {
		c.frozen.Store(unix)
	}
	return err
}

// MineMedianTime mines until the median time past (BIP 113), by which lock times
// count, is at least t, and returns the blocks, six at most. It freezes the
// clock there when t is still to come.
func (m *Miner) MineMedianTime(ctx context.Context, t time.Time) ([]chainhash.Hash, error) {
	if last := t.Add(medianBlocks * time.Second); last.After(m.client.Now()) {
		if err := m.client.Freeze(ctx, last); err != nil {
			return nil, err
		}
	}
	at := t.Truncate(time.Second)
	if at.Before(t) {
		at = at.Add(time.Second)
	}
	var hashes []chainhash.Hash
	for {
		info, err := m.client.ChainInfo(ctx)
		if err != nil || !info.MedianTime.Before(t) {
			return hashes, err
		}
		mined, err := m.Mine(ctx, 1, MineAt(at))
		if err != nil {
			return hashes, err
		}
		hashes, at = append(hashes, mined...), at.Add(time.Second)
	}
}
