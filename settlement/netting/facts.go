package netting

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
)

// Blocks reads the active chain of a node.
type Blocks interface {
	BlockHash(ctx context.Context, height int32) (chainhash.Hash, error)
	Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error)
}

// ReadBlocks fetches the block at a height and, when there is one, the block
// whose coinbase matures with it, keyed by height.
func ReadBlocks(ctx context.Context, chain Blocks, charter *ledger.Charter, height uint32) (map[uint32]*wire.MsgBlock, error) {
	blocks := make(map[uint32]*wire.MsgBlock, 2)
	heights := []uint32{height}
	if matured, ok := MaturedHeight(charter, height); ok {
		heights = append(heights, matured)
	}
	for _, h := range heights {
		block, err := readBlock(ctx, chain, h)
		if err != nil {
			return nil, err
		}
		blocks[h] = block
	}
	return blocks, nil
}

func readBlock(ctx context.Context, chain Blocks, height uint32) (*wire.MsgBlock, error) {
	hash, err := chain.BlockHash(ctx, int32(height))
	if err != nil {
		return nil, fmt.Errorf("hash of block %d: %w", height, err)
	}
	block, err := chain.Block(ctx, hash)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", height, err)
	}
	if block.BlockHash() != hash || len(block.Transactions) == 0 {
		return nil, fmt.Errorf("block %d: the node answered %s with another or an empty block", height, hash)
	}
	return block, nil
}
