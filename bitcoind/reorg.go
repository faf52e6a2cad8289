package bitcoind

import (
	"context"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// contents decides which transactions each competing block holds: block for
// block those of the disconnected chain, in their order, so that locks by
// height and by depth hold as before.
func (s *reorgSettings) contents(blocks []*wire.MsgBlock) ([][]*wire.MsgTx, error) {
	byID := make(map[chainhash.Hash]*wire.MsgTx)
	for _, block := range blocks {
		for _, tx := range block.Transactions[1:] {
			byID[tx.TxHash()] = tx
		}
	}
	wanted, err := s.wanted(byID)
	if err != nil {
		return nil, err
	}
	explicit := make(map[chainhash.Hash]bool)
	for _, txid := range s.keep {
		explicit[txid] = true
	}
	lost := make(map[chainhash.Hash]bool) // what the competing chain does not have
	contents := make([][]*wire.MsgTx, len(blocks))
	for i, block := range blocks {
		lost[block.Transactions[0].TxHash()] = true
		for _, tx := range block.Transactions[1:] {
			txid := tx.TxHash()
			if by := s.replace[txid]; by != nil {
				contents[i] = append(contents[i], by)
				lost[txid] = by.TxHash() != txid
				continue
			}
			missing := spendsOf(tx, lost)
			if wanted[txid] && missing == nil {
				contents[i] = append(contents[i], tx)
				continue
			}
			if explicit[txid] {
				return nil, fmt.Errorf("%w: %s spends %s, which the competing chain does not have", ErrCannotKeep, txid, missing)
			}
			lost[txid] = true
		}
	}
	return contents, nil
}

// wanted are the transactions to keep as far as they can be.
func (s *reorgSettings) wanted(byID map[chainhash.Hash]*wire.MsgTx) (map[chainhash.Hash]bool, error) {
	wanted := make(map[chainhash.Hash]bool)
	var keep func(txid chainhash.Hash)
	keep = func(txid chainhash.Hash) {
		tx := byID[txid]
		if tx == nil || wanted[txid] {
			return
		}
		wanted[txid] = true
		for _, in := range tx.TxIn {
			keep(in.PreviousOutPoint.Hash)
		}
	}
	if s.keepAll {
		for txid := range byID {
			wanted[txid] = true
		}
	}
	for _, txid := range s.keep {
		keep(txid)
	}
	for _, txid := range s.drop {
		delete(wanted, txid)
	}
	named := append(append([]chainhash.Hash(nil), s.keep...), s.drop...)
	for old := range s.replace {
		named = append(named, old)
	}
	for _, txid := range named {
		if byID[txid] == nil {
			return nil, fmt.Errorf("%w: %s is not in the blocks to be disconnected", ErrCannotKeep, txid)
		}
	}
	for _, txid := range s.keep {
		if !wanted[txid] || s.replace[txid] != nil {
			return nil, fmt.Errorf("%w: %s is also to be dropped or replaced", ErrCannotKeep, txid)
		}
	}
	return wanted, nil
}

// spendsOf returns the first of the transactions in a set that tx spends, or nil.
func spendsOf(tx *wire.MsgTx, set map[chainhash.Hash]bool) *chainhash.Hash {
	for _, in := range tx.TxIn {
		if set[in.PreviousOutPoint.Hash] {
			return &in.PreviousOutPoint.Hash
		}
	}
	return nil
}

// chainSurvey is what a reorganisation can change.
type chainSurvey struct {
	tip     Block
	fork    Block            // the highest block of the active chain at or below the fork's base
	above   []Block          // top first, down to the fork
	txids   []chainhash.Hash // of those blocks without coinbases, lowest first
	mempool []chainhash.Hash
}

// survey looks at the active chain above base and at the mempool.
func (c *Client) survey(ctx context.Context, base Block) (*chainSurvey, error) {
	s := &chainSurvey{fork: base}
	var err error
	if s.tip, err = c.Tip(ctx); err != nil {
		return nil, err
	}
	for {
		hash, err := c.BlockHash(ctx, s.fork.Height)
		if err == nil && hash == s.fork.Hash {
			break
		}
		header, _, err := c.Header(ctx, s.fork.Hash)
		if err != nil {
			return nil, err
		}
		s.fork = Block{Height: s.fork.Height - 1, Hash: header.PrevBlock}
	}
	blocks, err := c.blocksAbove(ctx, s.tip, int(s.tip.Height-s.fork.Height))
	if err != nil {
		return nil, err
	}
	for i, block := range blocks {
		s.above = append([]Block{{Height: s.fork.Height + 1 + int32(i), Hash: block.BlockHash()}}, s.above...)
		for _, tx := range block.Transactions[1:] {
			s.txids = append(s.txids, tx.TxHash())
		}
	}
	s.mempool, err = c.Mempool(ctx)
	return s, err
}

// result compares the chain before with the fork that is now active.
func (f *Fork) result(ctx context.Context, before *chainSurvey) (ReorgResult, error) {
	after, err := f.miner.client.survey(ctx, before.fork)
	if err != nil {
		return ReorgResult{}, fmt.Errorf("bitcoind: look at the new chain: %w", err)
	}
	r := ReorgResult{Fork: before.fork, Disconnected: before.above}
	for _, block := range after.above {
		r.Connected = append([]Block{block}, r.Connected...)
	}
	confirmed, waiting := setOf(after.txids), setOf(after.mempool)
	for i, txid := range append(before.txids, before.mempool...) {
		switch fromBlock := i < len(before.txids); {
		case confirmed[txid] && fromBlock:
			r.Reconfirmed = append(r.Reconfirmed, txid)
		case waiting[txid] && fromBlock:
			r.Returned = append(r.Returned, txid)
		case !confirmed[txid] && !waiting[txid]:
			r.Evicted = append(r.Evicted, txid)
		}
	}
	return r, nil
}

func setOf(txids []chainhash.Hash) map[chainhash.Hash]bool {
	set := make(map[chainhash.Hash]bool, len(txids))
	for _, txid := range txids {
		set[txid] = true
	}
	return set
}
