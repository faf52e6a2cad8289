package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// Event is one step of the active chain.
type Event struct {
	Connected bool // true: Block was added on top; false: Block was the top and was taken off
	Block     Block
}

// String returns the step as people read it.
func (e Event) String() string {
	if e.Connected {
		return "connected " + e.Block.String()
	}
	return "disconnected " + e.Block.String()
}

// Follow reports every step of the active chain after the block from, which
// the caller has already seen; the zero Block stands for the genesis block. A
// reorganisation is reported as the blocks taken off, top first, then the
// blocks put on, lowest first. No step is skipped or repeated: applying the
// events to a stack that starts with from always leaves a chain the node had.
//
// The sequence ends when the consumer breaks, or after one last pair with an
// error: the context's when it ended, or a *RPCError or *TransportError that
// does not pass by itself, or ErrBlockNotFound when the node does not know
// from. A node that is away or starting is waited for (Config.OnRetry hears of
// it). A node that crashed and lost its last blocks is reported as
// disconnecting them. Only the last 10,000 blocks that were reported can be
// taken off again after such a loss.
func (c *Client) Follow(ctx context.Context, from Block) iter.Seq2[Event, error] {
	return stream(ctx, c, func() func(context.Context) (Event, bool, error) {
		f := follower{client: c, at: from}
		return f.step
	})
}

// stream yields what step finds, one after the other, and pauses when it finds
// nothing: until the node announces a change, or for the length of Config.Poll.
// Each range over it begins with a new step.
func stream[T any](ctx context.Context, c *Client, begin func() func(context.Context) (T, bool, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var none T
		step, woken := begin(), c.announcements(ctx)
		for {
			found, moved, err := step(ctx)
			switch {
			case ctx.Err() != nil && !moved:
				yield(none, ctx.Err())
				return
			case err != nil && !transient(err):
				yield(none, err)
				return
			case err != nil:
				c.retrying(err)
			}
			if moved {
				if !yield(found, nil) {
					return
				}
				continue // there may be more: do not pause
			}
			if err := pauseUnless(ctx, c.config.Poll, woken); err != nil {
				yield(none, err)
				return
			}
		}
	}
}

// maxTrail bounds the memory of blocks below the current one.
const maxTrail = 10_000

// follower stands on one block and makes one step at a time. It keeps no plan
// between steps, so the chain may change in any way between two of them.
type follower struct {
	client *Client
	at     Block
	trail  []chainhash.Hash // of the blocks below at, lowest first, without gaps

	// read, when not nil, is told of a block before the step on it, which its error
	// puts off.
	read func(context.Context, chainhash.Hash) error
}

// step moves by one block if the active chain differs from where it stands.
func (f *follower) step(ctx context.Context) (event Event, moved bool, err error) {
	if f.at == (Block{}) {
		if f.at.Hash, err = f.client.BlockHash(ctx, 0); err != nil {
			f.at = Block{}
			return Event{}, false, err
		}
	}
	var best hashJSON
	if err := f.client.Call(ctx, "getbestblockhash", &best); err != nil {
		return Event{}, false, err
	}
	if best.Hash == f.at.Hash {
		return Event{}, false, nil
	}
	next, err := f.client.BlockHash(ctx, f.at.Height+1)
	if errors.Is(err, ErrBlockNotFound) {
		return f.stepAtTop(ctx)
	}
	if err != nil {
		return Event{}, false, err
	}
	header, _, err := f.client.Header(ctx, next)
	if err != nil {
		return Event{}, false, f.again(err)
	}
	if header.PrevBlock != f.at.Hash {
		return f.back(ctx)
	}
	if f.read != nil {
		if err := f.read(ctx, next); err != nil {
			return Event{}, false, f.again(err)
		}
	}
	return f.forward(next), true, nil
}

// stepAtTop decides when the chain is not higher than where the follower
// stands: its block is the tip, or it was taken off.
func (f *follower) stepAtTop(ctx context.Context) (Event, bool, error) {
	hash, err := f.client.BlockHash(ctx, f.at.Height)
	if err != nil && !errors.Is(err, ErrBlockNotFound) {
		return Event{}, false, err
	}
	if err == nil && hash == f.at.Hash {
		return Event{}, false, nil
	}
	return f.back(ctx)
}

// again hides that a block of the active chain was gone when its header was
// asked for: the chain moved in between, and the next look will see it.
func (f *follower) again(err error) error {
	if errors.Is(err, ErrBlockNotFound) {
		return nil
	}
	return err
}

func (f *follower) forward(hash chainhash.Hash) Event {
	f.trail = append(f.trail, f.at.Hash)
	if len(f.trail) > 2*maxTrail {
		f.trail = append([]chainhash.Hash(nil), f.trail[len(f.trail)-maxTrail:]...)
	}
	f.at = Block{Height: f.at.Height + 1, Hash: hash}
	return Event{Connected: true, Block: f.at}
}

// back takes off the current block. Its parent is known from the trail, which
// matters when the node has lost the block, else from the node.
func (f *follower) back(ctx context.Context) (Event, bool, error) {
	if f.at.Height == 0 {
		return Event{}, false, fmt.Errorf("bitcoind: follow from %s: another chain's genesis: %w", f.at, ErrBlockNotFound)
	}
	var parent chainhash.Hash
	if n := len(f.trail); n > 0 {
		parent, f.trail = f.trail[n-1], f.trail[:n-1]
	} else {
		header, height, err := f.client.Header(ctx, f.at.Hash)
		if err != nil {
			return Event{}, false, err
		}
		if height != f.at.Height {
			return Event{}, false, fmt.Errorf("bitcoind: follow from %s: its height is %d: %w", f.at, height, ErrBlockNotFound)
		}
		parent = header.PrevBlock
	}
	event := Event{Connected: false, Block: f.at}
	f.at = Block{Height: f.at.Height - 1, Hash: parent}
	return event, true, nil
}
