package netting

import (
	"context"
	"iter"

	"github.com/btcsuite/btcd/wire"

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
	type result struct {
		block *wire.MsgBlock
		err   error
	}
	return func(yield func(Read, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		coming := make(chan chan result, aheadMax)
		go func() {
			defer close(coming)
			for height := from; height <= to && height >= from; height++ {
				c := make(chan result, 1)
				select {
				case coming <- c:
				case <-ctx.Done():
					return
				}
				go func() {
					block, err := readBlock(ctx, chain, height)
					c <- result{block, err}
				}()
			}
		}()
		coinbases := make(map[uint32]*wire.MsgBlock) // of the last hundred
		height := from
		for c := range coming {
			r := <-c
			read := Read{Height: height, Blocks: map[uint32]*wire.MsgBlock{height: r.block}}
			if matured, ok := MaturedHeight(charter, height); ok && r.err == nil {
				if read.Blocks[matured], ok = coinbases[matured]; !ok {
					read.Blocks[matured], r.err = readBlock(ctx, chain, matured)
				}
				delete(coinbases, matured)
			}
			if !yield(read, r.err) || r.err != nil {
				return
			}
			coinbases[height] = &wire.MsgBlock{Header: r.block.Header, Transactions: []*wire.MsgTx{r.block.Transactions[0]}}
			height++
		}
	}
}
