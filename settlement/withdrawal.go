package settlement

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
)

// Withdrawal is one withdrawal from its order to its payment on chain. What an entry
// of the journal says of it is named by batch and index.
type Withdrawal struct {
	Payer    ledger.AccountID `json:"payer"`
	Sequence uint64           `json:"sequence"`
	State    WithdrawalState  `json:"state"`
	Amount   ledger.Amount    `json:"amount_sat"`
	FeeMax   ledger.Amount    `json:"fee_max_sat"`
	Script   []byte           `json:"-"`
	Ordered  EntryPlace       `json:"ordered"` // the order; of a standing payout, the instruction
	// Of the settlement that pays it, once it is in one.
	Cut           *EntryPlace   `json:"cut,omitempty"` // the last entry that took it from the account
	Settlement    uint32        `json:"settlement,omitempty"`
	Version       uint16        `json:"version,omitempty"`
	FeeShare      ledger.Amount `json:"fee_sat"`          // what its owner pays the miner in that version
	Posted        *EntryPlace   `json:"posted,omitempty"` // the entry that says it is paid, deep enough
	TxID          string        `json:"txid,omitempty"`
	Height        uint32        `json:"height,omitempty"` // of the block that holds it
	Confirmations int64         `json:"confirmations"`
	// Waits says why it is not paid yet: for a fee, or for its settlement.
	Waits string `json:"waits,omitempty"`
}

// EntryPlace names an entry of the journal.
type EntryPlace struct {
	Batch uint64 `json:"batch"`
	Index uint32 `json:"index"`
}

// WithdrawalState is how far a withdrawal has come.
type WithdrawalState string

// The states of a withdrawal. Every one ends paid or cancelled.
const (
	WithdrawalWaiting   WithdrawalState = "waiting"   // held; can be cancelled
	WithdrawalSettling  WithdrawalState = "settling"  // in a settlement that is in flight
	WithdrawalPaid      WithdrawalState = "paid"      // its settlement is as deep as the charter says
	WithdrawalCancelled WithdrawalState = "cancelled" // by its owner
)

// Withdrawal finds a withdrawal by its order. Of a standing payout it tells of the last
// draw. Errors: postgres.ErrNotFound, also for an order of another kind.
func (d *Desk) Withdrawal(ctx context.Context, ref ledger.OrderRef) (*Withdrawal, error) {
	w := &Withdrawal{Payer: ref.Payer, Sequence: ref.Sequence, State: WithdrawalCancelled}
	if err := d.ordered(ctx, w); err != nil {
		return nil, err
	}
	rate, err := d.FeeRate(ctx)
	if err != nil {
		return nil, err
	}
	held := false
	f, err := d.inFlightWith(ctx, func(s *ledger.State) {
		var p ledger.Payout
		if p, held = s.Waiting(ref); held {
			w.Amount, w.State, w.Waits = p.Amount, WithdrawalWaiting, ""
			if fee := netting.OutputFee(p.Script, rate); fee > p.FeeMax {
				w.Waits = fmt.Sprintf("its output costs %d sat now, its order allows %d sat: it waits for a lower rate, or to be cancelled", fee, p.FeeMax)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if held {
		return w, nil
	}
	if p := f.newestOf(ref); p != nil {
		w.State, w.Amount = WithdrawalSettling, p.Amount
	}
	return w, d.cutOf(ctx, w, f)
}

// ordered reads the order.
func (d *Desk) ordered(ctx context.Context, w *Withdrawal) error {
	number, index, err := d.Store.FindOrder(ctx, ledger.OrderRef{Payer: w.Payer, Sequence: w.Sequence})
	if err != nil {
		return err
	}
	batch, err := d.Store.Batch(ctx, number)
	if err != nil {
		return err
	}
	order, err := ledger.DecodeOrder(batch.Entries[index])
	if err != nil {
		return err
	}
	w.Ordered = EntryPlace{Batch: number, Index: uint32(index)}
	switch body := order.Body.(type) {
	case *ledger.Withdraw:
		w.Amount, w.FeeMax, w.Script = body.Amount, body.FeeMax, body.Script
	case *ledger.Standing:
		w.FeeMax, w.Script = body.FeeMax, body.Script
	default:
		return fmt.Errorf("order %d/%d is a %s: %w", w.Payer, w.Sequence, order.Kind(), postgres.ErrNotFound)
	}
	return nil
}

// newestOf is a payout in the newest version that has it.
func (f *flight) newestOf(ref ledger.OrderRef) *ledger.Payout {
	for i := len(f.versions) - 1; i >= 0; i-- {
		for j := range f.versions[i].Payouts {
			if p := &f.versions[i].Payouts[j]; p.OrderRef == ref {
				return p
			}
		}
	}
	return nil
}

// cutOf follows a withdrawal that no longer waits through the cuts that took it.
func (d *Desk) cutOf(ctx context.Context, w *Withdrawal, f *flight) error {
	cuts, err := d.Store.CutsOf(ctx, w.Payer, w.Ordered.Batch)
	if err != nil {
		return err
	}
	for _, c := range cuts {
		entry, err := ledger.DecodeEntry(c.Bytes)
		if err != nil {
			return err
		}
		cut, ok := entry.Event.(*ledger.Cut)
		if !ok || shareOf(cut, w) < 0 || cut.Settlement > f.last {
			continue
		}
		w.Cut, w.Settlement = &EntryPlace{Batch: c.Batch, Index: c.Index}, cut.Settlement
		if taken := takenFor(cut, w, c.Amounts); taken > 0 {
			w.Amount = taken - w.FeeMax // a draw's is in no order
		}
	}
	if w.Cut == nil {
		return nil
	}
	s, err := d.status(ctx, w.Settlement, f)
	if err != nil {
		return err
	}
	share, err := d.shareIn(ctx, w, s.Batch)
	if errors.Is(err, postgres.ErrNotFound) || share < 0 {
		return err // cancelled after its settlement went without it
	}
	if err != nil {
		return err
	}
	w.FeeShare, w.Version, w.TxID, w.Height = share, s.Version, s.TxID, s.Height
	w.State, w.Waits = WithdrawalSettling, s.Waits
	if s.Stage == string(StagePosted) {
		w.State = WithdrawalPaid
		if w.Posted, err = d.posting(ctx, w); err != nil {
			return err
		}
	}
	if s.Height > 0 {
		tip, err := d.Chain.Height(ctx)
		if err != nil {
			return err
		}
		w.Confirmations = int64(tip) - int64(s.Height) + 1
	}
	return nil
}

// posting is the entry that posts the settlement which pays a withdrawal: the first of
// its kind behind the cut, since one settlement is in flight at a time.
func (d *Desk) posting(ctx context.Context, w *Withdrawal) (*EntryPlace, error) {
	p, err := d.Store.PostingAfter(ctx, w.Cut.Batch)
	if err != nil {
		return nil, err
	}
	entry, err := ledger.DecodeEntry(p.Bytes)
	if err != nil {
		return nil, err
	}
	if e, ok := entry.Event.(*ledger.Settled); !ok || e.Settlement != w.Settlement {
		return nil, fmt.Errorf("entry %d of batch %d does not post settlement %d: %w", p.Index, p.Batch, w.Settlement, postgres.ErrNotFound)
	}
	return &EntryPlace{Batch: p.Batch, Index: p.Index}, nil
}

// shareIn is what a withdrawal pays in the version whose cut ended a batch; below
// zero when that version does not pay it.
func (d *Desk) shareIn(ctx context.Context, w *Withdrawal, batch uint64) (ledger.Amount, error) {
	b, err := d.Store.Batch(ctx, batch)
	if err != nil {
		return 0, err
	}
	entry, err := ledger.DecodeEntry(b.Entries[len(b.Entries)-1])
	if err != nil {
		return 0, err
	}
	cut, ok := entry.Event.(*ledger.Cut)
	if !ok {
		return 0, fmt.Errorf("batch %d does not end with a cut: %w", batch, postgres.ErrNotFound)
	}
	return shareOf(cut, w), nil
}

// takenFor is what a cut took from the payer for a withdrawal. Those that a version
// before has taken stand first in it, and moved nothing.
func takenFor(cut *ledger.Cut, w *Withdrawal, amounts []int64) ledger.Amount {
	left := len(amounts)
	for _, p := range slices.Backward(cut.Payouts) {
		if p.Payer != w.Payer || left == 0 {
			continue
		}
		if left--; p.Sequence == w.Sequence {
			return ledger.Amount(amounts[left])
		}
	}
	return 0
}

func shareOf(cut *ledger.Cut, w *Withdrawal) ledger.Amount {
	for _, p := range cut.Payouts {
		if p.Payer == w.Payer && p.Sequence == w.Sequence {
			return p.FeeShare
		}
	}
	return -1
}
