package settlement

import (
	"context"
	"fmt"
	"iter"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

const (
	// progressEvery is how many blocks pass between two lines of the log.
	progressEvery = 500
	// togetherMax is how many blocks are recorded in one batch, as long as what they
	// hold for the books is less than eventsMax.
	togetherMax = 100
	eventsMax   = 4_096
)

// catchUp takes into the books every block that has reached the depth. It reads
// ahead, and records many blocks at once when it has many.
func (d *Desk) catchUp(ctx context.Context) error {
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return fmt.Errorf("height of the chain: %w", err)
	}
	v, err := d.viewChain(ctx)
	if err != nil {
		return err
	}
	if err := d.checkBranch(ctx, v); err != nil {
		return err
	}
	last, err := d.agreed(ctx, &v, tip)
	if err != nil || last == nil {
		return err
	}
	next, stop := iter.Pull2(netting.ReadAhead(ctx, d.Chain, &v.charter, v.height+1, last.height))
	defer stop()
	for v.height < last.height {
		before := v.height
		if err := d.takeBlocks(ctx, &v, next, last); err != nil {
			return fmt.Errorf("after block %d: %w", before, err)
		}
		if before/progressEvery != v.height/progressEvery && last.height-v.height > progressEvery {
			d.Log.Info("catching up with the chain", "height", v.height, "tip", tip)
		}
		if v, err = d.viewChain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A block of the chain by height and hash.
type block struct {
	height uint32
	hash   chainhash.Hash
}

// agreed is the last block that the books may take, nil when there is none above
// them. The node has to show the tip that it speaks of, and the second node, if there
// is one, the same block at that height; then they have the same blocks below it too.
func (d *Desk) agreed(ctx context.Context, v *chainView, tip int32) (*block, error) {
	if d.Second != nil {
		second, err := d.Second.Height(ctx)
		if err != nil {
			return nil, fmt.Errorf("height of the second node's chain: %w", err)
		}
		d.compareHeights(tip, second)
		tip = min(tip, second)
	}
	last := int64(tip) - int64(v.charter.Depth) + 1
	if last <= int64(v.height) {
		return nil, nil
	}
	if _, err := d.Chain.BlockHash(ctx, tip); err != nil {
		return nil, fmt.Errorf("the node does not show block %d, at which it says its chain ends: %w", tip, err)
	}
	hash, err := d.Chain.BlockHash(ctx, int32(last))
	if err != nil {
		return nil, fmt.Errorf("hash of block %d: %w", last, err)
	}
	if d.Second != nil {
		second, err := d.Second.BlockHash(ctx, int32(last))
		if err != nil {
			return nil, fmt.Errorf("hash of block %d at the second node: %w", last, err)
		}
		if second != hash {
			return nil, &DisagreementError{Height: uint32(last), First: hash, Second: second}
		}
	}
	return &block{uint32(last), hash}, nil
}

// lagMax is how many blocks one node may be behind the other without a word.
const lagMax = 2

// compareHeights tells, once, when one node is behind the other: the books wait for
// the slower one.
func (d *Desk) compareHeights(first, second int32) {
	lags := first-second > lagMax || second-first > lagMax
	if lags && !d.lagging {
		d.Log.Warn("one node is behind the other: the books wait for it", "first", first, "second", second)
	}
	d.lagging = lags
}

// A DisagreementError says that the bank's two nodes have different blocks at a
// height. Nothing is taken into the books until they agree.
type DisagreementError struct {
	Height uint32
	First  chainhash.Hash
	Second chainhash.Hash
}

func (e *DisagreementError) Error() string {
	return fmt.Sprintf("the nodes disagree at block %d: the first has %s, the second %s: nothing is taken into the books until they agree", e.Height, e.First, e.Second)
}

// A chainView is what the books know of the chain.
type chainView struct {
	charter     ledger.Charter
	height      uint32
	hash        chainhash.Hash
	accounts    uint32
	settlements uint32
}

func (d *Desk) viewChain(ctx context.Context) (chainView, error) {
	var v chainView
	err := d.view(ctx, func(s *ledger.State) {
		height, hash := s.Block()
		v = chainView{charter: s.Charter(), height: height, hash: chainhash.Hash(hash),
			accounts: s.Accounts(), settlements: s.Settlements()}
	})
	if err != nil {
		return chainView{}, err // a View that was left may still be writing to v
	}
	return v, nil
}

// checkBranch verifies that the chain still holds the books' last block.
func (d *Desk) checkBranch(ctx context.Context, v chainView) error {
	hash, err := d.Chain.BlockHash(ctx, int32(v.height))
	if err != nil {
		return fmt.Errorf("the node does not show block %d, which the books have: %w", v.height, err)
	}
	if hash != v.hash {
		return &ReorgError{Height: v.height, Books: v.hash, Chain: hash}
	}
	return nil
}

// takeBlocks records in one batch what the next blocks mean for the books, up to the
// last or one that holds the settlement in flight.
func (d *Desk) takeBlocks(ctx context.Context, v *chainView, next func() (netting.Read, error, bool), last *block) error {
	f, err := d.inFlight(ctx)
	if err != nil {
		return err
	}
	if err := d.watch.Extend(v.accounts, v.settlements); err != nil {
		return err
	}
	var events []ledger.Event
	for n := 0; n < togetherMax && len(events) < eventsMax; n++ {
		read, err, more := next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if previous := read.Block().Header.PrevBlock; previous != v.hash {
			return fmt.Errorf("block %d stands on %s, not on %s: the chain has changed while it was read", read.Height, previous, v.hash)
		}
		v.height, v.hash = read.Height, read.Block().BlockHash()
		if v.height == last.height && v.hash != last.hash {
			return fmt.Errorf("block %d is %s, and was %s: the chain has changed while it was read", v.height, v.hash, last.hash)
		}
		events = append(events, d.watch.Facts(&v.charter, read.Height, read.Blocks, f.built)...)
		if settled, ok := events[len(events)-1].(*ledger.Settled); ok {
			if err := d.recordMined(ctx, f, settled, v.height); err != nil {
				return err
			}
			break
		}
	}
	return d.Engine.Record(ctx, events)
}
