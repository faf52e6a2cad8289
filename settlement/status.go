package settlement

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// Status is a settlement as people and programs are shown it.
type Status struct {
	Number       uint32 `json:"number"`
	Stage        string `json:"stage"` // cut, signed, broadcast, mined or posted
	TxID         string `json:"txid"`
	Height       uint32 `json:"height,omitempty"` // of the block that holds it
	Payouts      int    `json:"payouts"`          // withdrawals paid
	Destinations int    `json:"destinations"`     // outputs that pay them
	VSize        int64  `json:"vsize"`
	FeeSat       int64  `json:"fee_sat"`
	Batch        uint64 `json:"batch"`             // that its cut ended
	Refused      string `json:"refused,omitempty"` // the node's last reason, while it refuses
}

// StagePosted is the stage of a settlement that the books have posted at depth.
const StagePosted Stage = "posted"

// summary is what the signed step keeps besides the transaction.
type summary struct {
	Payouts      int    `json:"payouts"`
	Destinations int    `json:"destinations"`
	FeeSat       int64  `json:"fee_sat"`
	VSize        int64  `json:"vsize"`
	Batch        uint64 `json:"batch"`
}

// Settlements lists settlements by number, oldest first, from a number on.
func (d *Desk) Settlements(ctx context.Context, from uint32, limit int) ([]Status, error) {
	f, err := d.inFlight(ctx)
	if err != nil {
		return nil, err
	}
	var last uint32
	if err := d.view(ctx, func(s *ledger.State) { last = s.Settlements() }); err != nil {
		return nil, err
	}
	var list []Status
	for n := max(from, 1); n <= last && len(list) < limit; n++ {
		s, err := d.status(ctx, n, f)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func (d *Desk) status(ctx context.Context, n uint32, f *flight) (Status, error) {
	s := Status{Number: n, Stage: string(StagePosted)}
	if f.number() == n {
		s.Stage, s.TxID, s.FeeSat = string(f.stage), f.built.TxID.String(), f.built.FeeSat
		s.Payouts, s.Destinations, s.Batch = len(f.open.Payouts), f.built.Destinations, f.open.Batch
	}
	steps, err := d.Store.Steps(ctx, n)
	if err != nil {
		return s, err
	}
	for _, step := range steps {
		s.Refused = ""
		switch step.Step {
		case stepSigned:
			var sum summary
			if err := json.Unmarshal([]byte(step.Detail), &sum); err != nil {
				return s, fmt.Errorf("settlement %d, step signed: %w", n, err)
			}
			s.Payouts, s.Destinations, s.FeeSat, s.VSize, s.Batch = sum.Payouts, sum.Destinations, sum.FeeSat, sum.VSize, sum.Batch
			s.TxID = chainhash.Hash(*step.TxID).String()
		case stepRefused:
			s.Refused = step.Detail
		case stepMined:
			s.Height = *step.Height
		case stepReturned:
			s.Height = 0
		}
	}
	return s, nil
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
	rate := d.FeeRate(ctx)
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
