package settlement

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// step takes the one step that is possible from a stage and says which event
// that was; "" when it has to wait.
func (d *Desk) step(ctx context.Context, f *flight) (Event, error) {
	switch f.stage {
	case StageIdle:
		return d.cut(ctx)
	case StageCut:
		return d.sign(ctx, f)
	case StageSigned, StageBroadcast:
		return d.broadcast(ctx, f)
	case StageMined:
		return d.watchDepth(ctx, f)
	}
	return "", fmt.Errorf("no step from stage %q", f.stage)
}

// cut writes the next cut into the journal, if anything waits.
func (d *Desk) cut(ctx context.Context) (Event, error) {
	rate := d.FeeRate(ctx)
	var cut *ledger.Cut
	var refused error
	err := d.view(ctx, func(s *ledger.State) {
		limits := d.Policy.Limits
		limits.Away = slices.Clone(limits.Away)
		for generation := range s.Generation() {
			if !d.Signer.Reachable(generation) {
				limits.Away = append(limits.Away, generation)
			}
		}
		cut, refused = netting.Plan(s, d.Vaults, rate, limits)
	})
	switch {
	case err != nil:
		return "", err
	case errors.Is(refused, netting.ErrNothingToSettle):
		return "", nil
	case refused != nil:
		return "", refused
	}
	if err := d.Engine.Record(ctx, []ledger.Event{cut}); err != nil {
		return "", fmt.Errorf("cut for settlement %d: %w", cut.Settlement, err)
	}
	return EventDue, nil
}

// sign asks the guardians and stores the signed transaction before any node
// sees it.
func (d *Desk) sign(ctx context.Context, f *flight) (Event, error) {
	sigs, err := d.Signer.Sign(ctx, f.built, f.open.Batch)
	if err != nil {
		return "", fmt.Errorf("sign settlement %d: %w", f.number(), err)
	}
	tx, err := taproot.AttachSignatures(f.built.Tx, sigs)
	if err != nil {
		return "", err
	}
	if err := taproot.VerifySpend(tx, f.built.Spent); err != nil {
		return "", fmt.Errorf("settlement %d is signed wrongly: %w", f.number(), err)
	}
	summary, err := json.Marshal(summary{
		Payouts: len(f.open.Payouts), Destinations: f.built.Destinations, FeeSat: f.built.FeeSat,
		VSize: virtualSize(tx), Batch: f.open.Batch,
	})
	if err != nil {
		return "", err
	}
	return EventQuorum, d.record(ctx, f, postgres.Step{Step: stepSigned, Tx: encodeTx(tx), Detail: string(summary)})
}

// broadcast gives the stored transaction to the node, also when the node has it:
// that is harmless, and brings it back after an eviction or a restart. A refusal
// is recorded once for each reason and tried again at the next block.
func (d *Desk) broadcast(ctx context.Context, f *flight) (Event, error) {
	if event, err := d.mined(ctx, f); event != "" || err != nil {
		return event, err
	}
	tx, err := f.signed()
	if err != nil {
		return "", err
	}
	err = d.Chain.Broadcast(ctx, tx)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return d.refused(ctx, f, err)
	case f.stage == StageBroadcast:
		return "", nil
	}
	return EventAccepted, d.record(ctx, f, postgres.Step{Step: stepBroadcast})
}

func (d *Desk) refused(ctx context.Context, f *flight, reason error) (Event, error) {
	d.Log.Warn("the node refuses the settlement", "number", f.number(), "txid", f.built.TxID, "reason", reason)
	last := f.steps[len(f.steps)-1]
	if last.Step == stepRefused && last.Detail == reason.Error() {
		return "", nil
	}
	return EventRefused, d.record(ctx, f, postgres.Step{Step: stepRefused, Detail: reason.Error()})
}

// mined looks for the settlement in the blocks above the books.
func (d *Desk) mined(ctx context.Context, f *flight) (Event, error) {
	height, err := d.find(ctx, f.built)
	if err != nil || height == 0 {
		return "", err
	}
	return EventInBlock, d.record(ctx, f, postgres.Step{Step: stepMined, Height: &height})
}

// watchDepth waits until catchUp posts the settlement, and notices when its
// block leaves the chain before.
func (d *Desk) watchDepth(ctx context.Context, f *flight) (Event, error) {
	height, err := d.find(ctx, f.built)
	if err != nil || height != 0 {
		return "", err
	}
	return EventOutBlock, d.record(ctx, f, postgres.Step{Step: stepReturned})
}

// find returns the height of the block above the books that holds the
// settlement, 0 when none does.
func (d *Desk) find(ctx context.Context, t *netting.Transaction) (uint32, error) {
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return 0, err
	}
	var from uint32
	if err := d.view(ctx, func(s *ledger.State) { from, _ = s.Block() }); err != nil {
		return 0, err
	}
	for h := from + 1; int64(h) <= int64(tip); h++ {
		hash, err := d.Chain.BlockHash(ctx, int32(h))
		if err != nil {
			return 0, err
		}
		block, err := d.Chain.Block(ctx, hash)
		if err != nil {
			return 0, err
		}
		for _, tx := range block.Transactions {
			if tx.TxHash() == t.TxID {
				return h, nil
			}
		}
	}
	return 0, nil
}

func (d *Desk) record(ctx context.Context, f *flight, s postgres.Step) error {
	txid := ledger.Hash(f.built.TxID)
	s.Settlement, s.Ordinal, s.TxID = f.number(), uint32(len(f.steps)+1), &txid
	if err := d.Store.AppendStep(ctx, d.Engine.Epoch(), s); err != nil {
		return fmt.Errorf("settlement %d, step %s: %w", f.number(), s.Step, err)
	}
	return nil
}

// FeeRate is the rate that the desk would settle at now, in satoshis per 1,000
// vbytes: the node's estimate within floor and ceiling, else the fallback.
func (d *Desk) FeeRate(ctx context.Context) int64 {
	rate, err := d.Chain.FeeRate(ctx, d.Policy.FeeTarget)
	if err != nil {
		d.Log.Debug("no fee estimate", "error", err)
		rate = d.Policy.FeeRateFallback
	}
	return min(max(rate, d.Policy.FeeRateFloor), d.Policy.FeeRateCeiling)
}

func encodeTx(tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	_ = tx.Serialize(&b) // a bytes.Buffer does not fail
	return b.Bytes()
}

func decodeTx(raw []byte) (*wire.MsgTx, error) {
	tx := &wire.MsgTx{}
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("stored transaction: %w", err)
	}
	return tx, nil
}
