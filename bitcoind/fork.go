package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// ErrCannotKeep: a transaction that the competing chain was to hold is not in
// the blocks to be disconnected, or it spends what that chain does not have.
var ErrCannotKeep = errors.New("transaction cannot be kept")

// ErrReleased: the fork was released before.
var ErrReleased = errors.New("fork was released before")

// ReorgOption says what becomes of the transactions in the blocks that a
// reorganisation disconnects. Without any the competing chain is empty, and they
// go back to the mempool, as far as the node still takes them.
type ReorgOption func(*reorgSettings)

type reorgSettings struct {
	keepAll bool
	keep    []chainhash.Hash
	drop    []chainhash.Hash
	replace map[chainhash.Hash]*wire.MsgTx
	longer  int
}

// ReorgKeep confirms these transactions again in the competing chain, together
// with those of the disconnected blocks that they depend on.
func ReorgKeep(txids ...chainhash.Hash) ReorgOption {
	return func(s *reorgSettings) { s.keep = append(s.keep, txids...) }
}

// ReorgKeepAll confirms all of them again, but for those that ReorgDrop or
// ReorgReplace takes away, for what depends on these, and for what depends on a
// disconnected coinbase.
func ReorgKeepAll() ReorgOption { return func(s *reorgSettings) { s.keepAll = true } }

// ReorgDrop leaves these out of the competing chain, with their descendants.
func ReorgDrop(txids ...chainhash.Hash) ReorgOption {
	return func(s *reorgSettings) { s.drop = append(s.drop, txids...) }
}

// ReorgReplace puts another transaction in the place of one, such as a double
// spend, which the mempool need not accept. When the two exclude each other,
// the old one is evicted, with its descendants.
func ReorgReplace(old chainhash.Hash, by *wire.MsgTx) ReorgOption {
	return func(s *reorgSettings) { s.replace[old] = by }
}

// ReorgLonger makes the competing chain n blocks longer than what it replaces;
// the default is one.
func ReorgLonger(n int) ReorgOption { return func(s *reorgSettings) { s.longer = n } }

// ReorgResult tells what a reorganisation did.
type ReorgResult struct {
	Fork         Block   // the last block that both chains have
	Disconnected []Block // top first
	Connected    []Block // lowest first

	// Transactions of the disconnected blocks, without their coinbases, and of
	// the mempool before, in that order.
	Reconfirmed []chainhash.Hash // in the new chain
	Returned    []chainhash.Hash // from a block to the mempool
	Evicted     []chainhash.Hash // neither in the new chain nor in the mempool
}

// Reorg replaces the last depth blocks of the active chain by a competing chain
// that it builds on the block below them, and returns when the node has changed
// over. Unlike invalidateblock, this is what a node meets in the wild: blocks of
// more work. A depth of zero only adds a block.
func (m *Miner) Reorg(ctx context.Context, depth int, options ...ReorgOption) (ReorgResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fork, err := m.prepareFork(ctx, depth, options)
	if err != nil {
		return ReorgResult{}, fmt.Errorf("bitcoind: reorganise %d blocks: %w", depth, err)
	}
	return fork.release(ctx)
}

// Fork is a chain that its miner withholds. The node does not know it before
// Release.
type Fork struct {
	miner    *Miner
	base     Block // it stands on this one
	blocks   []*wire.MsgBlock
	released bool
}

// PrepareFork builds the competing chain of Reorg and withholds it.
func (m *Miner) PrepareFork(ctx context.Context, depth int, options ...ReorgOption) (*Fork, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fork, err := m.prepareFork(ctx, depth, options)
	if err != nil {
		return nil, fmt.Errorf("bitcoind: prepare fork of %d blocks: %w", depth, err)
	}
	return fork, nil
}

// Base returns the block on which the fork stands.
func (f *Fork) Base() Block { return f.base }

// Blocks returns the fork's own blocks, lowest first.
func (f *Fork) Blocks() []Block {
	blocks := make([]Block, len(f.blocks))
	for i, block := range f.blocks {
		blocks[i] = Block{Height: f.base.Height + 1 + int32(i), Hash: block.BlockHash()}
	}
	return blocks
}

// tip is the fork's last block.
func (f *Fork) tip() Block {
	if blocks := f.Blocks(); len(blocks) > 0 {
		return blocks[len(blocks)-1]
	}
	return f.base
}

// Release shows the fork to the node and returns when its chain is the active
// one. Where the active chain has grown to the fork's height in the meantime,
// empty blocks are added first. A fork is released once: ErrReleased. After
// an error it counts as released if any of its blocks may have reached the node.
func (f *Fork) Release(ctx context.Context) (ReorgResult, error) {
	f.miner.mu.Lock()
	defer f.miner.mu.Unlock()
	return f.release(ctx)
}

func (f *Fork) release(ctx context.Context) (ReorgResult, error) {
	if f.released {
		return ReorgResult{}, fmt.Errorf("bitcoind: release fork: %w", ErrReleased)
	}
	if err := f.miner.client.disturb(); err != nil {
		return ReorgResult{}, err
	}
	before, err := f.miner.client.survey(ctx, f.base)
	if err != nil {
		return ReorgResult{}, fmt.Errorf("bitcoind: release fork: %w", err)
	}
	for f.tip().Height <= before.tip.Height {
		if err := f.add(nil, 0); err != nil {
			return ReorgResult{}, err
		}
	}
	f.released = true
	for i, block := range f.blocks {
		if _, err := f.miner.client.submitBlock(ctx, block); err != nil {
			return ReorgResult{}, fmt.Errorf("bitcoind: release fork: %w", err)
		}
		f.miner.note(block, f.base.Height+1+int32(i))
	}
	// A refused block says so only to the last call, which may be of another: a
	// competing block is "inconclusive" until its chain has the most work.
	if tip, err := f.miner.client.Tip(ctx); err != nil {
		return ReorgResult{}, err
	} else if tip != f.tip() {
		return ReorgResult{}, fmt.Errorf("bitcoind: release fork: %w: the tip is %s, not %s: %s",
			ErrBlockRefused, tip, f.tip(), f.refusal(ctx))
	}
	return f.result(ctx, before)
}

// refusal asks the node again why it does not take the blocks.
func (f *Fork) refusal(ctx context.Context) string {
	for i, block := range f.blocks {
		reason, err := f.miner.client.submitBlock(ctx, block)
		if err != nil {
			return err.Error()
		}
		if reason != "" && reason != "duplicate" && reason != "inconclusive" {
			return fmt.Sprintf("block %d of the fork: %s", i+1, reason)
		}
	}
	return "the node gives no reason"
}

// prepareFork decides what the competing chain holds, and builds it.
func (m *Miner) prepareFork(ctx context.Context, depth int, options []ReorgOption) (*Fork, error) {
	s := &reorgSettings{replace: make(map[chainhash.Hash]*wire.MsgTx), longer: 1}
	for _, option := range options {
		option(s)
	}
	tip, err := m.client.Tip(ctx)
	if err != nil {
		return nil, err
	}
	if depth < 0 || depth > int(tip.Height) {
		return nil, fmt.Errorf("the chain has %d blocks above genesis: %w", tip.Height, ErrBlockNotFound)
	}
	if s.longer < 1 {
		return nil, fmt.Errorf("a chain that is %d blocks longer does not win", s.longer)
	}
	blocks, err := m.client.blocksAbove(ctx, tip, depth)
	if err != nil {
		return nil, err
	}
	contents, err := s.contents(blocks)
	if err != nil {
		return nil, err
	}
	base := tip
	if depth > 0 {
		base = Block{Height: tip.Height - int32(depth), Hash: blocks[0].Header.PrevBlock}
	}
	fork := &Fork{miner: m, base: base}
	known := make(map[chainhash.Hash]*wire.MsgTx)
	for _, block := range blocks {
		for _, tx := range block.Transactions {
			known[tx.TxHash()] = tx
		}
	}
	parent, _, err := m.client.Header(ctx, base.Hash)
	if err != nil {
		return nil, err
	}
	for i := range depth + s.longer {
		var txs []*wire.MsgTx
		if i < depth {
			txs = contents[i]
		}
		fees, err := m.client.fees(ctx, txs, known)
		if err != nil {
			return nil, err
		}
		if err := fork.addOn(parent, txs, fees); err != nil {
			return nil, err
		}
		for _, tx := range txs {
			known[tx.TxHash()] = tx
		}
		parent = &fork.blocks[i].Header
	}
	return fork, nil
}

// add puts one more block on the fork.
func (f *Fork) add(txs []*wire.MsgTx, fees int64) error {
	return f.addOn(&f.blocks[len(f.blocks)-1].Header, txs, fees)
}

func (f *Fork) addOn(parent *wire.BlockHeader, txs []*wire.MsgTx, fees int64) error {
	// A block time above the parent's is above the median time too.
	plan := f.miner.plan(f.tip(), parent, parent.Timestamp)
	plan.txs, plan.fees = txs, fees
	if earliest := parent.Timestamp.Add(time.Second); plan.time.Before(earliest) {
		plan.time = earliest
	}
	block, err := plan.build()
	if err != nil {
		return err
	}
	f.blocks = append(f.blocks, block)
	return nil
}

// blocksAbove returns the last n blocks of the chain that ends in tip, lowest
// first.
func (c *Client) blocksAbove(ctx context.Context, tip Block, n int) ([]*wire.MsgBlock, error) {
	blocks := make([]*wire.MsgBlock, n)
	hash := tip.Hash
	for i := n - 1; i >= 0; i-- {
		block, err := c.Block(ctx, hash)
		if err != nil {
			return nil, err
		}
		blocks[i], hash = block, block.Header.PrevBlock
	}
	return blocks, nil
}
