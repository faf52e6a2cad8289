package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// stack applies events as a consumer would and refuses any that does not fit.
type stack struct {
	blocks []Block
	events []Event
}

func (s *stack) apply(event Event) error {
	s.events = append(s.events, event)
	top := s.blocks[len(s.blocks)-1]
	if event.Connected {
		if event.Block.Height != top.Height+1 {
			return fmt.Errorf("%v on top of %v", event, top)
		}
		s.blocks = append(s.blocks, event.Block)
		return nil
	}
	if event.Block != top || len(s.blocks) == 1 {
		return fmt.Errorf("%v, but the top is %v", event, top)
	}
	s.blocks = s.blocks[:len(s.blocks)-1]
	return nil
}

// follow applies events from the block at the bottom until the top is want.
func (s *stack) follow(t *testing.T, node *Node, want Block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	from := s.blocks[len(s.blocks)-1]
	if from == want {
		return
	}
	for event, err := range node.Follow(ctx, from) {
		if err != nil {
			t.Fatalf("follow: %v; top is %v, want %v", err, s.blocks[len(s.blocks)-1], want)
		}
		must(t, s.apply(event))
		if event.Block == want && event.Connected {
			return
		}
	}
}

func TestFollowAcrossReorganisations(t *testing.T) {
	onEachProgram(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		genesis := Block{Hash: node.hashAt(t, 0)}
		_, err := node.Mine(ctx, 5)
		must(t, err)
		old, err := node.Tip(ctx)
		must(t, err)
		seen := &stack{blocks: []Block{genesis}}
		seen.follow(t, node, old)

		// A competing chain from height 2, one block longer. The follower that
		// begins at the old tip knows none of the blocks below it.
		fork := Block{Height: 2, Hash: node.hashAt(t, 2)}
		tip, err := node.branch(ctx, fork, 4)
		must(t, err)
		must(t, node.WaitHeight(ctx, tip.Height))
		seen.events = nil
		seen.follow(t, node, tip)
		var heights []int32
		for _, event := range seen.events {
			if event.Connected {
				heights = append(heights, event.Block.Height)
			} else {
				heights = append(heights, -event.Block.Height)
			}
		}
		if want := []int32{-5, -4, -3, 3, 4, 5, 6}; !slices.Equal(heights, want) {
			t.Errorf("steps %v, want %v", heights, want)
		}

		// The chain becomes shorter and the tip is taken off without another.
		must(t, node.Call(ctx, "invalidateblock", nil, tip.Hash.String()))
		lower, err := node.Tip(ctx)
		must(t, err)
		_, err = node.Mine(ctx, 2)
		must(t, err)
		top, err := node.Tip(ctx)
		must(t, err)
		seen.follow(t, node, top)
		for _, block := range seen.blocks {
			if node.hashAt(t, block.Height) != block.Hash {
				t.Errorf("block %v is not in the active chain (after %v)", block, lower)
			}
		}
	})
}

// TestFollowWhileTheChainMoves mines, reorganises, kills and restarts the node
// under a running follower.
func TestFollowWhileTheChainMoves(t *testing.T) {
	onEachKind(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		var retries atomic.Int32
		config := node.Config()
		config.OnRetry = func(error) { retries.Add(1) }
		config.Poll = time.Millisecond
		client, err := Dial(ctx, config)
		must(t, err)

		var final atomic.Pointer[Block]
		genesis := Block{Hash: node.hashAt(t, 0)}
		seen := &stack{blocks: []Block{genesis}}
		finished := make(chan error, 1)
		reached := make(chan Block, 1000) // every block the follower stood on
		followCtx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		go func() {
			for event, err := range client.Follow(followCtx, Block{}) {
				if err == nil {
					err = seen.apply(event)
				}
				if err != nil {
					finished <- err
					return
				}
				reached <- seen.blocks[len(seen.blocks)-1]
				if want := final.Load(); want != nil && event.Connected && event.Block == *want {
					finished <- nil
					return
				}
			}
		}()
		await := func(block Block) {
			t.Helper()
			for {
				select {
				case at := <-reached:
					if at == block {
						return
					}
				case err := <-finished:
					t.Fatalf("follower ended before %v: %v", block, err)
				}
			}
		}
		mine := func(n int) Block {
			t.Helper()
			_, err := node.Mine(ctx, n)
			must(t, err)
			tip, err := node.Tip(ctx)
			must(t, err)
			return tip
		}
		await(mine(10))
		must(t, node.Restart(ctx))
		await(mine(5))
		for depth := range int32(4) {
			tip, err := node.Tip(ctx)
			must(t, err)
			height := max(0, tip.Height-depth-1)
			tip, err = node.branch(ctx, Block{Height: height, Hash: node.hashAt(t, height)}, int(depth)+2)
			must(t, err)
			await(tip)
		}
		must(t, node.Kill())
		must(t, node.Restart(ctx))
		await(mine(3))
		_, err = node.Mine(ctx, 1)
		must(t, err)
		_, err = node.Mine(ctx, 1)
		must(t, err)
		last, err := node.Tip(ctx)
		must(t, err)
		last.Height++
		hashes, err := node.Mine(ctx, 1)
		must(t, err)
		await(Block{Height: last.Height, Hash: hashes[0]})
		for _, block := range seen.blocks {
			if node.hashAt(t, block.Height) != block.Hash {
				t.Errorf("block %v is not in the active chain", block)
			}
		}
		if retries.Load() == 0 {
			t.Error("the follower did not notice that the node was away")
		}
	})
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	node := Start(t)
	_, err := node.Mine(t.Context(), 1)
	must(t, err)
	tip, err := node.Tip(t.Context())
	must(t, err)
	for name, test := range map[string]struct {
		from Block
		want error
	}{
		"at the context's end":      {tip, context.DeadlineExceeded},
		"at an unknown block":       {Block{Height: 1, Hash: chainhash.Hash{1}}, ErrBlockNotFound},
		"at a block far above":      {Block{Height: 1000, Hash: chainhash.Hash{1}}, ErrBlockNotFound},
		"at another genesis":        {Block{Height: 0, Hash: chainhash.Hash{1}}, ErrBlockNotFound},
		"at a height that is wrong": {Block{Height: 7, Hash: node.hashAt(t, 0)}, ErrBlockNotFound},
	} {
		patience := time.Minute
		if test.want == context.DeadlineExceeded {
			patience = 300 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var last error
		for event, err := range node.Follow(ctx, test.from) {
			if err == nil {
				t.Errorf("%s: event %v", name, event)
			}
			last = err
		}
		cancel()
		if !errors.Is(last, test.want) {
			t.Errorf("%s: %v, want %v", name, last, test.want)
		}
	}
	for range node.Follow(t.Context(), Block{}) {
		break // the consumer may leave
	}
}
