package main

import (
	"context"
	"sync"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
)

// settleSteps is how long a settlement took, in seconds, step by step as its desk
// asked for things, from the moment at which it saw the block.
type settleSteps struct {
	Inputs  int     `json:"inputs"`
	Outputs int     `json:"outputs"`
	Books   float64 `json:"books_seconds"` // the block's deposits are in the books
	Cut     float64 `json:"cut_seconds"`   // planned, written into the journal, built
	Sign    float64 `json:"sign_seconds"`  // by the guardians, replaying the cut included
	Store   float64 `json:"store_seconds"` // verified and on disk
	Send    float64 `json:"send_seconds"`  // the node has it
	Total   float64 `json:"total_seconds"`
	// Processor is the time of processors that this process and those that it started
	// used meanwhile: what the settlement costs, whatever else the machine does.
	Processor float64 `json:"processor_seconds,omitempty"`
}

// settleWatch stands between a desk and its node and guardians, and takes the time.
type settleWatch struct {
	settlement.Chain
	settlement.Signer
	timed chan<- settleSteps // one for each settlement

	mu     sync.Mutex
	height int32
	at     [4]time.Time // seen, in the books, cut, signed
	steps  settleSteps  // with no inputs when nothing was signed since the last
}

func (w *settleWatch) mark(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[i] = time.Now()
}

func (w *settleWatch) Height(ctx context.Context) (int32, error) {
	height, err := w.Chain.Height(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && height != w.height {
		w.height, w.at[0] = height, time.Now()
	}
	return height, err
}

// FeeRate is asked when a cut is planned.
func (w *settleWatch) FeeRate(ctx context.Context, target int) (int64, error) {
	w.mark(1)
	return w.Chain.FeeRate(ctx, target)
}

func (w *settleWatch) Sign(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error) {
	w.mark(2)
	sigs, err := w.Signer.Sign(ctx, t, batch)
	w.mark(3)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.steps = settleSteps{Inputs: len(t.Tx.TxIn), Outputs: len(t.Tx.TxOut)}
	}
	return sigs, err
}

func (w *settleWatch) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	began := time.Now()
	err := w.Chain.Broadcast(ctx, tx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.steps; err == nil && s.Inputs > 0 {
		s.Books, s.Cut, s.Sign = w.at[1].Sub(w.at[0]).Seconds(), w.at[2].Sub(w.at[1]).Seconds(), w.at[3].Sub(w.at[2]).Seconds()
		s.Store, s.Send, s.Total = began.Sub(w.at[3]).Seconds(), time.Since(began).Seconds(), time.Since(w.at[0]).Seconds()
		w.steps = settleSteps{}
		w.timed <- s
	}
	return err
}
