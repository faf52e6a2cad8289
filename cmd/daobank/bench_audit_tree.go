package main

import (
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/ledger"
)

// treeFigures are the sum tree of one bank.
type treeFigures struct {
	Accounts int     `json:"accounts"`
	Changed  int     `json:"changed"`
	FirstMS  float64 `json:"first_ms"`  // the first cut: all of it
	UpdateMS float64 `json:"update_ms"` // a later one: the median of some

	Proof proofFigures `json:"proof"` // of a balance at the last one
}

// treeRounds is how many cuts after the first are timed.
const treeRounds = 5

// treeBank is a bank in memory for the books' commitment, without signatures: the
// books do not look at them.
type treeBank struct {
	*ledger.State
	first tip // the member who pays
	coin  ledger.OutPoint
}

// measureTree opens accounts and times the batches that end with a cut, between which
// some accounts change.
func measureTree(accounts, changed int) (f treeFigures, err error) {
	f = treeFigures{Accounts: accounts, Changed: changed}
	b, err := newTreeBank(accounts)
	if err != nil {
		return f, err
	}
	first, err := b.cut()
	if err != nil {
		return f, err
	}
	f.FirstMS = milliseconds(first)
	var updates []time.Duration
	for range treeRounds {
		if err := b.settleAndPay(accounts, changed); err != nil {
			return f, err
		}
		took, err := b.cut()
		if err != nil {
			return f, err
		}
		updates = append(updates, took)
	}
	f.UpdateMS = milliseconds(median(updates))
	f.Proof, err = b.measureProof(accounts)
	return f, err
}

func newTreeBank(accounts int) (*treeBank, error) {
	charter := ledger.Charter{Name: "tree", Chain: ledger.Hash(*chaincfg.RegressionNetParams.GenesisHash), Operator: ledger.KeyOf(benchKey(operatorKey)), BirthHeight: 100, BirthHash: ledger.Hash{100}, Depth: 1, WithdrawalMin: 1000}
	books, err := ledger.NewState(charter)
	if err != nil {
		return nil, err
	}
	b := &treeBank{State: books}
	orders := make([]ledger.Entry, accounts)
	err = onAllCores(accounts, func(i int) error {
		orders[i] = ledger.Entry{Order: &ledger.Order{Bank: books.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(benchKey(firstKey + i))}}}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := b.batch(orders...); err != nil {
		return nil, err
	}
	a, _ := b.Account(benchMember(0))
	b.first = tip{last: a.Last}
	b.coin = ledger.OutPoint{TxID: ledger.Hash{9}}
	return b, b.batch(ledger.Entry{Event: &ledger.Block{Height: 101, Hash: ledger.Hash{101}, Previous: ledger.Hash{100}}},
		ledger.Entry{Event: &ledger.Deposit{OutPoint: b.coin, Amount: ledger.MaxAmount / 2, Index: benchMember(0).Index(), Height: 101, TxIndex: 1}})
}

// batch applies entries and seals them.
func (b *treeBank) batch(entries ...ledger.Entry) error {
	for _, e := range entries {
		if _, err := b.Apply(e); err != nil {
			return err
		}
	}
	header := b.Next(ledger.Hash{1}, 1, 1, 0) // the books do not look at the root
	return b.Seal(&header)
}

// cut closes the books and returns how long their commitment took.
func (b *treeBank) cut() (time.Duration, error) {
	number := b.Settlements() + 1
	if _, err := b.ApplyEvent(&ledger.Cut{Settlement: number, Version: 1, Inputs: []ledger.OutPoint{b.coin}}); err != nil {
		return 0, err
	}
	header := b.Next(ledger.Hash{1}, 1, 1, 0)
	began := time.Now()
	err := b.Seal(&header)
	took := time.Since(began)
	if got := b.Open().Books.Root.Sum; err == nil && got != b.Liabilities() {
		err = fmt.Errorf("the tree's sum is %d sat, the bank owes %d sat", got, b.Liabilities())
	}
	return took, err
}

// settleAndPay posts the settlement in flight and pays members spread over all.
func (b *treeBank) settleAndPay(accounts, changed int) error {
	number := b.Settlements()
	height, block := b.Block()
	txid := ledger.Hash{10, byte(number)}
	err := b.batch(ledger.Entry{Event: &ledger.Block{Height: height + 1, Hash: ledger.Hash{byte(height + 1)}, Previous: block}},
		ledger.Entry{Event: &ledger.Settled{Settlement: number, Version: 1, TxID: txid}})
	if err != nil {
		return err
	}
	b.coin = ledger.OutPoint{TxID: txid}
	paid := 1 // the payer changes too
	for paid < changed {
		transfer := &ledger.Transfer{}
		for ; paid < changed && len(transfer.Payments) < ledger.MaxPayees; paid++ {
			payee := 1 + (paid*(accounts/changed)+int(number))%(accounts-1)
			transfer.Payments = append(transfer.Payments, ledger.Payment{Payee: benchMember(payee), Amount: 1})
		}
		o := &ledger.Order{Bank: b.Bank(), Payer: benchMember(0), Sequence: b.first.sequence + 1, Previous: b.first.last, Body: transfer}
		if err := b.batch(ledger.Entry{Order: o}); err != nil {
			return err
		}
		b.first.sequence, b.first.last = o.Sequence, o.Digest()
	}
	return nil
}
