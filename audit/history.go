package audit

import (
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// History is what an audit saw on its way, for a picture of it.
type History struct {
	Blocks      []BlockPoint
	Settlements []SettlementPoint
}

// BlockPoint is how the bank stood at a block of its books.
type BlockPoint struct {
	Height   uint32
	Time     int64 // of the block's header, Unix seconds
	Batch    uint64
	OwedSat  ledger.Amount // all wallets
	CoinsSat ledger.Amount // of the vault, as the blocks show them
	Anchored uint64        // the last batch whose books are committed to in this block or one before
}

// SettlementPoint is a settlement that was posted.
type SettlementPoint struct {
	Number  uint32
	TxID    string // as Bitcoin prints it
	Height  uint32
	Batch   uint64 // that its cut ended, and its anchor commits to
	Inputs  int
	Payouts int // withdrawals that it pays
	Outputs int
	PaidSat ledger.Amount
	FeeSat  ledger.Amount
	// What members paid each other between the cut before and its own.
	Transfers uint64
	MovedSat  ledger.Amount
}

// NettingRatio is how many payments inside stand for one output on chain.
func (s *SettlementPoint) NettingRatio() float64 {
	return float64(s.Transfers+uint64(s.Payouts)) / float64(max(s.Outputs, 1))
}

// interior counts what members pay each other.
type interior struct {
	transfers uint64
	moved     ledger.Amount

	settlement uint32    // of the cut that ended it; 0 for none yet
	atCut      *interior // what the settlement that was cut last settles
}

// count adds a transfer. Money that is passed on counts every time, so the sum can
// pass what a bank can hold.
func (i *interior) count(t *ledger.Transfer) {
	i.transfers += uint64(len(t.Payments))
	for k := range t.Payments {
		i.moved += t.Payments[k].Amount
	}
}

// cut ends what a settlement settles. A settlement that is cut again settles what came
// since, too.
func (i *interior) cut(settlement uint32) {
	ended := &interior{transfers: i.transfers, moved: i.moved, settlement: settlement}
	if before := i.atCut; before != nil && before.settlement == settlement {
		ended.transfers, ended.moved = ended.transfers+before.transfers, ended.moved+before.moved
	}
	*i = interior{atCut: ended}
}

func settlementPoint(height uint32, built *netting.Transaction, open *ledger.OpenCut) SettlementPoint {
	s := SettlementPoint{Number: open.Settlement, TxID: built.TxID.String(), Height: height, Batch: open.Batch,
		Inputs: len(built.Tx.TxIn), Outputs: len(built.Tx.TxOut), Payouts: len(open.Payouts), FeeSat: ledger.Amount(built.FeeSat)}
	for i := range open.Payouts {
		s.PaidSat += open.Payouts[i].Amount
	}
	return s
}

// add takes what a batch brought.
func (h *History) add(b *followed, since *interior) {
	for _, s := range b.settled {
		if before := since.atCut; before != nil {
			s.Transfers, s.MovedSat = before.transfers, before.moved
		}
		h.Settlements = append(h.Settlements, s)
	}
	for _, p := range b.blocks {
		p.Batch, p.OwedSat = b.batch.Batch.Header.Number, b.owed
		for i := len(h.Settlements) - 1; i >= 0; i-- {
			if h.Settlements[i].Height <= p.Height {
				p.Anchored = h.Settlements[i].Batch
				break
			}
		}
		h.Blocks = append(h.Blocks, p)
	}
}

// Vaults are the bank's vaults, as far as the journal was replayed.
func (a *Audit) Vaults() *netting.Vaults { return a.replay.Vaults() }

// History is what the audit has seen so far. The caller must not change it.
func (a *Audit) History() *History { return &a.history }
