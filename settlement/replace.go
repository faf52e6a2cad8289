package settlement

import (
	"context"
	"errors"
	"fmt"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
)

// replace writes the next version of the settlement in flight into the journal. When
// there can be none (the ceiling is reached, the treasury is empty, no coin is common
// and can be signed for) it records why, once for each reason, and the versions there
// are go on waiting for a block.
func (d *Desk) replace(ctx context.Context, f *flight) (done bool, err error) {
	if f.version() == ledger.MaxVersions {
		return false, d.wait(ctx, f, fmt.Errorf("it has %d versions, the most that there can be", ledger.MaxVersions))
	}
	bid, err := d.bid(ctx, f)
	if err != nil {
		return false, err
	}
	limits, err := d.limits(ctx)
	if err != nil {
		return false, err
	}
	var cut *ledger.Cut
	var refused error
	err = d.view(ctx, func(s *ledger.State) {
		cut, refused = netting.Replace(s, d.Vaults, bid, limits)
	})
	var high *netting.CeilingError
	var poor *netting.TreasuryError
	switch {
	case err != nil:
		return false, err
	case errors.As(refused, &high), errors.As(refused, &poor), errors.Is(refused, netting.ErrNoCommonCoin):
		return false, d.wait(ctx, f, refused)
	case refused != nil:
		return false, refused
	case cut.FeeRate < uint64(bid.FeeRate):
		d.Log.Warn("the treasury cannot pay more: deposit to its address", "rate", cut.FeeRate, "wanted", bid.FeeRate)
	}
	if err := d.Engine.Record(ctx, []ledger.Event{cut}); err != nil {
		return false, fmt.Errorf("cut for settlement %d, version %d: %w", cut.Settlement, cut.Version, err)
	}
	d.Log.Info("the settlement is replaced", "number", cut.Settlement, "version", cut.Version, "rate", cut.FeeRate,
		"payouts", len(cut.Payouts), "coins", len(cut.Inputs))
	return true, nil
}

// wait records why there is no next version.
func (d *Desk) wait(ctx context.Context, f *flight, why error) error {
	for _, s := range f.steps {
		if s.Step == stepWaits && s.Detail == why.Error() && *s.TxID == ledger.Hash(f.newest().TxID) {
			return nil
		}
	}
	d.Log.Warn("the settlement is not replaced: it waits", "number", f.number(), "version", f.version(), "reason", why)
	step := postgres.Step{Step: stepWaits, Detail: why.Error()}
	if err := d.record(ctx, f, step); err != nil {
		return err
	}
	txid := ledger.Hash(f.newest().TxID)
	step.TxID = &txid
	f.steps = append(f.steps, step) // what is recorded next stands behind it
	return nil
}

// bid is what the next version has to pay. It outbids every version that is signed,
// whether this node has it or not, since others may.
func (d *Desk) bid(ctx context.Context, f *flight) (netting.Bid, error) {
	rate, err := d.FeeRate(ctx)
	if err != nil {
		return netting.Bid{}, err
	}
	floor, step, err := d.Chain.Relay(ctx)
	if err != nil {
		return netting.Bid{}, fmt.Errorf("what the node asks of a transaction: %w", err)
	}
	bid := netting.Bid{Floor: max(floor, d.Policy.FeeRateFloor), Step: step, Ceiling: d.Policy.FeeRateCeiling}
	all, err := f.signed()
	if err != nil {
		return netting.Bid{}, err
	}
	for _, t := range f.built {
		s, ok := all[t.TxID]
		if !ok {
			continue
		}
		vbytes := virtualSize(s.tx)
		bid.Above = max(bid.Above, (t.FeeSat*1000+vbytes-1)/vbytes)
		sat, _, err := d.Chain.PooledFees(ctx, t.TxID)
		if err != nil {
			return netting.Bid{}, fmt.Errorf("what the node's mempool pays: %w", err)
		}
		bid.Evicted = max(bid.Evicted, ledger.Amount(t.FeeSat), ledger.Amount(sat))
	}
	raised := (bid.Above*(100+d.Policy.RaisePercent) + 99) / 100
	bid.FeeRate = min(max(rate, raised), d.Policy.FeeRateCeiling)
	return bid, nil
}

// asks is the least fee in satoshis that the node would take for the newest version:
// its mempool's floor, or what it must pay to push out a version before.
func (d *Desk) asks(ctx context.Context, f *flight) (int64, error) {
	floor, step, err := d.Chain.Relay(ctx)
	if err != nil {
		return 0, fmt.Errorf("what the node asks of a transaction: %w", err)
	}
	all, err := f.signed()
	if err != nil {
		return 0, err
	}
	vbytes := virtualSize(all[f.newest().TxID].tx)
	least := vbytes * floor / 1000
	for _, t := range f.built[:len(f.built)-1] {
		sat, pooled, err := d.Chain.PooledFees(ctx, t.TxID)
		if err != nil {
			return 0, fmt.Errorf("what the node's mempool pays: %w", err)
		}
		if pooled {
			least = max(least, sat+vbytes*step/1000)
		}
	}
	return least, nil
}
