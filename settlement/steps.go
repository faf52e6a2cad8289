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

// draw makes withdrawals of the standing payouts that are due.
func (d *Desk) draw(ctx context.Context) error {
	var events []ledger.Event
	err := d.view(ctx, func(s *ledger.State) {
		for _, id := range s.Due() {
			if len(events) < netting.PayoutsMax {
				events = append(events, &ledger.Draw{Payer: id})
			}
		}
	})
	if err != nil || len(events) == 0 {
		return err
	}
	if err := d.Engine.Record(ctx, events); err != nil {
		return fmt.Errorf("draw %d standing payouts: %w", len(events), err)
	}
	return nil
}

// cut writes the first version of the next settlement into the journal, if the policy
// says that it is due.
func (d *Desk) cut(ctx context.Context) (Event, error) {
	rate, err := d.FeeRate(ctx)
	if err != nil {
		return "", err
	}
	limits, err := d.limits(ctx)
	if err != nil {
		return "", err
	}
	var cut *ledger.Cut
	var reason string
	var refused error
	err = d.view(ctx, func(s *ledger.State) {
		var move bool
		if move, refused = netting.MustMove(s, d.Vaults, limits.Away); refused != nil {
			return
		}
		if reason = d.Policy.When.due(s, move); reason == "" {
			return
		}
		plan := netting.Plan
		if d.Policy.When.anchorDue(s) {
			plan = netting.PlanAnchor
		}
		cut, refused = netting.Afford(d.Policy.FeeRateFloor, rate, func(rate int64) (*ledger.Cut, error) { return plan(s, d.Vaults, rate, limits) })
	})
	switch {
	case err != nil:
		return "", err
	case errors.Is(refused, netting.ErrNothingToSettle), refused == nil && cut == nil:
		return "", nil
	case refused != nil:
		return "", refused
	case cut.FeeRate < uint64(rate):
		d.Log.Warn("the treasury cannot pay more: deposit to its address", "rate", cut.FeeRate, "wanted", rate)
	}
	if err := d.Engine.Record(ctx, []ledger.Event{cut}); err != nil {
		return "", fmt.Errorf("cut for settlement %d: %w", cut.Settlement, err)
	}
	d.Log.Info("the journal is cut", "settlement", cut.Settlement, "because", reason, "rate", cut.FeeRate, "payouts", len(cut.Payouts), "coins", len(cut.Inputs))
	return EventDue, nil
}

// limits are the policy's, with the generations whose guardians cannot sign now.
func (d *Desk) limits(ctx context.Context) (netting.Limits, error) {
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return netting.Limits{}, err
	}
	limits := d.Policy.Limits
	limits.Away = slices.Clone(limits.Away)
	_, newest := d.Vaults.Newest()
	for generation := range newest {
		if until, ok := d.refusing[generation]; !d.Signer.Reachable(generation) || ok && uint32(tip) < until {
			limits.Away = append(limits.Away, generation)
		}
	}
	return limits, nil
}

// sign asks the guardians and stores the signed transaction before any node
// sees it. Until they have signed, the version before goes on waiting for its block.
func (d *Desk) sign(ctx context.Context, f *flight) (Event, error) {
	if event, err := d.mined(ctx, f); event != "" || err != nil {
		return event, err
	}
	if lost, err := d.lost(ctx, f); lost || err != nil {
		if err == nil {
			lost, err = d.replace(ctx, f)
		}
		if lost || err != nil {
			return EventLost, err
		}
	}
	sigs, err := d.Signer.Sign(ctx, f.newest(), f.open().Batch)
	if err != nil {
		return d.unsigned(ctx, f, err)
	}
	tx, err := taproot.AttachSignatures(f.newest().Tx, sigs)
	if err != nil {
		return "", err
	}
	if err := taproot.VerifySpend(tx, f.newest().Spent); err != nil {
		return "", fmt.Errorf("settlement %d is signed wrongly: %w", f.number(), err)
	}
	summary, err := json.Marshal(summarise(f.open(), f.newest(), tx))
	if err != nil {
		return "", err
	}
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return "", err
	}
	height := uint32(tip)
	return EventQuorum, d.record(ctx, f, postgres.Step{Step: stepSigned, Tx: encodeTx(tx), Height: &height, Detail: string(summary)})
}

// lost reports whether a deep reorganisation took a coin from the books that the newest
// version spends: no guardian would sign it.
func (d *Desk) lost(ctx context.Context, f *flight) (lost bool, err error) {
	err = d.view(ctx, func(s *ledger.State) {
		there := make(map[ledger.OutPoint]bool)
		for _, c := range s.Coins() {
			there[c.OutPoint] = true
		}
		lost = slices.ContainsFunc(f.open().Inputs, func(c ledger.Coin) bool { return !there[c.OutPoint] })
	})
	return lost && err == nil, err
}

// leftOut is for how many blocks coins stay where they are whose guardians have not
// signed, though enough of them are connected.
const leftOut = 144

// unsigned goes on without the coins of an older key whose guardians do not sign.
func (d *Desk) unsigned(ctx context.Context, f *flight, why error) (Event, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	why = fmt.Errorf("sign settlement %d, version %d: %w", f.number(), f.version(), why)
	var missing *netting.UnsignedError
	if _, newest := d.Vaults.Newest(); errors.As(why, &missing) && missing.Generation < newest {
		tip, err := d.Chain.Height(ctx)
		if err != nil {
			return "", err
		}
		d.refusing[missing.Generation] = uint32(tip) + leftOut
		d.Log.Warn("guardians of an old key do not sign: their coins wait", "generation", missing.Generation, "error", why)
		switch done, err := d.replace(ctx, f); {
		case err != nil:
			return "", errors.Join(why, err)
		case done:
			return EventAway, nil
		}
	}
	// The version before is still good, and a node may have lost it.
	if all, err := f.signed(); err == nil {
		for _, t := range slices.Backward(f.built) {
			if s, ok := all[t.TxID]; ok {
				if err := d.Chain.Broadcast(ctx, s.tx); err != nil {
					d.Log.Warn("the node refuses a version that is not replaced yet", "number", f.number(), "version", t.Version, "reason", err)
				}
				break
			}
		}
	}
	return "", why
}

// broadcast gives the stored transaction to the node, also when the node has it:
// that is harmless, and brings it back after an eviction or a restart. When a block
// came without it, or the node asks for more, the next version is made.
func (d *Desk) broadcast(ctx context.Context, f *flight) (Event, error) {
	if event, err := d.mined(ctx, f); event != "" || err != nil {
		return event, err
	}
	all, err := f.signed()
	if err != nil {
		return "", err
	}
	own, ok := all[f.newest().TxID]
	if !ok {
		return "", fmt.Errorf("settlement %d has no signed transaction", f.number())
	}
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return "", err
	}
	if uint32(tip) > own.height {
		if done, err := d.replace(ctx, f); done || err != nil {
			return EventMissed, err
		}
	}
	if d.refused == f.newest().TxID {
		return d.outbid(ctx, f)
	}
	err = d.Chain.Broadcast(ctx, own.tx)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return d.refuse(ctx, f, err)
	case f.stage == StageBroadcast:
		return "", nil
	}
	return EventAccepted, d.record(ctx, f, postgres.Step{Step: stepBroadcast})
}

// refuse records a refusal, once for each reason.
func (d *Desk) refuse(ctx context.Context, f *flight, reason error) (Event, error) {
	d.Log.Warn("the node refuses the settlement", "number", f.number(), "version", f.version(), "txid", f.newest().TxID, "reason", reason)
	d.refused = f.newest().TxID
	last := f.steps[len(f.steps)-1]
	if last.Step == stepRefused && last.Detail == reason.Error() && f.stage == StageSigned {
		return d.outbid(ctx, f)
	}
	return EventRefused, d.record(ctx, f, postgres.Step{Step: stepRefused, Detail: reason.Error()})
}

// outbid makes the next version when the node asks for more than this one pays, for
// its mempool is full, or payees have built on a version before. Whatever else its
// reason was, the transaction is sent again at the next block.
func (d *Desk) outbid(ctx context.Context, f *flight) (Event, error) {
	asks, err := d.asks(ctx, f)
	if err != nil || f.newest().FeeSat >= asks {
		return "", err
	}
	if done, err := d.replace(ctx, f); !done {
		return "", err
	}
	return EventOutbid, nil
}

// mined looks for any version in the blocks above the books.
func (d *Desk) mined(ctx context.Context, f *flight) (Event, error) {
	t, height, err := d.find(ctx, f.built)
	if err != nil || t == nil {
		return "", err
	}
	txid := ledger.Hash(t.TxID)
	if f.minedAs(txid, height) {
		return "", nil
	}
	return EventInBlock, d.record(ctx, f, postgres.Step{Step: stepMined, TxID: &txid, Height: &height})
}

// watchDepth waits until catchUp posts the settlement, and notices when its
// block leaves the chain before, or another version stands in the new one.
func (d *Desk) watchDepth(ctx context.Context, f *flight) (Event, error) {
	event, err := d.mined(ctx, f)
	if event != "" || err != nil {
		return event, err
	}
	if t, _, err := d.find(ctx, f.built); t != nil || err != nil {
		return "", err
	}
	all, err := f.signed()
	if err != nil {
		return "", err
	}
	event = EventReturned
	if _, ok := all[f.newest().TxID]; ok {
		event = EventOutBlock
	}
	return event, d.record(ctx, f, postgres.Step{Step: stepReturned})
}

// find returns the version that a block above the books holds, and the block's height;
// nil when none does.
func (d *Desk) find(ctx context.Context, flight netting.Flight) (*netting.Transaction, uint32, error) {
	tip, err := d.Chain.Height(ctx)
	if err != nil {
		return nil, 0, err
	}
	var from uint32
	if err := d.view(ctx, func(s *ledger.State) { from, _ = s.Block() }); err != nil {
		return nil, 0, err
	}
	for h := from + 1; int64(h) <= int64(tip); h++ {
		hash, err := d.Chain.BlockHash(ctx, int32(h))
		if err != nil {
			return nil, 0, err
		}
		block, err := d.Chain.Block(ctx, hash)
		if err != nil {
			return nil, 0, err
		}
		for _, tx := range block.Transactions {
			if t := flight.Find(tx.TxHash()); t != nil {
				return t, h, nil
			}
		}
	}
	return nil, 0, nil
}

// FeeRate is the rate that the desk would settle at now, in satoshis per 1,000
// vbytes: the node's estimate within floor and ceiling, else the fallback. It stands
// until the next block.
func (d *Desk) FeeRate(ctx context.Context) (int64, error) {
	tip, err := tipOf(ctx, d.Chain)
	if err != nil {
		return 0, err
	}
	d.quoting.Lock()
	defer d.quoting.Unlock()
	if d.rate != 0 && d.quoted == tip {
		return d.rate, nil
	}
	rate, err := d.Chain.FeeRate(ctx, d.Policy.FeeTarget)
	if err != nil {
		d.Log.Debug("no fee estimate", "error", err)
		rate = d.Policy.FeeRateFallback
	}
	d.quoted, d.rate = tip, min(max(rate, d.Policy.FeeRateFloor), d.Policy.FeeRateCeiling)
	return d.rate, nil
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
