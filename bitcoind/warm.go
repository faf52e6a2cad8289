package bitcoind

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Warm keeps nodes started ahead, so that a test gets one at once. A package
// makes one in TestMain, or in a variable with sync.OnceValue; what nobody took
// is closed by Close, or goes with the process.
type Warm struct {
	ready  chan warmed
	ended  <-chan struct{} // closed by Close
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

type warmed struct {
	node *Node
	err  error
}

// NewWarm starts nodes in the background and holds size of them ready.
func NewWarm(size int, options ...Option) *Warm {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Warm{ready: make(chan warmed), ended: ctx.Done(), cancel: cancel}
	for range max(size, 1) {
		w.wait.Go(func() { w.keep(ctx, options) })
	}
	return w
}

// keep holds one node ready, again and again.
func (w *Warm) keep(ctx context.Context, options []Option) {
	for ctx.Err() == nil {
		node, err := Open(ctx, options...)
		select {
		case w.ready <- warmed{node, err}:
		case <-ctx.Done():
			if node != nil {
				node.Close()
			}
		}
	}
}

// Get returns a node that is the caller's from then on, as from Open. It waits
// when none is ready yet. After Close it fails with os.ErrClosed.
func (w *Warm) Get(ctx context.Context) (*Node, error) {
	select {
	case got := <-w.ready:
		return got.node, got.err
	case <-w.ended:
		return nil, fmt.Errorf("bitcoind: warm nodes: %w", os.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("bitcoind: wait for a warm node: %w", ctx.Err())
	}
}

// Start is Get for a test, as the package's Start is for Open.
func (w *Warm) Start(t testing.TB) *Node {
	t.Helper()
	node, err := w.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("bitcoind: using %s", node.info)
	node.cleanup(t)
	return node
}

// Close closes the nodes that nobody took.
func (w *Warm) Close() {
	w.cancel()
	w.wait.Wait()
}
