package main

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/proof"
)

// unspentAt asks a node which coins of a proof of reserves it had, unspent, in the
// proof's block: those that are unspent still, and those that a later block spends.
func unspentAt(ctx context.Context, node *bitcoind.Client, p *proof.Reserves) (*proof.Unspent, error) {
	block := chainhash.Hash(p.Block)
	if at, err := node.BlockHash(ctx, int32(p.Height)); err != nil || at != block {
		return nil, fmt.Errorf("your node does not have block %s at height %d: it may be behind, or on another chain (%v)", block, p.Height, err)
	}
	for {
		tip, err := node.Tip(ctx)
		if err != nil {
			return nil, err
		}
		found := &proof.Unspent{Block: block, Coins: make(map[wire.OutPoint]*wire.TxOut)}
		missing, err := stillUnspent(ctx, node, p, tip.Height, found)
		if err != nil {
			return nil, err
		}
		if len(missing) > 0 {
			if err := spentSince(ctx, node, int32(p.Height), tip.Height, missing, found); err != nil {
				return nil, err
			}
		}
		// A block that came meanwhile may have spent what was not asked about yet.
		now, err := node.Tip(ctx)
		if err != nil || now == tip {
			return found, err
		}
	}
}

// stillUnspent takes what is unspent at the tip and was made by the proof's block, and
// returns the others.
func stillUnspent(ctx context.Context, node *bitcoind.Client, p *proof.Reserves, tip int32, found *proof.Unspent) (map[wire.OutPoint]bool, error) {
	missing := make(map[wire.OutPoint]bool)
	for i := range p.Coins {
		at := wire.OutPoint{Hash: chainhash.Hash(p.Coins[i].TxID), Index: p.Coins[i].Vout}
		out, confirmations, err := node.UTXO(ctx, at)
		switch {
		case err != nil:
			return nil, err
		case out == nil:
			missing[at] = true
		case int64(tip)-confirmations+1 <= int64(p.Height):
			found.Coins[at] = out
		}
	}
	return missing, nil
}

// spentSince looks for coins in the blocks after one: what they spend and was made by
// then was unspent in it.
func spentSince(ctx context.Context, node *bitcoind.Client, height, tip int32, missing map[wire.OutPoint]bool, found *proof.Unspent) error {
	for h := height + 1; h <= tip && len(missing) > 0; h++ {
		hash, err := node.BlockHash(ctx, h)
		if err != nil {
			return err
		}
		txs, err := spendsOf(ctx, node, hash)
		if err != nil {
			return err
		}
		for i := range txs {
			if err := txs[i].take(height, missing, found); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx *spendingTx) take(height int32, missing map[wire.OutPoint]bool, found *proof.Unspent) error {
	for i := range tx.Inputs {
		in := &tx.Inputs[i]
		if in.Prevout == nil {
			continue
		}
		id, err := chainhash.NewHashFromStr(in.TxID)
		if err != nil {
			return err
		}
		at := wire.OutPoint{Hash: *id, Index: in.Vout}
		if !missing[at] || in.Prevout.Height > height {
			continue
		}
		delete(missing, at)
		if found.Coins[at], err = in.output(); err != nil {
			return err
		}
	}
	return nil
}
