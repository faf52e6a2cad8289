package bitcoind

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// largestLimit is the most memory of a mempool, in bytes, that is worth filling.
const largestLimit = 50_000_000

// FillMempool sends large transactions until the mempool is full and its floor,
// the least fee rate that enters, is at least the rate, in satoshis per 1,000
// virtual bytes. What paid less is evicted on the way. It mines a block for its
// coins, which holds nothing else. The limit of the mempool must be low: start
// the node with WithArgs("-maxmempool=5").
func (m *Miner) FillMempool(ctx context.Context, satPerKvB int64) error {
	info, err := m.client.MempoolInfo(ctx)
	if err != nil {
		return err
	}
	rate := max(satPerKvB-info.Incremental, info.MinRelay)
	err = m.press(ctx, info, rate, func(info MempoolInfo) (bool, error) { return info.Floor >= satPerKvB, nil })
	if err != nil {
		return fmt.Errorf("bitcoind: fill the mempool to %d sat/kvB: %w", satPerKvB, err)
	}
	return nil
}

// Evict makes the mempool throw out a transaction, and all that spend it, as it
// does when it is full. It needs a low limit and a block, as FillMempool does,
// and leaves the mempool full.
func (m *Miner) Evict(ctx context.Context, txid chainhash.Hash) error {
	if in, err := m.client.InMempool(ctx, txid); err != nil || !in {
		if err == nil {
			err = fmt.Errorf("bitcoind: evict %s: %w", txid, ErrTxNotFound)
		}
		return err
	}
	if err := m.client.disturb(); err != nil {
		return err
	}
	info, err := m.client.MempoolInfo(ctx)
	if err != nil {
		return err
	}
	// The worst of all goes first; afterwards it counts as before.
	const worst = -10_000 * btcutil.SatoshiPerBitcoin
	if err := m.client.Prioritise(ctx, txid, worst); err != nil {
		return err
	}
	err = m.press(ctx, info, info.Floor+10*info.Incremental, func(MempoolInfo) (bool, error) {
		in, err := m.client.InMempool(ctx, txid)
		return !in, err
	})
	if err := errors.Join(err, m.client.Prioritise(context.WithoutCancel(ctx), txid, -worst)); err != nil {
		return fmt.Errorf("bitcoind: evict %s: %w", txid, err)
	}
	return nil
}

// press sends large transactions of a rate until done.
func (m *Miner) press(ctx context.Context, info MempoolInfo, rate int64, done func(MempoolInfo) (bool, error)) error {
	if reached, err := done(info); err != nil || reached {
		return err
	}
	if err := m.client.disturb(); err != nil {
		return err
	}
	if info.Limit == 0 || info.Limit > largestLimit {
		return fmt.Errorf(`the limit of the mempool is %d bytes; start the node with WithArgs("-maxmempool=5"): %w`, info.Limit, ErrUnsupported)
	}
	count := int(info.Limit/fillerUsage) + 10
	filler, err := m.newFiller(ctx, count, rate)
	if err != nil {
		return err
	}
	for range count {
		tx, err := filler.next(rate)
		if err != nil {
			return err
		}
		refused := m.client.Broadcast(ctx, tx)
		if refused != nil && !errors.Is(refused, &RPCError{Code: CodeVerifyRejected}) {
			return refused
		}
		if info, err = m.client.MempoolInfo(ctx); err != nil {
			return err
		}
		if reached, err := done(info); err != nil || reached {
			return err
		}
		if refused != nil { // though the aim is not reached
			return refused
		}
	}
	return fmt.Errorf("not reached with %d transactions: %+v", count, info)
}
