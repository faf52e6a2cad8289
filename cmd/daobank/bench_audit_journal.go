package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// journalBank writes a journal as a bank does, without its database: the books decide,
// the operator signs, and every batch goes into an export.
type journalBank struct {
	charter ledger.Charter
	vault   *taproot.Vault
	books   *ledger.State
	out     *export.Writer
	pending [][]byte

	funded     uint64 // last batch before the transfers
	orders     uint64
	sizeBefore int64 // of the export, before the transfers
}

const (
	journalBatch  = 4096  // entries of a batch, as clearing makes them under load
	journalWealth = 5_000 // sat of each member
)

// makeJournal opens accounts, deposits coins on the node, gives everyone money, and
// then lets members pay each other.
func (b *auditBench) makeJournal(ctx context.Context, node *bitcoind.Node, dir string) (bank *journalBank, err error) {
	if bank, err = newJournalBank(ctx, node, dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bank.out.Close()) }()
	tips := make([]tip, b.Accounts)
	if err := bank.openAll(tips); err != nil {
		return nil, err
	}
	if err := bank.fundAll(ctx, node, tips); err != nil {
		return nil, err
	}
	bank.funded = bank.books.Last().Number
	if err := bank.out.Close(); err != nil { // so that all is counted
		return nil, err
	}
	if bank.sizeBefore, err = setSize(dir); err != nil {
		return nil, err
	}
	if bank.out, err = export.Continue(dir, bank.charter); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	for made := 0; made < b.Transfers; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// One order of each payer, so that they can be signed on all cores.
		payers := random.Perm(b.Accounts)[:min(b.Accounts, b.Transfers-made)]
		orders := make([]*ledger.Order, len(payers))
		for i, payer := range payers {
			payee := random.IntN(b.Accounts - 1)
			if payee >= payer {
				payee++ // nobody pays himself
			}
			orders[i] = &ledger.Order{Bank: bank.charter.ID(), Body: &ledger.Transfer{Payments: []ledger.Payment{{Payee: benchMember(payee), Amount: ledger.Amount(1 + random.IntN(100))}}}}
		}
		if err := onAllCores(len(orders), func(i int) error { return tips[payers[i]].sign(orders[i]) }); err != nil {
			return nil, err
		}
		if err := bank.take(orders); err != nil {
			return nil, err
		}
		made += len(orders)
	}
	return bank, nil
}

func newJournalBank(ctx context.Context, node *bitcoind.Node, dir string) (*journalBank, error) {
	vault, err := benchVault()
	if err != nil {
		return nil, err
	}
	birth, err := node.Height(ctx)
	if err != nil {
		return nil, err
	}
	hash, err := node.BlockHash(ctx, birth)
	if err != nil {
		return nil, err
	}
	bank := &journalBank{vault: vault, charter: ledger.Charter{Name: "bench", Chain: ledger.Hash(*vault.Params().GenesisHash), Operator: ledger.KeyOf(benchKey(operatorKey)),
		BirthHeight: uint32(birth), BirthHash: ledger.Hash(hash), Depth: 1, WithdrawalMin: 1000}}
	if bank.books, err = ledger.NewState(bank.charter); err != nil {
		return nil, err
	}
	bank.out, err = export.Continue(dir, bank.charter)
	return bank, err
}

// take carries out orders, a batch at a time, and closes the last batch.
func (j *journalBank) take(orders []*ledger.Order) error {
	for _, o := range orders {
		if err := j.apply(ledger.Entry{Order: o}); err != nil {
			return err
		}
		if j.orders++; len(j.pending) == journalBatch {
			if err := j.seal(); err != nil {
				return err
			}
		}
	}
	return j.seal()
}

func (j *journalBank) apply(e ledger.Entry) error {
	if _, err := j.books.Apply(e); err != nil {
		return fmt.Errorf("entry %d of batch %d: %w", len(j.pending), j.books.Last().Number+1, err)
	}
	j.pending = append(j.pending, e.Bytes())
	return nil
}

func (j *journalBank) seal() error {
	if len(j.pending) == 0 {
		return nil
	}
	leaves := make([]ledger.Hash, len(j.pending))
	for i, e := range j.pending {
		leaves[i] = ledger.EntryLeaf(e)
	}
	header, err := j.books.Next(ledger.MerkleRoot(leaves), uint32(len(leaves)), 1, j.books.Last().Time+100).Sign(benchKey(operatorKey))
	if err != nil {
		return err
	}
	if err := j.books.Seal(&header.Header); err != nil {
		return err
	}
	err = j.out.Append(&ledger.Batch{Header: header, Entries: j.pending})
	j.pending = nil
	return err
}

func (j *journalBank) openAll(tips []tip) error {
	orders := make([]*ledger.Order, len(tips))
	err := onAllCores(len(orders), func(i int) error {
		key := benchKey(firstKey + i)
		orders[i] = &ledger.Order{Bank: j.charter.ID(), Body: &ledger.Open{Key: ledger.KeyOf(key)}}
		tips[i] = tip{account: i, last: orders[i].Digest()}
		return signQuickly(orders[i], key)
	})
	if err != nil {
		return err
	}
	return j.take(orders)
}

// fundAll deposits coins for the first member, who pays everyone else.
func (j *journalBank) fundAll(ctx context.Context, node *bitcoind.Node, tips []tip) error {
	index := benchMember(0).Index()
	scripts, err := j.vault.Scripts(taproot.Deposit, index, index+1)
	if err != nil {
		return err
	}
	if _, err := node.Fund(ctx, scripts[0], btcutil.Amount(journalWealth*len(tips))); err != nil {
		return err
	}
	if _, err := node.Mine(ctx, 1); err != nil {
		return err
	}
	tip, err := node.Height(ctx)
	if err != nil {
		return err
	}
	watch := netting.NewWatch(netting.NewVaults(j.charter.ID(), j.vault))
	if err := watch.Extend(j.books.Accounts(), 0); err != nil {
		return err
	}
	for height := j.charter.BirthHeight + 1; height <= uint32(tip); height++ {
		blocks, err := netting.ReadBlocks(ctx, node, &j.charter, height)
		if err != nil {
			return err
		}
		for _, e := range watch.Facts(&j.charter, height, blocks, nil) {
			if err := j.apply(ledger.Entry{Event: e}); err != nil {
				return err
			}
		}
		if err := j.seal(); err != nil {
			return err
		}
	}
	var orders []*ledger.Order
	for next := 1; next < len(tips); next += ledger.MaxPayees {
		transfer := &ledger.Transfer{}
		for i := next; i < min(next+ledger.MaxPayees, len(tips)); i++ {
			transfer.Payments = append(transfer.Payments, ledger.Payment{Payee: benchMember(i), Amount: journalWealth})
		}
		o := &ledger.Order{Bank: j.charter.ID(), Body: transfer}
		if err := tips[0].sign(o); err != nil {
			return err
		}
		orders = append(orders, o)
	}
	return j.take(orders)
}
