package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// What the large settlement looks like.
const (
	speedPayouts  = 1_000
	speedDeposits = 200
	speedRounds   = 3
	speedAmount   = 10_000
)

// speedFigures are the settlements of a large bank.
type speedFigures struct {
	Accounts  int           `json:"accounts"`
	Guardians string        `json:"guardians"`
	Rounds    []settleSteps `json:"rounds"`
	Ordered   int           `json:"payouts_ordered"`
	Paid      int           `json:"payouts_paid"` // outputs in the chain, each of the amount ordered
}

// median is the round with the median total.
func (f *speedFigures) median() settleSteps {
	sorted := slices.Clone(f.Rounds)
	slices.SortFunc(sorted, func(a, b settleSteps) int {
		if a.Total < b.Total {
			return -1
		}
		return 1
	})
	return sorted[len(sorted)/2]
}

// measureSpeed lets a bank of many accounts settle with guardians in processes of
// their own.
func measureSpeed(ctx context.Context, b *settlementBench) (err error) {
	s, err := newSettleBench(ctx)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	large := &largeBank{settleBench: s, accounts: b.options.Accounts, say: b.say}
	if err := large.grow(ctx); err != nil {
		return err
	}
	b.Speed = speedFigures{Accounts: b.options.Accounts, Guardians: fmt.Sprintf("%d of %d", settleThreshold, settleGuardians)}
	for range speedRounds {
		steps, err := large.round(ctx)
		if err != nil {
			return err
		}
		b.Speed.Rounds = append(b.Speed.Rounds, steps)
		b.say("%d inputs and %d outputs, from block to broadcast in %.2f s, %.2f s of processors", steps.Inputs, steps.Outputs, steps.Total, steps.Processor)
	}
	b.Speed.Ordered = speedRounds * speedPayouts
	if b.Speed.Paid, err = large.paid(ctx); err != nil {
		return err
	}
	b.target(atLeast("payouts_paid_percent", 100*float64(b.Speed.Paid)/float64(b.Speed.Ordered), "%", 100))
	b.target(atMost("block_to_broadcast_1000_payouts_200_deposits", b.Speed.median().Total, "seconds", 2))
	return nil
}

// largeBank is a bank of many accounts, of which a thousand have money and withdraw.
type largeBank struct {
	*settleBench
	accounts int
	say      func(format string, args ...any)
	tips     []tip // of those who withdraw
}

// first is the number of the first account that this bench opens: one is there
// already.
func (l *largeBank) first() ledger.AccountID { return l.member + 1 }

// grow opens the accounts, gives some of them money, and waits until every guardian
// has replayed all of it.
func (l *largeBank) grow(ctx context.Context) error {
	l.say("opening %d accounts", l.accounts)
	if err := openAccounts(ctx, l.bank.engine, l.first(), l.accounts); err != nil {
		return err
	}
	if err := l.fund(ctx); err != nil {
		return err
	}
	l.say("waiting for %d guardians to replay it", settleGuardians)
	return l.awaitGuardians(ctx)
}

// fund deposits to those who will withdraw, and settles that.
func (l *largeBank) fund(ctx context.Context) error {
	outs := []*wire.TxOut{}
	for i := range speedPayouts {
		l.tips = append(l.tips, tip{account: i, last: ledger.Hash{}})
		out, err := l.vault.Output(taproot.Deposit, (l.first() + ledger.AccountID(i)).Index())
		if err != nil {
			return err
		}
		outs = append(outs, wire.NewTxOut(1_000_000, out.Script))
	}
	out, err := l.vault.Output(taproot.Deposit, ledger.Treasury.Index())
	if err != nil {
		return err
	}
	outs = append(outs, wire.NewTxOut(1_000_000_000, out.Script))
	if _, err := l.node.FundMany(ctx, outs); err != nil {
		return err
	}
	if _, err := l.node.Mine(ctx, 1); err != nil {
		return err
	}
	for { // a settlement sweeps some hundred coins at a time
		steps, err := l.await(ctx, 10*time.Minute)
		if err != nil {
			return err
		}
		l.say("swept %d deposits", steps.Inputs)
		if err := l.settle(ctx); err != nil {
			return err
		}
		coins := 0
		if err := l.bank.engine.View(ctx, func(s *ledger.State) {
			coins = len(s.Coins())
			for i := range l.tips {
				a, _ := s.Account(l.first() + ledger.AccountID(i))
				l.tips[i].last = a.Last
			}
		}); err != nil {
			return err
		}
		if coins == 1 {
			return nil
		}
	}
}

// awaitGuardians waits until all of them attest the newest batch.
func (l *largeBank) awaitGuardians(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	var hosts [][33]byte
	bank, err := l.client.Bank(ctx)
	if err != nil {
		return err
	}
	for _, host := range bank.Guardians {
		hosts = append(hosts, host)
	}
	for {
		newest, err := l.bank.store.LastBatch(ctx)
		if err != nil {
			return err
		}
		attested, err := l.bank.store.Attested(ctx, len(hosts), hosts)
		if err != nil || attested == newest {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("all guardians are at batch %d of %d: %w", attested, newest, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// payoutScript is where the i-th member withdraws to.
func payoutScript(i int) []byte {
	x := ledger.KeyOf(benchKey(firstKey + i))
	return append([]byte{0x51, 32}, x[:]...)
}

// paid counts the payouts that the posted settlements hold, of each member at most as
// many as were ordered.
func (l *largeBank) paid(ctx context.Context) (n int, err error) {
	own := make(map[string]int, speedPayouts)
	for i := range speedPayouts {
		own[string(payoutScript(i))] = speedRounds
	}
	list, err := l.client.Settlements(ctx, 1, 1000)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		txid, err := chainhash.NewHashFromStr(s.TxID)
		if err != nil {
			return 0, err
		}
		tx, _, _, err := l.node.Tx(ctx, *txid)
		if err != nil {
			return 0, err
		}
		for _, out := range tx.TxOut {
			if out.Value == speedAmount && own[string(out.PkScript)] > 0 {
				own[string(out.PkScript)]--
				n++
			}
		}
	}
	return n, nil
}

// round lets a thousand members withdraw, each to a place of its own, pays two
// hundred deposits in, mines them, and waits for the settlement.
func (l *largeBank) round(ctx context.Context) (settleSteps, error) {
	bank := l.bank.dir.Charter.ID()
	orders := make([]*ledger.Order, len(l.tips))
	for i := range l.tips {
		t := &l.tips[i]
		o := &ledger.Order{Bank: bank, Payer: l.first() + ledger.AccountID(i), Sequence: t.sequence + 1, Previous: t.last,
			Body: &ledger.Withdraw{Amount: speedAmount, FeeMax: 5_000, Script: payoutScript(i)}}
		t.sequence, t.last = o.Sequence, o.Digest()
		if err := signQuickly(o, benchKey(firstKey+i)); err != nil {
			return settleSteps{}, err
		}
		orders[i] = o
	}
	for _, o := range l.bank.engine.SubmitMany(ctx, orders) {
		if o.Err != nil {
			return settleSteps{}, o.Err
		}
	}
	outs := make([]*wire.TxOut, speedDeposits)
	for i := range outs {
		out, err := l.vault.Output(taproot.Deposit, (l.first() + ledger.AccountID(i)).Index())
		if err != nil {
			return settleSteps{}, err
		}
		outs[i] = wire.NewTxOut(100_000, out.Script)
	}
	if _, err := l.node.FundMany(ctx, outs); err != nil {
		return settleSteps{}, err
	}
	if err := l.awaitGuardians(ctx); err != nil { // a minute passes between two blocks
		return settleSteps{}, err
	}
	select {
	case <-l.timed: // of a small settlement that settle saw through
	default:
	}
	before := familyTicks()
	if _, err := l.node.Mine(ctx, 1); err != nil {
		return settleSteps{}, err
	}
	steps, err := l.await(ctx, 10*time.Minute)
	steps.Processor = float64(familyTicks()-before) / 100
	if err == nil && (steps.Inputs < speedDeposits+1 || steps.Outputs != speedPayouts+2) {
		err = fmt.Errorf("the settlement has %d inputs and %d outputs", steps.Inputs, steps.Outputs)
	}
	if err != nil {
		return steps, err
	}
	return steps, l.settle(ctx)
}
