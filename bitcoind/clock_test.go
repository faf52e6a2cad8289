package bitcoind

import (
	"errors"
	"testing"
	"time"
)

// tipTime is the time of the last block, and the median time past.
func tipTime(t *testing.T, node *Node) (at, median time.Time) {
	t.Helper()
	info, err := node.ChainInfo(t.Context())
	must(t, err)
	header, _, err := node.Header(t.Context(), info.Tip.Hash)
	must(t, err)
	return header.Timestamp, info.MedianTime
}

func TestFrozenClock(t *testing.T) {
	onEachKind(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		future := time.Now().Add(1000 * time.Hour).Truncate(time.Second)
		err := node.Freeze(ctx, future)
		if node.Info().Kind == "btcd" {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("btcd: %v, want ErrUnsupported", err)
			}
			return
		}
		must(t, err)
		for i := range 3 {
			mineOne(t, node)
			if at, _ := tipTime(t, node); !at.Equal(future.Add(time.Duration(i) * time.Second)) {
				t.Errorf("block %d at %v, want it from %v", i, at, future)
			}
		}
		later, err := node.Advance(ctx, time.Hour)
		if err != nil || !later.Equal(future.Add(time.Hour)) || !node.Now().Equal(later) {
			t.Errorf("advanced to %v, %v; want an hour after %v", later, err, future)
		}
		mineOne(t, node)
		if at, _ := tipTime(t, node); !at.Equal(later) {
			t.Errorf("block at %v, want %v", at, later)
		}
		// A node does not start on a chain of the future unless its clock is there.
		must(t, node.Restart(ctx))
		mineOne(t, node)
		if at, _ := tipTime(t, node); at.Before(later) {
			t.Errorf("after a restart: block at %v, want %v", at, later)
		}
		if _, err := node.Advance(ctx, -time.Second); err == nil {
			t.Error("backwards: no error")
		}
		if err := node.Freeze(ctx, time.Time{}); err == nil {
			t.Error("at the zero time: no error")
		}
		must(t, node.Unfreeze(ctx))
		if _, err := node.Mine(ctx, 1); !errors.Is(err, ErrBlockRefused) {
			t.Errorf("on a chain of the future: %v, want ErrBlockRefused", err)
		}
	})
}

func TestMedianTimeOpensALock(t *testing.T) {
	t.Parallel()
	node := Start(t, append(local(), WithBlocks(120))...)
	ctx := t.Context()
	w := newWallet(t, node, 1, 1_000_000)
	at := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Second)
	tx, err := w.Build(Payment{LockTime: uint32(at.Unix())})
	must(t, err)
	check := func(name string, want RejectReason) {
		t.Helper()
		if got, err := node.TestAccept(ctx, tx); err != nil || got[0].Reason != want {
			t.Errorf("%s: %+v, %v; want %q", name, got, err, want)
		}
	}
	check("today", ReasonNonFinal)
	must(t, node.Freeze(ctx, at.Add(time.Minute)))
	check("when the clock alone is there", ReasonNonFinal)
	hashes, err := node.MineMedianTime(ctx, at.Add(time.Second))
	must(t, err)
	if _, median := tipTime(t, node); len(hashes) != medianBlocks || median.Before(at) {
		t.Errorf("%d blocks and median time %v; want six, and %v", len(hashes), median, at)
	}
	check("when the median is past it", "")
	if hashes, err := node.MineMedianTime(ctx, at); err != nil || len(hashes) != 0 {
		t.Errorf("again: %d blocks, %v; want none", len(hashes), err)
	}
}

func TestClockIsOfRegtestOnly(t *testing.T) {
	t.Parallel()
	client := newClient(Config{})
	var err error
	client.params, err = chainParams("main")
	must(t, err)
	if err := client.Freeze(t.Context(), time.Now()); !errors.Is(err, ErrNotRegtest) {
		t.Errorf("mainnet: %v, want ErrNotRegtest", err)
	}
}
