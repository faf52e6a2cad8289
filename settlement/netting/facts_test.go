package netting_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// view is what a checker derives from the block at a height, with no settlement
// in flight.
func view(b *audittest.Bank, height uint32, inFlight ...*netting.Transaction) (events []ledger.Event, blocks map[uint32]*wire.MsgBlock) {
	b.Helper()
	w := netting.NewWatch(b.Vaults)
	if err := w.Extend(b.Books.Accounts(), b.Books.Settlements()); err != nil {
		b.Fatal(err)
	}
	blocks, err := netting.ReadBlocks(b.Context(), b.Chain, &b.Charter, height)
	if err != nil {
		b.Fatal(err)
	}
	return w.Facts(&b.Charter, height, blocks, inFlight), blocks
}

// deposits writes the deposits of a list as account index or branch/index, amount and place.
func deposits(events []ledger.Event) (list []ledger.Deposit) {
	for _, e := range events {
		if d, ok := e.(*ledger.Deposit); ok {
			list = append(list, *d)
		}
	}
	return list
}

func TestFactsOfABlock(t *testing.T) {
	b := audittest.New(t)
	ann, bob := b.Open("ann"), b.Open("bob")
	last := b.Books.Accounts() + netting.Gap - 1
	one := b.Payment(b.To(taproot.Deposit, ann.ID.Index(), 5), wire.NewTxOut(9, audittest.Script("stranger")),
		b.To(taproot.Deposit, bob.ID.Index(), 6), b.To(taproot.Deposit, ann.ID.Index(), 7))
	two := b.Payment(b.To(taproot.Deposit, ann.ID.Index(), 0), b.To(taproot.Deposit, last, 8),
		b.To(taproot.Deposit, last+1, 9), b.To(taproot.Change, netting.Gap-1, 10), b.To(taproot.Change, netting.Gap, 11))
	block := b.Chain.Mine(b.Payment(wire.NewTxOut(1, audittest.Script("stranger"))), one, two)
	const height = audittest.BirthHeight + 1

	events, _ := view(b, height)
	if want := (&ledger.Block{Height: height, Hash: ledger.Hash(block.BlockHash()), Previous: b.Charter.BirthHash}); *events[0].(*ledger.Block) != *want {
		t.Errorf("block %+v, want %+v", events[0], want)
	}
	at := func(tx *wire.MsgTx, vout uint32) ledger.OutPoint {
		return ledger.OutPoint{TxID: ledger.Hash(tx.TxHash()), Vout: vout}
	}
	want := []ledger.Deposit{
		{OutPoint: at(one, 0), Amount: 5, Index: ann.ID.Index(), Height: height, TxIndex: 2},
		{OutPoint: at(one, 2), Amount: 6, Index: bob.ID.Index(), Height: height, TxIndex: 2},
		{OutPoint: at(one, 3), Amount: 7, Index: ann.ID.Index(), Height: height, TxIndex: 2},
		{OutPoint: at(two, 1), Amount: 8, Index: last, Height: height, TxIndex: 3},
		{OutPoint: at(two, 3), Amount: 10, Branch: ledger.BranchChange, Index: netting.Gap - 1, Height: height, TxIndex: 3},
	}
	if got := deposits(events); !slices.Equal(got, want) {
		t.Errorf("deposits\n%+v, want\n%+v", got, want)
	}

	b.Mine() // the books take it
	for id, amount := range map[ledger.AccountID]ledger.Amount{ann.ID: 12, bob.ID: 6, ledger.Suspense: 18} {
		if got := b.Books.Balance(id); got != amount {
			t.Errorf("%s has %d sat, want %d", id, got, amount)
		}
	}
}

// A coinbase that pays the vault is a fact when consensus lets it be spent.
func TestFactsOfACoinbase(t *testing.T) {
	b := audittest.New(t)
	ann := b.Open("ann")
	block := b.Chain.MineCoinbase(b.To(taproot.Deposit, ann.ID.Index(), 5_000))
	const height = audittest.BirthHeight + 1
	const ripe = height + ledger.CoinbaseDepth - audittest.Depth
	for range ripe - height {
		b.Mine()
	}
	if got := b.Books.Balance(ann.ID); got != 0 {
		t.Fatalf("ann has %d sat of an unripe coinbase", got)
	}
	events, blocks := view(b, ripe)
	want := ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash(block.Transactions[0].TxHash())}, Amount: 5_000,
		Index: ann.ID.Index(), Height: height}
	if got := deposits(events); len(got) != 1 || got[0] != want || len(blocks) != 2 {
		t.Fatalf("deposits %+v from %d blocks, want %+v", got, len(blocks), want)
	}
	b.Bury()
	if got := b.Books.Balance(ann.ID); got != 5_000 {
		t.Errorf("ann has %d sat", got)
	}
}

func TestMaturedHeight(t *testing.T) {
	charter := &ledger.Charter{BirthHeight: 200, Depth: 3}
	for height, want := range map[uint32]uint32{201: 0, 297: 0, 298: 201, 299: 202, 1000: 903} {
		if got, ok := netting.MaturedHeight(charter, height); got != want || ok != (want != 0) {
			t.Errorf("at %d matures %d (%v), want %d", height, got, ok, want)
		}
	}
	if got, ok := netting.MaturedHeight(charter, 50); ok {
		t.Errorf("before the birth matures %d", got)
	}
}

// The settlement is told last, its change is no deposit, a payout to a member's
// own address is one.
func TestFactsOfASettlement(t *testing.T) {
	b, ann, _ := newBank(t, 10_000, 500_000)
	b.Withdraw(ann, 100_000, 1_000, b.To(taproot.Deposit, ann.ID.Index(), 0).PkScript)
	built := b.Cut(relayRate)
	block := b.Chain.Mine(b.Payment(b.To(taproot.Deposit, ann.ID.Index(), 3)), b.Sign(built))
	height, _ := b.Books.Block()
	height += 2 // one block is not deep enough yet
	if got, err := b.Chain.BlockHash(t.Context(), int32(height)); err != nil || got != block.BlockHash() {
		t.Fatalf("block %d is %s: %v", height, got, err)
	}
	events, _ := view(b, height, built)
	settled, ok := events[len(events)-1].(*ledger.Settled)
	if !ok || *settled != (ledger.Settled{Settlement: 1, Version: 1, TxID: ledger.Hash(built.TxID), ChangeVout: built.ChangeVout}) {
		t.Errorf("the last fact is %+v", events[len(events)-1])
	}
	got := deposits(events)
	if len(events) != 4 || len(got) != 2 || got[0].Amount != 3 || got[1].Amount != 100_000 || got[1].OutPoint.TxID != settled.TxID {
		t.Errorf("facts %+v", events)
	}
	// Whoever does not expect the settlement sees its change as a deposit.
	events, _ = view(b, height)
	if got := deposits(events); len(got) != 3 {
		t.Errorf("without a settlement in flight: %+v", got)
	}
}

// liar answers with another block than was asked for.
type liar struct {
	*audittest.Chain
	block *wire.MsgBlock
}

func (l liar) Block(context.Context, chainhash.Hash) (*wire.MsgBlock, error) { return l.block, nil }

func TestReadBlocksBelievesNoNode(t *testing.T) {
	b := audittest.New(t)
	b.Chain.Mine()
	const height = audittest.BirthHeight + 1
	other := audittest.NewChain(9).Mine()
	for name, block := range map[string]*wire.MsgBlock{"another block": other, "an empty block": {}} {
		if blocks, err := netting.ReadBlocks(t.Context(), liar{b.Chain, block}, &b.Charter, height); err == nil {
			t.Errorf("%s is believed: %v", name, blocks)
		}
	}
	away := errors.New("the node is away")
	b.Chain.Away(away)
	if _, err := netting.ReadBlocks(t.Context(), b.Chain, &b.Charter, height); !errors.Is(err, away) {
		t.Errorf("got %v, want %v", err, away)
	}
}

// CheckFacts finds each lie about a block with two deposits and a settlement.
func TestCheckFacts(t *testing.T) {
	type facts = []ledger.Event
	// The honest facts: 0 block, 1 and 2 deposits, 3 settled.
	for _, tt := range []struct {
		name string
		lie  func(f facts) facts
		want string // "" when it is true
	}{
		{"the truth", func(f facts) facts { return f }, ""},
		{"deposit invented", func(f facts) facts {
			d := *f[1].(*ledger.Deposit)
			d.OutPoint.TxID[0] ^= 1
			return append(f, &d)
		}, "is not transaction 1 of block"},
		{"deposit of an output that is not there", func(f facts) facts {
			d := *f[1].(*ledger.Deposit)
			d.OutPoint.Vout = 9
			return append(f, &d)
		}, "is not transaction 1 of block"},
		{"deposit behind the block's last transaction", func(f facts) facts {
			d := *f[1].(*ledger.Deposit)
			d.TxIndex = 99
			return append(f, &d)
		}, "is not in block"},
		{"deposit on a branch that is none", func(f facts) facts {
			d := *f[1].(*ledger.Deposit)
			d.Branch = 2
			return append(f, &d)
		}, "branch 2"},
		{"wrong amount", func(f facts) facts { f[1].(*ledger.Deposit).Amount++; return f }, "is on chain as 3 sat"},
		{"wrong member", func(f facts) facts { f[1].(*ledger.Deposit).Index++; return f }, "is on chain as 3 sat to"},
		{"wrong branch", func(f facts) facts { f[1].(*ledger.Deposit).Branch = ledger.BranchChange; return f }, "is on chain as 3 sat to"},
		{"deposit omitted", func(f facts) facts { return slices.Delete(f, 1, 2) }, "the chain shows a deposit that the books leave out"},
		{"deposit twice", func(f facts) facts { return slices.Insert(f, 2, f[1]) }, "record a deposit twice"},
		{"deposit in another block", func(f facts) facts { f[1].(*ledger.Deposit).Height--; return f }, "is not in block"},
		{"settled omitted", func(f facts) facts { return f[:3] }, "the chain shows a settled that the books leave out"},
		{"settled with another txid", func(f facts) facts { f[3].(*ledger.Settled).TxID[0] ^= 1; return f }, "record a settled that the chain does not show"},
		{"settled with another change", func(f facts) facts { f[3].(*ledger.Settled).ChangeVout++; return f }, "record a settled that the chain does not show"},
		{"another settlement", func(f facts) facts { f[3].(*ledger.Settled).Settlement++; return f }, "record a settled that the chain does not show"},
		{"settled twice", func(f facts) facts { return append(f, f[3]) }, "record a settled twice"},
		{"another block", func(f facts) facts { f[0].(*ledger.Block).Hash[0] ^= 1; return f }, "record a block that the chain does not show"},
		{"another parent", func(f facts) facts { f[0].(*ledger.Block).Previous[0] ^= 1; return f }, "record a block that the chain does not show"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, ann, bob := newBank(t, 10_000, 500_000)
			built := b.Cut(relayRate)
			b.Chain.Mine(b.Payment(b.To(taproot.Deposit, ann.ID.Index(), 3)), b.Payment(b.To(taproot.Deposit, bob.ID.Index(), 4)), b.Sign(built))
			height, _ := b.Books.Block()
			want, blocks := view(b, height+2, built)
			recorded, _ := view(b, height+2, built)
			err := netting.CheckFacts(b.Vaults, tt.lie(recorded), want, blocks)
			var lie *netting.FactError
			switch {
			case tt.want == "":
				if err != nil {
					t.Fatal(err)
				}
			case !errors.As(err, &lie) || lie.Height != height+2 || !strings.Contains(err.Error(), tt.want):
				t.Fatalf("got %v, want %q at block %d", err, tt.want, height+2)
			}
		})
	}
}

// A proposer who watches further than the checker is believed where it is right.
func TestCheckFactsBeyondTheWatch(t *testing.T) {
	b := audittest.New(t)
	const far = 5_000
	tx := b.Payment(b.To(taproot.Deposit, far, 7))
	b.Chain.Mine(tx)
	want, blocks := view(b, audittest.BirthHeight+1)
	if len(deposits(want)) != 0 {
		t.Fatalf("the checker sees %+v", deposits(want))
	}
	d := &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash(tx.TxHash())}, Amount: 7, Index: far,
		Height: audittest.BirthHeight + 1, TxIndex: 1}
	if err := netting.CheckFacts(b.Vaults, append(slices.Clone(want), d), want, blocks); err != nil {
		t.Error(err)
	}
}
