package bitcoind

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
)

// TeachFeeRate brings the node's own estimate (Client.FeeRate) for confirmation
// within target blocks to a rate, in satoshis per 1,000 virtual bytes, within
// one in ten. It does what the world does: it pays that rate and confirms, block
// after block, until the node has learned it. A young node takes some tens of
// blocks; one that has learned a lower rate can take several hundred. For
// a rate at once, or answers that no chain would give, see Proxy.
func (m *Miner) TeachFeeRate(ctx context.Context, satPerKvB int64, target int) error {
	const payments, most = 15, 400
	var wallet *MiniWallet
	last := int64(0)
	for block := range most {
		estimate, err := m.client.FeeRate(ctx, target)
		if err != nil && !errors.Is(err, ErrNoFeeEstimate) {
			return err
		}
		if last = estimate; last*10 >= satPerKvB*9 && last*10 <= satPerKvB*11 {
			return nil
		}
		// The estimator counts only what spends confirmed coins.
		if block%50 == 0 {
			each := btcutil.Amount(50*feeFor(keyPathVSize, satPerKvB) + 10*dustP2TR)
			if wallet, err = m.NewMiniWallet(ctx, payments, each); err != nil {
				return err
			}
		}
		for range payments {
			if _, err := wallet.Send(ctx, Payment{FeeRate: satPerKvB}); err != nil {
				return err
			}
		}
		if err := m.client.settle(ctx); err != nil {
			return err
		}
		if _, err := m.Mine(ctx, 1); err != nil {
			return err
		}
		if err := m.client.settle(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("bitcoind: teach a fee rate of %d sat/kvB: after %d blocks the node estimates %d", satPerKvB, most, last)
}

// settle waits until what the node tells its own parts, such as the fee
// estimator and wallets, has arrived. btcd has no such queue.
func (c *Client) settle(ctx context.Context) error {
	if c.btcd {
		return nil
	}
	return c.Call(ctx, "syncwithvalidationinterfacequeue", nil)
}
