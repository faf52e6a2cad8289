package settlement

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/shopspring/decimal"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// Status is a settlement as people and programs are shown it.
type Status struct {
	Number       uint32 `json:"number"`
	Version      uint16 `json:"version"`  // the newest, or the one that a block holds
	Versions     uint16 `json:"versions"` // that were cut so far
	Stage        string `json:"stage"`    // cut, signed, broadcast, mined or posted
	TxID         string `json:"txid"`
	Height       uint32 `json:"height,omitempty"` // of the block that holds it
	Payouts      int    `json:"payouts"`          // withdrawals paid
	Destinations int    `json:"destinations"`     // outputs that pay them
	VSize        int64  `json:"vsize"`
	FeeSat       int64  `json:"fee_sat"`
	Batch        uint64 `json:"batch"`             // that its cut ended
	FeeRate      int64  `json:"fee_rate"`          // satoshis per 1,000 vbytes
	Cleared      uint64 `json:"cleared_sat"`       // moved inside by transfers since the settlement before was cut
	Settled      int64  `json:"settled_sat"`       // paid out on chain
	Swept        int64  `json:"swept_sat"`         // of deposits that it spends
	Ratio        string `json:"netting_ratio"`     // what moved, inside and out, over what moved on chain; "" when nothing did
	Refused      string `json:"refused,omitempty"` // the node's last reason, while it refuses
	Waits        string `json:"waits,omitempty"`   // why no next version is made
}

// StagePosted is the stage of a settlement that the books have posted at depth.
const StagePosted Stage = "posted"

// summary is what the signed step keeps besides the transaction.
type summary struct {
	Version      uint16 `json:"version"`
	Payouts      int    `json:"payouts"`
	Destinations int    `json:"destinations"`
	FeeSat       int64  `json:"fee_sat"`
	VSize        int64  `json:"vsize"`
	Batch        uint64 `json:"batch"`
	Cleared      uint64 `json:"cleared_sat"` // since the founding
	SettledSat   int64  `json:"settled_sat"`
	SweptSat     int64  `json:"swept_sat"`
}

func summarise(open *ledger.OpenCut, t *netting.Transaction, tx *wire.MsgTx) summary {
	s := summary{Version: open.Version, Payouts: len(open.Payouts), Destinations: t.Destinations, FeeSat: t.FeeSat,
		VSize: virtualSize(tx), Batch: open.Batch, Cleared: open.Cleared}
	for i := range open.Payouts {
		s.SettledSat += int64(open.Payouts[i].Amount)
	}
	for i := range open.Inputs {
		if open.Inputs[i].Branch == ledger.BranchDeposit {
			s.SweptSat += int64(open.Inputs[i].Amount)
		}
	}
	return s
}

// Settlements lists settlements by number, oldest first, from a number on.
func (d *Desk) Settlements(ctx context.Context, from uint32, limit int) ([]Status, error) {
	f, err := d.inFlight(ctx)
	if err != nil {
		return nil, err
	}
	var list []Status
	var before uint64 // moved inside until the settlement before was cut
	if from > 1 {
		s, err := d.status(ctx, from-1, f)
		if err != nil {
			return nil, err
		}
		before = s.Cleared
	}
	for n := max(from, 1); n <= f.last && len(list) < limit; n++ {
		s, err := d.status(ctx, n, f)
		if err != nil {
			return nil, err
		}
		before, s.Cleared = s.Cleared, s.Cleared-before
		s.Ratio = NettingRatio(s.Cleared, uint64(s.Settled))
		list = append(list, s)
	}
	return list, nil
}

// NettingRatio is what moved, inside and out, over what of it moved on chain, with one
// decimal place; "" when nothing moved on chain. Both in satoshis.
func NettingRatio(cleared, settled uint64) string {
	if settled == 0 {
		return ""
	}
	net := decimal.NewFromUint64(settled)
	return decimal.NewFromUint64(cleared).Add(net).Div(net).StringFixed(1)
}

func (d *Desk) status(ctx context.Context, n uint32, f *flight) (Status, error) {
	s := Status{Number: n, Stage: string(StagePosted)}
	if f.number() == n {
		s.Stage = string(f.stage)
		s.describe(f.newest().TxID, summarise(f.open(), f.newest(), f.newest().Tx))
		s.VSize = 0 // without signatures it is not known
	}
	steps, err := d.Store.Steps(ctx, n)
	if err != nil {
		return s, err
	}
	signed := make(map[ledger.Hash]summary)
	for _, step := range steps {
		if s.Refused = ""; step.Step != stepRefused && step.Step != stepWaits {
			s.Waits = ""
		}
		switch step.Step {
		case stepSigned:
			var sum summary
			if err := json.Unmarshal([]byte(step.Detail), &sum); err != nil {
				return s, fmt.Errorf("settlement %d, step signed: %w", n, err)
			}
			signed[*step.TxID] = sum
			if s.Height == 0 && (f.number() != n || sum.Version == f.version()) {
				s.describe(chainhash.Hash(*step.TxID), sum)
			}
		case stepRefused:
			s.Refused = step.Detail
		case stepWaits:
			s.Waits = step.Detail
		case stepMined:
			s.Height = *step.Height
			s.describe(chainhash.Hash(*step.TxID), signed[*step.TxID])
		case stepReturned:
			s.Height = 0
			if sum, ok := signed[*step.TxID]; ok {
				s.describe(chainhash.Hash(*step.TxID), sum)
			}
		}
	}
	return s, nil
}

// describe tells of one version.
func (s *Status) describe(txid chainhash.Hash, sum summary) {
	s.TxID, s.Version, s.Payouts, s.Destinations = txid.String(), sum.Version, sum.Payouts, sum.Destinations
	s.FeeSat, s.VSize, s.Batch = sum.FeeSat, sum.VSize, sum.Batch
	s.Versions = max(s.Versions, sum.Version)
	s.Cleared, s.Settled, s.Swept = sum.Cleared, sum.SettledSat, sum.SweptSat
	if sum.VSize > 0 {
		s.FeeRate = sum.FeeSat * 1000 / sum.VSize
	}
}

// Quote is the price of a withdrawal to a script at this moment.
type Quote struct {
	FeeRate int64         // satoshis per 1,000 vbytes
	Fee     ledger.Amount // what the output costs alone; sharing it costs less
	FeeMax  ledger.Amount // a limit that leaves room for the rate to double
	Height  uint32        // books' height of the quote
}

// Quote prices the output that would pay a script.
func (d *Desk) Quote(ctx context.Context, script []byte) (Quote, error) {
	rate, err := d.FeeRate(ctx)
	if err != nil {
		return Quote{}, err
	}
	fee := netting.OutputFee(script, rate)
	var height uint32
	if err := d.view(ctx, func(s *ledger.State) { height, _ = s.Block() }); err != nil {
		return Quote{}, err
	}
	return Quote{FeeRate: rate, Fee: fee, FeeMax: 2 * fee, Height: height}, nil
}

func virtualSize(tx *wire.MsgTx) int64 {
	return (blockchain.GetTransactionWeight(btcutil.NewTx(tx)) + 3) / 4
}
