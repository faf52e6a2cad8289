package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/bitcoind"
)

// measureStart starts the bare program and a node in turn.
func (b *nodeBench) measureStart(ctx context.Context) error {
	var raws, starts []time.Duration
	var ratios []float64
	for range b.options.Rounds {
		raw, err := timeRawStart(ctx, b.Node.Program)
		if err != nil {
			return fmt.Errorf("the bare program: %w", err)
		}
		began := time.Now()
		node, err := bitcoind.Open(ctx, b.local()...)
		start := time.Since(began)
		if err != nil {
			return err
		}
		if err := node.Close(); err != nil {
			return err
		}
		raws, starts = append(raws, raw), append(starts, start)
		ratios = append(ratios, float64(start)/float64(raw))
	}
	b.record("raw_process", raws)
	b.record("start_101_blocks", starts)
	b.target("start_101_blocks_over_raw_process", median(ratios), "raw starts", 1.3)
	return nil
}

// measureWarm takes nodes that had time to get ready.
func (b *nodeBench) measureWarm(ctx context.Context) error {
	warm := bitcoind.NewWarm(1, b.local()...)
	defer warm.Close()
	first, err := warm.Get(ctx)
	if err != nil {
		return err
	}
	defer first.Close()
	var gets []time.Duration
	for range b.options.Rounds {
		// The pool has begun the next node just now. What one start takes, many
		// times over, is enough.
		if err := rest(ctx, 5*time.Duration(b.Figures[1].MaxMS*float64(time.Millisecond))); err != nil {
			return err
		}
		began := time.Now()
		node, err := warm.Get(ctx)
		gets = append(gets, time.Since(began))
		if err != nil {
			return err
		}
		if _, err := node.Tip(ctx); err != nil {
			return fmt.Errorf("a warm node does not answer: %w", err)
		}
		if err := node.Close(); err != nil {
			return err
		}
	}
	b.target("warm_node", b.record("warm_node", gets).MedMS, "ms", 20)
	return nil
}

func (b *nodeBench) measureMine(ctx context.Context) error {
	return b.onNode(ctx, func(node *bitcoind.Node) error {
		var times []time.Duration
		for range 10 * b.options.Rounds {
			began := time.Now()
			if _, err := node.Mine(ctx, 1); err != nil {
				return err
			}
			times = append(times, time.Since(began))
		}
		b.target("mine_1", b.record("mine_1", times).MedMS, "ms", 10)
		return nil
	})
}

// measureReorg replaces six blocks and keeps the twenty transactions of the first.
func (b *nodeBench) measureReorg(ctx context.Context) error {
	return b.onNode(ctx, func(node *bitcoind.Node) error {
		if _, err := node.Mine(ctx, 30); err != nil { // more coins to spend
			return err
		}
		var times []time.Duration
		for range b.options.Rounds {
			var kept []chainhash.Hash
			for range 20 {
				coin, err := node.Fund(ctx, node.MinerScript(), 10_000)
				if err != nil {
					return err
				}
				kept = append(kept, coin.Hash)
			}
			if _, err := node.Mine(ctx, 6); err != nil {
				return err
			}
			began := time.Now()
			result, err := node.Reorg(ctx, 6, bitcoind.ReorgKeep(kept...))
			times = append(times, time.Since(began))
			if err != nil {
				return err
			}
			if len(result.Reconfirmed) != len(kept) {
				return fmt.Errorf("%d of %d transactions were kept", len(result.Reconfirmed), len(kept))
			}
		}
		b.target("reorg_6_keeping_20", b.record("reorg_6_keeping_20", times).MedMS, "ms", 150)
		return nil
	})
}

// onNode measures on one node.
func (b *nodeBench) onNode(ctx context.Context, measure func(*bitcoind.Node) error) error {
	node, err := bitcoind.Open(ctx, b.local()...)
	if err != nil {
		return err
	}
	return errors.Join(measure(node), node.Close())
}

// measureParallel starts many nodes at once, which all run until the last is
// ready. A clash is a node that did not start, or has another's port.
func (b *nodeBench) measureParallel(ctx context.Context) error {
	var times []time.Duration
	clashes := 0
	for repeat := range b.options.Repeats {
		began := time.Now()
		nodes, errs := b.openMany(ctx)
		times = append(times, time.Since(began))
		urls := make(map[string]bool)
		for _, node := range nodes {
			urls[node.Config().URL] = true
		}
		clashes += b.options.Parallel - len(urls)
		for _, err := range errs {
			b.say("repeat %d: %v", repeat+1, err)
		}
		if err := closeMany(nodes); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	name := fmt.Sprintf("%d_nodes_at_once", b.options.Parallel)
	f := b.record(name, times)
	b.target(name+"_slowest", f.MaxMS/1000, "s", 30)
	b.target(fmt.Sprintf("port_clashes_in_%d_repeats", b.options.Repeats), float64(clashes), "nodes", 0)
	return nil
}

func (b *nodeBench) openMany(ctx context.Context) (nodes []*bitcoind.Node, errs []error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for range b.options.Parallel {
		all.Go(func() {
			node, err := bitcoind.Open(ctx, b.local()...)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			nodes = append(nodes, node)
		})
	}
	all.Wait()
	return nodes, errs
}

func closeMany(nodes []*bitcoind.Node) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, node := range nodes {
		all.Go(func() { errs[i] = node.Close() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// measureDocker starts containers, where there is an engine that holds the image.
func (b *nodeBench) measureDocker(ctx context.Context) error {
	const name = "start_under_dockertest"
	var times []time.Duration
	for range min(b.options.Rounds, 5) {
		began := time.Now()
		node, err := bitcoind.Open(ctx, bitcoind.WithDocker(""))
		elapsed := time.Since(began)
		var none *bitcoind.NoNodeError
		if len(times) == 0 && errors.As(err, &none) && ctx.Err() == nil {
			b.leave(name, none.Rungs[0].Err)
			return nil
		}
		if err != nil {
			return err
		}
		times = append(times, elapsed)
		if err := node.Close(); err != nil {
			return err
		}
	}
	b.target(name, b.record(name, times).MedMS/1000, "s", 3)
	return nil
}
