package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// key is a private key that is the same in every run.
func key(n byte) *btcec.PrivateKey {
	priv, _ := btcec.PrivKeyFromBytes([]byte{31: n})
	return priv
}

func charter() ledger.Charter {
	return ledger.Charter{Name: "A bank under test", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(key(1)),
		BirthHeight: 100, BirthHash: ledger.Hash{100}, Depth: 1, WithdrawalMin: 1000}
}

// A bank is a database with a bank in it, and the same books in memory.
type bank struct {
	t     *testing.T
	url   string
	store *postgres.Store
	state *ledger.State
	epoch uint64
}

// openBank makes a bank and takes its lease: epoch 1.
func openBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{t: t, url: cluster.Test(t)}
	b.store = openStore(t, b.url)
	if err := b.store.Create(t.Context(), charter()); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.epoch, err = b.store.TakeLease(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	if b.state, err = ledger.NewState(charter()); err != nil {
		t.Fatal(err)
	}
	return b
}

func openStore(t *testing.T, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// connect is a connection for raw SQL: what the schema refuses on it, it
// refuses to everyone.
func (b *bank) connect() *pgx.Conn {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// prepare applies entries to the books in memory and makes their commit.
func (b *bank) prepare(entries ...ledger.Entry) postgres.Commit {
	b.t.Helper()
	c := postgres.Commit{Batch: &ledger.Batch{}}
	deltas := map[ledger.AccountID]ledger.Amount{}
	var leaves []ledger.Hash
	for i, e := range entries {
		effects, err := b.state.Apply(e)
		if err != nil {
			b.t.Fatalf("entry %d: %v", i, err)
		}
		var ref ledger.OrderRef
		if e.Order != nil {
			ref = ledger.OrderRef{Payer: e.Order.Payer, Sequence: e.Order.Sequence}
			if effects.Opened != 0 {
				ref.Payer = effects.Opened
				c.Opened = append(c.Opened, postgres.Opened{ID: effects.Opened, Key: e.Order.Body.(*ledger.Open).Key})
			}
		}
		for line, p := range effects.Postings {
			deltas[p.Debit] -= p.Amount
			deltas[p.Credit] += p.Amount
			if e.Event != nil {
				c.Postings = append(c.Postings, postgres.Posting{Index: i, Line: line, Posting: p})
			}
		}
		c.Refs = append(c.Refs, ref)
		c.Batch.Entries = append(c.Batch.Entries, e.Bytes())
		leaves = append(leaves, e.Leaf())
	}
	for id, amount := range deltas {
		if amount != 0 {
			c.Deltas = append(c.Deltas, postgres.Delta{Account: id, Amount: amount, Balance: b.state.Balance(id)})
		}
	}
	header := b.state.Next(ledger.MerkleRoot(leaves), uint32(len(entries)), b.epoch, 1)
	if err := b.state.Seal(&header); err != nil {
		b.t.Fatal(err)
	}
	c.Batch.Header = signed(b.t, header)
	return c
}

// replay reads the journal back into books of its own.
func (b *bank) replay(checks ledger.Checks) *ledger.State {
	b.t.Helper()
	state, err := ledger.NewState(charter())
	if err != nil {
		b.t.Fatal(err)
	}
	for batch, err := range b.store.Batches(b.t.Context(), 1) {
		if err != nil {
			b.t.Fatal(err)
		}
		if err := state.Append(batch, checks); err != nil {
			b.t.Fatal(err)
		}
	}
	return state
}

func signed(t *testing.T, header ledger.Header) ledger.SignedHeader {
	t.Helper()
	s, err := header.Sign(key(1))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// commit applies entries and stores them.
func (b *bank) commit(entries ...ledger.Entry) postgres.Commit {
	b.t.Helper()
	c := b.prepare(entries...)
	if err := b.store.Commit(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// open is a member's first order.
func (b *bank) open(n byte) ledger.Entry {
	return b.order(n, &ledger.Order{Body: &ledger.Open{Key: ledger.KeyOf(key(n))}})
}

// pay is the member's next order.
func (b *bank) pay(n byte, payments ...ledger.Payment) ledger.Entry {
	id, _ := b.state.Lookup(ledger.KeyOf(key(n)))
	payer, _ := b.state.Account(id)
	return b.order(n, &ledger.Order{Payer: id, Sequence: payer.Sequence + 1, Previous: payer.Last,
		Body: &ledger.Transfer{Payments: payments, Reference: []byte("for bread")}})
}

func (b *bank) order(n byte, o *ledger.Order) ledger.Entry {
	o.Bank = b.state.Bank()
	if err := o.Sign(key(n)); err != nil {
		b.t.Fatal(err)
	}
	return ledger.Entry{Order: o}
}

// block is the next block of the chain.
func (b *bank) block() ledger.Entry {
	height, hash := b.state.Block()
	return ledger.Entry{Event: &ledger.Block{Height: height + 1, Hash: ledger.Hash{byte(height + 1)}, Previous: hash}}
}

// deposit is a coin for a member in the block that was recorded last.
func (b *bank) deposit(id ledger.AccountID, amount ledger.Amount, block uint32) ledger.Entry {
	return ledger.Entry{Event: &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{byte(block)}, Vout: uint32(id)},
		Amount: amount, Branch: ledger.BranchDeposit, Index: id.Index(), Height: block, TxIndex: uint32(id)}}
}

const (
	alice = ledger.FirstMember
	bob   = ledger.FirstMember + 1
)

// fund opens accounts for alice (key 2) and bob (key 3) and gives each 1,000
// satoshis: batches 1 and 2.
func (b *bank) fund() {
	b.t.Helper()
	b.commit(b.open(2), b.open(3))
	b.commit(b.block(), b.deposit(alice, 1000, 101), b.deposit(bob, 1000, 101))
}
