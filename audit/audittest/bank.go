package audittest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// The bank's numbers. Depth is above 1, so that the books stand below the tip.
const (
	BirthHeight = 3
	Depth       = 2
	Threshold   = 3
	Guardians   = 5
)

// Journal is a journal in memory.
type Journal []*ledger.Batch

// Batches yields the batches from a number on.
func (j *Journal) Batches(_ context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		for _, b := range *j {
			if b.Header.Number >= from && !yield(b, nil) {
				return
			}
		}
	}
}

// Clone copies the journal and everything in it.
func (j *Journal) Clone() *Journal {
	var copied Journal
	for _, b := range *j {
		c := &ledger.Batch{Header: b.Header}
		for _, e := range b.Entries {
			c.Entries = append(c.Entries, append([]byte(nil), e...))
		}
		copied = append(copied, c)
	}
	return &copied
}

// Bank is one bank with its chain.
type Bank struct {
	testing.TB
	Charter ledger.Charter
	Vault   *taproot.Vault  // of the founding
	Vaults  *netting.Vaults // of all generations of the key
	Group   *frost.Group    // of the founding
	Shares  []*frost.Share  // of the founding
	Chain   *Chain          // nil for a bank on a node
	Books   *ledger.State
	Journal *Journal

	// Report, when it is set, replaces what the bank takes into its books from
	// a block.
	Report func(honest []ledger.Event) []ledger.Event

	node     Node
	operator *btcec.PrivateKey
	watch    *netting.Watch
	flight   netting.Flight
	groups   []groupKey // by generation
	pending  [][]byte
	payments uint32
}

// groupKey are the guardians of one generation of the vault's key.
type groupKey struct {
	group  *frost.Group
	shares []*frost.Share
}

// Member is somebody with a key and an account.
type Member struct {
	Key *btcec.PrivateKey
	ID  ledger.AccountID
}

// Key makes a key from a name, the same at every run.
func Key(name string) *btcec.PrivateKey {
	seed := sha256.Sum256([]byte("audittest " + name))
	key, _ := btcec.PrivKeyFromBytes(seed[:])
	return key
}

// New founds a bank on a chain of its own.
func New(t testing.TB) *Bank {
	t.Helper()
	return NewOn(t, NewChain(BirthHeight), BirthHeight)
}

// NewOn founds a bank that is born at a height of a chain.
func NewOn(t testing.TB, chain *Chain, birth uint32) *Bank {
	t.Helper()
	b := NewOnNode(t, chain, birth)
	b.Chain = chain
	return b
}

// Node is where a bank reads its chain: Chain, or a real regtest node.
type Node interface {
	netting.Blocks
	Height(ctx context.Context) (int32, error)
}

// NewOnNode founds a bank on a regtest node, whose blocks the test mines: then
// Mine, Bury, Deposit and Settle are not for it, CatchUp is.
func NewOnNode(t testing.TB, node Node, birth uint32) *Bank {
	t.Helper()
	group, shares, err := frost.TrustedDealer(Threshold, Guardians, rand.NewChaCha8([32]byte{1}))
	must(t, err)
	policy := taproot.Policy{Threshold: Threshold, Guardians: Guardians, GroupKey: group.Key(), Network: "regtest",
		Recovery: taproot.Recovery{Threshold: 1, Delay: 1000,
			Keys: []taproot.XOnlyKey{taproot.XOnlyKey(schnorr.SerializePubKey(Key("recovery").PubKey()))}}}
	b := &Bank{TB: t, Group: group, Shares: shares, node: node, Journal: &Journal{}, operator: Key("operator")}
	b.Vault, err = taproot.NewVault(policy)
	must(t, err)
	hash, err := node.BlockHash(t.Context(), int32(birth))
	must(t, err)
	b.Charter = ledger.Charter{Name: "Bank of the Audits", Chain: ledger.Hash(*b.Vault.Params().GenesisHash),
		Operator: ledger.KeyOf(b.operator), BirthHeight: birth, BirthHash: ledger.Hash(hash),
		Depth: Depth, WithdrawalMin: 1000}
	b.Books, err = ledger.NewState(b.Charter)
	must(t, err)
	b.Vaults = netting.NewVaults(b.Charter.ID(), b.Vault)
	b.groups = []groupKey{{group, shares}}
	b.watch = netting.NewWatch(b.Vaults)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Apply takes an entry into the books and the batch that is being made.
func (b *Bank) Apply(e ledger.Entry) ledger.Effects {
	b.Helper()
	effects, err := b.Books.Apply(e)
	must(b, err)
	b.pending = append(b.pending, e.Bytes())
	return effects
}

// Seal ends the batch, if there is one.
func (b *Bank) Seal() {
	b.Helper()
	if len(b.pending) == 0 {
		return
	}
	last := b.Books.Last()
	batch := Sign(b, b.operator, b.Books.Next(RootOf(b.pending), uint32(len(b.pending)), 1, last.Time+1), b.pending)
	must(b, b.Books.Seal(&batch.Header.Header))
	*b.Journal = append(*b.Journal, batch)
	b.pending = nil
}

// Sign makes a batch of a header and its entries.
func Sign(t testing.TB, key *btcec.PrivateKey, header ledger.Header, entries [][]byte) *ledger.Batch {
	t.Helper()
	signed, err := header.Sign(key)
	must(t, err)
	return &ledger.Batch{Header: signed, Entries: entries}
}

// RootOf is the Merkle root of a batch's entries.
func RootOf(entries [][]byte) ledger.Hash {
	leaves := make([]ledger.Hash, len(entries))
	for i, e := range entries {
		leaves[i] = ledger.EntryLeaf(e)
	}
	return ledger.MerkleRoot(leaves)
}

// Reseal signs the last batch anew after edit has changed its entries, as only
// the operator can.
func (b *Bank) Reseal(j *Journal, edit func(entries [][]byte) [][]byte) {
	b.Helper()
	last := (*j)[len(*j)-1]
	entries := edit(last.Entries)
	header := last.Header.Header
	header.Root, header.Count = RootOf(entries), uint32(len(entries))
	(*j)[len(*j)-1] = Sign(b, b.operator, header, entries)
}

// Resign signs the last header anew after edit has changed it.
func (b *Bank) Resign(j *Journal, edit func(h *ledger.Header)) {
	b.Helper()
	last := (*j)[len(*j)-1]
	header := last.Header.Header
	edit(&header)
	(*j)[len(*j)-1] = Sign(b, b.operator, header, last.Entries)
}

// Rewrite signs the whole journal anew after edit has changed the entries of the batch
// at index i: its header and the links after it are right again.
func (b *Bank) Rewrite(j *Journal, i int, edit func(entries [][]byte) [][]byte) {
	b.Helper()
	(*j)[i].Entries = edit((*j)[i].Entries)
	for at := i; at < len(*j); at++ {
		header, entries := (*j)[at].Header.Header, (*j)[at].Entries
		header.Root, header.Count = RootOf(entries), uint32(len(entries))
		if at > 0 {
			before := (*j)[at-1].Header.Header
			header.Previous = before.Hash()
		}
		(*j)[at] = Sign(b, b.operator, header, entries)
	}
}

// Open opens an account for a key made from the name, in a batch of its own.
func (b *Bank) Open(name string) *Member {
	b.Helper()
	m := &Member{Key: Key(name)}
	o := &ledger.Order{Bank: b.Books.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(m.Key)}}
	must(b, o.Sign(m.Key))
	m.ID = b.Apply(ledger.Entry{Order: o}).Opened
	b.Seal()
	return m
}

// Next is the order that continues a member's chain, not signed.
func (b *Bank) Next(m *Member, body ledger.Body) *ledger.Order {
	a, _ := b.Books.Account(m.ID)
	return &ledger.Order{Bank: b.Books.Bank(), Payer: m.ID, Sequence: a.Sequence + 1, Previous: a.Last, Body: body}
}

// Order carries out a member's order, in the batch that is being made.
func (b *Bank) Order(m *Member, body ledger.Body) {
	b.Helper()
	o := b.Next(m, body)
	must(b, o.Sign(m.Key))
	b.Apply(ledger.Entry{Order: o})
}

// Pay orders a transfer in a batch of its own.
func (b *Bank) Pay(from, to *Member, amount ledger.Amount) {
	b.Helper()
	b.Order(from, &ledger.Transfer{Payments: []ledger.Payment{{Payee: to.ID, Amount: amount}}})
	b.Seal()
}

// Withdraw orders a withdrawal in a batch of its own.
func (b *Bank) Withdraw(m *Member, amount, feeMax ledger.Amount, script []byte) {
	b.Helper()
	b.Order(m, &ledger.Withdraw{Amount: amount, FeeMax: feeMax, Script: script})
	b.Seal()
}

// Script is a P2TR script that the vault does not own, made from a name.
func Script(name string) []byte {
	return append([]byte{0x51, 32}, schnorr.SerializePubKey(Key(name).PubKey())...)
}

// To is an output to an address of the founding's vault.
func (b *Bank) To(branch taproot.Branch, index uint32, amount ledger.Amount) *wire.TxOut {
	b.Helper()
	return b.ToGeneration(0, branch, index, amount)
}

// ToGeneration is an output to an address of the vault of a generation.
func (b *Bank) ToGeneration(generation uint32, branch taproot.Branch, index uint32, amount ledger.Amount) *wire.TxOut {
	b.Helper()
	out, err := b.Vaults.Output(generation, ledger.Branch(branch), index)
	must(b, err)
	return wire.NewTxOut(int64(amount), out.Script)
}

// Payment is a transaction from outside the bank; each one is another.
func (b *Bank) Payment(outs ...*wire.TxOut) *wire.MsgTx {
	b.payments++
	tx := wire.NewMsgTx(2)
	source := sha256.Sum256(fmt.Appendf(nil, "source %d", b.payments))
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: source}, nil, nil))
	tx.TxOut = outs
	return tx
}
