package settlement

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
)

// progressEvery is how many blocks pass between two lines of the log.
const progressEvery = 500

// catchUp takes into the books every block that has reached the depth.
func (d *Desk) catchUp(ctx context.Context) error {
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return fmt.Errorf("height of the chain: %w", err)
	}
	for {
		v, err := d.viewChain(ctx)
		if err != nil {
			return err
		}
		if err := d.checkBranch(ctx, v); err != nil {
			return err
		}
		height := v.height + 1
		if int64(height)+int64(v.charter.Depth)-1 > int64(tip) {
			return nil
		}
		if behind := int64(tip) - int64(height); behind >= progressEvery && height%progressEvery == 0 {
			d.Log.Info("catching up with the chain", "height", height, "tip", tip)
		}
		if err := d.takeBlock(ctx, v, height); err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
	}
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

// takeBlock records what a block means for the books, in one batch.
func (d *Desk) takeBlock(ctx context.Context, v chainView, height uint32) error {
	blocks, err := netting.ReadBlocks(ctx, d.Chain, &v.charter, height)
	if err != nil {
		return err
	}
	f, err := d.inFlight(ctx)
	if err != nil {
		return err
	}
	if err := d.watch.Extend(v.accounts, v.settlements); err != nil {
		return err
	}
	events := d.watch.Facts(&v.charter, height, blocks, f.built)
	if _, settles := events[len(events)-1].(*ledger.Settled); settles && f.stage != StageMined {
		if err := d.record(ctx, f, postgres.Step{Step: stepMined, Height: &height}); err != nil {
			return err
		}
	}
	return d.Engine.Record(ctx, events)
}
