package guardian

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// A fact is what a batch took from one block of the chain, and that block.
type fact struct {
	recorded []ledger.Event // the Block and what follows it
	blocks   map[uint32]*wire.MsgBlock
}

// checkFacts compares all that a batch takes from the chain with the guardian's
// node, before the books take it. It reports whether there was anything. The
// error wraps *netting.FactError when they differ.
func (g *Guardian) checkFacts(ctx context.Context, batch *ledger.Batch) (bool, error) {
	facts, err := g.readFacts(ctx, batch)
	if err != nil {
		return false, err
	}
	for _, f := range facts {
		if err := g.checkFact(f); err != nil {
			return false, err
		}
	}
	return len(facts) > 0, nil
}

// readFacts gathers the chain's entries of a batch and the blocks that they
// speak of. Entries that cannot be read are left to Append, which names them.
func (g *Guardian) readFacts(ctx context.Context, batch *ledger.Batch) ([]*fact, error) {
	var facts []*fact
	for _, raw := range batch.Entries {
		entry, err := ledger.DecodeEntry(raw)
		if err != nil || entry.Event == nil {
			continue
		}
		switch e := entry.Event.(type) {
		case *ledger.Block:
			blocks, err := netting.ReadBlocks(ctx, g.config.Chain, &g.config.Charter, e.Height)
			if err != nil {
				return nil, err
			}
			facts = append(facts, &fact{recorded: []ledger.Event{e}, blocks: blocks})
		case *ledger.Deposit, *ledger.Settled:
			if len(facts) == 0 {
				facts = append(facts, &fact{})
			}
			last := facts[len(facts)-1]
			last.recorded = append(last.recorded, e)
		}
	}
	return facts, nil
}

// checkFact compares what the batch says of a block with the block. Nothing may
// be left out that pays an account which existed at the block before.
func (g *Guardian) checkFact(f *fact) error {
	block, ok := f.recorded[0].(*ledger.Block)
	if !ok {
		return fmt.Errorf("a %s stands apart from its block", f.recorded[0].Kind())
	}
	var inFlight *netting.Transaction
	if open := g.books.Open(); open != nil {
		var err error
		if inFlight, err = netting.Build(open, g.config.Vault); err != nil {
			return err
		}
	}
	if err := g.watch.Extend(g.reach, g.books.Settlements()); err != nil {
		return err
	}
	want := g.watch.Facts(&g.config.Charter, block.Height, f.blocks, inFlight)
	return netting.CheckFacts(g.config.Vault, f.recorded, want, f.blocks)
}
