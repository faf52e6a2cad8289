package netting

import (
	"context"
	"iter"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ahead"
	"github.com/daobank/daobank/ledger"
)

// aheadMax is how many blocks are read at once, and kept until they are wanted.
const aheadMax = 8

// Read is what a chain shows at one height: the block there and, when there is one,
// the block whose coinbase matures with it, of which only the coinbase may be left.
type Read struct {
	Height uint32
	Blocks map[uint32]*wire.MsgBlock // by height, for Watch.Facts
}

// Block is the block at the height.
func (r Read) Block() *wire.MsgBlock { return r.Blocks[r.Height] }

// ReadAhead reads the blocks of an active chain at the heights from to to, in order,
// some of them before they are wanted: a node answers several questions sooner
// together than one after the other. It stops at the first error. Whether the blocks
// stand on each other is for the caller to look at.
func ReadAhead(ctx context.Context, chain Blocks, charter *ledger.Charter, from, to uint32) iter.Seq2[Read, error] {
	return func(yield func(Read, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		heights := func(context.Context) iter.Seq2[uint32, error] {
			return func(yield func(uint32, error) bool) {
				for h := from; h <= to && h >= from && yield(h, nil); h++ {
				}
			}
		}
		read := func(height uint32) (*wire.MsgBlock, error) { return readBlock(ctx, chain, height) }
		coinbases := make(map[uint32]*wire.MsgBlock) // of the last hundred
		height := from
		for block, err := range ahead.Map(ctx, aheadMax, aheadMax, heights, read) {
			r := Read{Height: height, Blocks: map[uint32]*wire.MsgBlock{height: block}}
			if matured, ok := MaturedHeight(charter, height); ok && err == nil {
				if r.Blocks[matured], ok = coinbases[matured]; !ok {
					r.Blocks[matured], err = readBlock(ctx, chain, matured)
				}
				delete(coinbases, matured)
			}
			if !yield(r, err) || err != nil {
				cancel() // the others are not waited for
				return
			}
			coinbases[height] = &wire.MsgBlock{Header: block.Header, Transactions: []*wire.MsgTx{block.Transactions[0]}}
			height++
		}
	}
}
