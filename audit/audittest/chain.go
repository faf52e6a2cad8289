package audittest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
)

// Chain is a fake node: regtest's genesis block and what the test puts on it.
// It is safe for concurrent use.
type Chain struct {
	mu     sync.Mutex
	blocks []*wire.MsgBlock // by height
	away   error
	salt   uint32 // makes the blocks of two branches differ
}

// NewChain returns a chain of the genesis block and height empty blocks.
func NewChain(height int) *Chain {
	c := &Chain{blocks: []*wire.MsgBlock{chaincfg.RegressionNetParams.GenesisBlock}}
	for range height {
		c.Mine()
	}
	return c
}

// Mine adds a block with these transactions behind a coinbase that pays nobody.
func (c *Chain) Mine(txs ...*wire.MsgTx) *wire.MsgBlock {
	return c.MineCoinbase(wire.NewTxOut(0, []byte{txscript.OP_TRUE}), txs...)
}

// MineCoinbase adds a block whose coinbase pays out.
func (c *Chain) MineCoinbase(out *wire.TxOut, txs ...*wire.MsgTx) *wire.MsgBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	height := uint32(len(c.blocks))
	coinbase := wire.NewMsgTx(2)
	signature := binary.BigEndian.AppendUint32([]byte{4}, height)
	coinbase.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
		SignatureScript: binary.BigEndian.AppendUint32(signature, c.salt)})
	coinbase.AddTxOut(out)
	block := &wire.MsgBlock{Transactions: append([]*wire.MsgTx{coinbase}, txs...)}
	block.Header = wire.BlockHeader{Version: 2, PrevBlock: c.blocks[height-1].BlockHash(),
		Timestamp: time.Unix(1_700_000_000+600*int64(height), 0), MerkleRoot: merkleRoot(block),
		Bits: chaincfg.RegressionNetParams.PowLimitBits}
	for target := chaincfg.RegressionNetParams.PowLimit; ; block.Header.Nonce++ {
		if hash := block.BlockHash(); blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			break // every second hash has the work that regtest wants
		}
	}
	c.blocks = append(c.blocks, block)
	return block
}

func merkleRoot(block *wire.MsgBlock) chainhash.Hash {
	txs := make([]*btcutil.Tx, len(block.Transactions))
	for i, tx := range block.Transactions {
		txs[i] = btcutil.NewTx(tx)
	}
	return blockchain.CalcMerkleRoot(txs, false)
}

// Drop forgets the n highest blocks, as a reorganisation does before it brings
// others; those that are mined next are not the same again.
func (c *Chain) Drop(n int) []*wire.MsgBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := len(c.blocks) - n
	dropped := append([]*wire.MsgBlock(nil), c.blocks[at:]...)
	c.blocks = c.blocks[:at]
	c.salt++
	return dropped
}

// Restore puts blocks that were dropped back in the place of those above them.
func (c *Chain) Restore(blocks []*wire.MsgBlock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.blocks {
		if b.BlockHash() == blocks[0].Header.PrevBlock {
			c.blocks = append(c.blocks[:i+1], blocks...)
			return
		}
	}
}

// Away makes every call fail with err, until it is nil.
func (c *Chain) Away(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = err
}

// Height is the height of the last block.
func (c *Chain) Height(context.Context) (int32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int32(len(c.blocks)) - 1, c.away
}

// BlockHash returns the hash at a height, or bitcoind.ErrBlockNotFound.
func (c *Chain) BlockHash(_ context.Context, height int32) (chainhash.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.away != nil:
		return chainhash.Hash{}, c.away
	case height < 0 || int(height) >= len(c.blocks):
		return chainhash.Hash{}, fmt.Errorf("fake chain: height %d: %w", height, bitcoind.ErrBlockNotFound)
	}
	return c.blocks[height].BlockHash(), nil
}

// Block returns a block of the chain, or bitcoind.ErrBlockNotFound.
func (c *Chain) Block(_ context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, c.away
	}
	for _, b := range c.blocks {
		if b.BlockHash() == hash {
			return b, nil
		}
	}
	return nil, fmt.Errorf("fake chain: block %s: %w", hash, bitcoind.ErrBlockNotFound)
}

// UTXO returns an unspent output and its number of confirmations, nil when no
// block has it or one spends it.
func (c *Chain) UTXO(_ context.Context, at wire.OutPoint) (out *wire.TxOut, confirmations int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away != nil {
		return nil, 0, c.away
	}
	coin, found := c.unspent()[at]
	if !found {
		return nil, 0, nil
	}
	return wire.NewTxOut(coin.out.Value, bytes.Clone(coin.out.PkScript)), int64(len(c.blocks) - coin.height), nil
}

// A coin is an unspent output and the height of its block.
type coin struct {
	out    *wire.TxOut
	height int
}

// unspent is the set that a node keeps: every output that nothing has spent,
// without those that say that nothing can. The caller holds the lock.
func (c *Chain) unspent() map[wire.OutPoint]coin {
	set := make(map[wire.OutPoint]coin)
	for height, block := range c.blocks {
		if height == 0 {
			continue // the genesis block's coinbase never was in the set
		}
		for _, tx := range block.Transactions {
			for _, in := range tx.TxIn {
				delete(set, in.PreviousOutPoint)
			}
			hash := tx.TxHash()
			for vout, out := range tx.TxOut {
				if !bytes.HasPrefix(out.PkScript, []byte{txscript.OP_RETURN}) {
					set[wire.OutPoint{Hash: hash, Index: uint32(vout)}] = coin{out, height}
				}
			}
		}
	}
	return set
}
