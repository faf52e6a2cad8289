package proof_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// A story is a small bank with two settlements in its chain, and all that is proved
// about it.
type story struct {
	*audittest.Bank
	alice, bob *audittest.Member
	tree       ledger.JournalTree
	trust      proof.Trust
	books      [2]ledger.Books
	txs        [2]*wire.MsgTx
	spent      [2][]*wire.TxOut
	blocks     [2]*wire.MsgBlock
	coins      [2][]ledger.Coin // at the cuts
	sums       [2]*ledger.SumProof
}

func newStory(t testing.TB) *story {
	t.Helper()
	s := &story{Bank: audittest.New(t)}
	s.alice, s.bob = s.Open("alice"), s.Open("bob")
	s.Deposit(ledger.Treasury, 200_000)
	s.Deposit(s.alice.ID, 1_000_000)
	s.Pay(s.alice, s.bob, 300_000)
	s.Withdraw(s.bob, 50_000, 5_000, audittest.Script("bob outside"))
	s.settle(0)
	s.Pay(s.bob, s.alice, 1_000)
	s.Withdraw(s.alice, 60_000, 5_000, audittest.Script("alice outside"))
	s.Deposit(s.bob.ID, 77_000)
	s.settle(1)
	for _, b := range *s.Journal {
		s.tree.Add(b.Header.Hash())
	}
	s.trust = proof.Trust{Bank: s.Charter.ID(), Vaults: []*taproot.Vault{s.Vault}, Chain: s.headers(nil)}
	return s
}

// settle makes settlement n+1, which spends one coin and leaves the others.
func (s *story) settle(n int) {
	s.Helper()
	s.coins[n] = s.Books.Coins()
	cut, err := netting.Plan(s.Books, s.Vaults, 2_000, netting.Limits{InputsMax: 1, PayoutsMax: 10, WeightMax: netting.WeightMax})
	if err != nil {
		s.Fatal(err)
	}
	s.Apply(ledger.Entry{Event: cut})
	s.Seal()
	built := s.Build()
	s.books[n], s.txs[n], s.spent[n] = s.Books.Open().Books, s.Sign(built), built.Spent
	if s.sums[n], err = s.Books.SumProof(s.books[n].Batch, s.bob.ID); err != nil {
		s.Fatal(err)
	}
	s.blocks[n] = s.Chain.Mine(s.Payment(wire.NewTxOut(1, audittest.Script("somebody"))), s.txs[n], s.Payment(wire.NewTxOut(2, audittest.Script("somebody"))))
	s.CatchUp()
	s.Bury()
}

// headers are the chain's headers from birth on, after edit.
func (s *story) headers(edit func(lines []string) []string) *proof.Chain {
	s.Helper()
	chain, err := proof.ReadHeaders(strings.NewReader(strings.Join(s.headerLines(edit), "\n")), &s.Charter)
	if err != nil {
		s.Fatal(err)
	}
	return chain
}

func (s *story) headerLines(edit func(lines []string) []string) (lines []string) {
	tip, _ := s.Chain.Height(s.Context())
	for h := int32(s.Charter.BirthHeight) + 1; h <= tip; h++ {
		hash, _ := s.Chain.BlockHash(s.Context(), h)
		block, _ := s.Chain.Block(s.Context(), hash)
		var raw bytes.Buffer
		_ = block.Header.Serialize(&raw)
		lines = append(lines, hex.EncodeToString(raw.Bytes()))
	}
	if edit != nil {
		lines = edit(lines)
	}
	return lines
}

func (s *story) anchor(n int) proof.Anchor {
	s.Helper()
	a, err := proof.NewAnchor(&s.books[n], s.txs[n], s.spent[n], s.blocks[n], s.trust.Vaults)
	if err != nil {
		s.Fatal(err)
	}
	return *a
}

// receipt is the receipt of the last order of a batch.
func (s *story) receipt(number uint64) proof.Receipt {
	s.Helper()
	return receiptOf((*s.Journal)[number-1])
}

func receiptOf(batch *ledger.Batch) proof.Receipt {
	leaves := make([]ledger.Hash, len(batch.Entries))
	for i, e := range batch.Entries {
		leaves[i] = ledger.EntryLeaf(e)
	}
	last := len(leaves) - 1
	return proof.Receipt{Order: batch.Entries[last], Receipt: ledger.Receipt{Header: batch.Header, Index: uint32(last), Path: ledger.NewMerkleTree(leaves).Path(last)}}
}

func (s *story) read(first, last uint64) (list []ledger.Hash, err error) {
	for _, b := range (*s.Journal)[first-1 : last] {
		list = append(list, b.Header.Hash())
	}
	return list, nil
}

// find is the number of the first batch whose last entry is of a kind.
func (s *story) find(kind ledger.Kind) uint64 {
	s.Helper()
	for _, b := range *s.Journal {
		if e, err := ledger.DecodeEntry(b.Entries[len(b.Entries)-1]); err == nil && e.Kind() == kind {
			return b.Header.Number
		}
	}
	s.Fatalf("no batch ends with a %s", kind)
	return 0
}

func (s *story) path(batch, size uint64) proof.Hashes {
	s.Helper()
	path, err := s.tree.Path(batch, size, s.read)
	if err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *story) payment() *proof.Payment {
	at := s.find(ledger.KindTransfer)
	return &proof.Payment{Receipt: s.receipt(at), Path: s.path(at, s.books[0].Batch), Anchor: s.anchor(0)}
}

func (s *story) balance() *proof.Balance {
	p := s.sums[1]
	return &proof.Balance{Account: p.Account, Owed: p.Owed, Path: p.Path, Anchor: s.anchor(1)}
}

func (s *story) consistency() *proof.Consistency {
	s.Helper()
	path, err := s.tree.Consistency(s.books[0].Batch, s.books[1].Batch, s.read)
	if err != nil {
		s.Fatal(err)
	}
	return &proof.Consistency{Path: path, From: s.anchor(0), To: s.anchor(1)}
}

// forked is another batch in the place of one of the journal, signed by the operator.
func (s *story) forked(number uint64) *ledger.Batch {
	s.Helper()
	j := ledgerPrefix(s.Journal.Clone(), number)
	s.Reseal(j, func(entries [][]byte) [][]byte {
		o := s.order(1, 9_999)
		return append(entries, o.Bytes())
	})
	return (*j)[number-1]
}

func ledgerPrefix(j *audittest.Journal, number uint64) *audittest.Journal {
	short := (*j)[:number]
	return &short
}

// order is a transfer of alice's, signed.
func (s *story) order(sequence uint64, amount ledger.Amount) *ledger.Order {
	s.Helper()
	o := &ledger.Order{Bank: s.Charter.ID(), Payer: s.alice.ID, Sequence: sequence, Body: &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: amount}}}}
	if err := o.Sign(s.alice.Key); err != nil {
		s.Fatal(err)
	}
	return o
}

func (s *story) omission() *proof.Omission {
	at := s.find(ledger.KindTransfer)
	return &proof.Omission{Receipt: receiptOf(s.forked(at)), Stands: (*s.Journal)[at-1].Header.Hash(), Path: s.path(at, s.books[0].Batch), Anchor: s.anchor(0)}
}

func (s *story) equivocation() *proof.Equivocation {
	at := s.find(ledger.KindTransfer)
	return proof.NewEquivocation(&(*s.Journal)[at-1].Header, &s.forked(at).Header)
}

func (s *story) doubleOrder() *proof.DoubleOrder {
	return &proof.DoubleOrder{Key: ledger.KeyOf(s.alice.Key), A: s.order(7, 1).Bytes(), B: s.order(7, 2).Bytes()}
}

// coinsProof shows the coins of the second cut.
func (s *story) coinsProof() *proof.Coins {
	s.Helper()
	p := &proof.Coins{Anchor: s.anchor(1)}
	for _, coin := range s.coins[1] {
		tx, block := s.findTx(coin.TxID)
		c := proof.NewCoin(&coin, tx)
		if !spends(s.txs[1], coin.OutPoint) {
			place, err := proof.NewPlace(block, tx.TxHash())
			if err != nil {
				s.Fatal(err)
			}
			c.Block = place
		}
		p.Coins = append(p.Coins, c)
	}
	return p
}

func spends(tx *wire.MsgTx, at ledger.OutPoint) bool {
	for _, in := range tx.TxIn {
		if ledger.Hash(in.PreviousOutPoint.Hash) == at.TxID && in.PreviousOutPoint.Index == at.Vout {
			return true
		}
	}
	return false
}

func (s *story) findTx(id ledger.Hash) (*wire.MsgTx, *wire.MsgBlock) {
	s.Helper()
	tip, _ := s.Chain.Height(s.Context())
	for h := range tip + 1 {
		hash, _ := s.Chain.BlockHash(s.Context(), h)
		block, _ := s.Chain.Block(s.Context(), hash)
		for _, tx := range block.Transactions {
			if ledger.Hash(tx.TxHash()) == id {
				return tx, block
			}
		}
	}
	s.Fatalf("no transaction %s", id)
	return nil, nil
}
