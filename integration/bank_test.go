package integration

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// bank is a whole bank inside the test's process, on a real node and a real
// database. Nothing polls: a story calls advance when it wants the desk to look.
type bank struct {
	t         *testing.T
	ctx       context.Context
	node      *bitcoind.Node
	store     *postgres.Store
	charter   ledger.Charter
	operator  *btcec.PrivateKey
	policy    taproot.Policy
	vault     *taproot.Vault
	group     *frost.Group
	shares    []*frost.Share
	guardians []guardian.Peer
	sent      []sentOrder // by its members

	engine *clearing.Engine
	desk   *settlement.Desk
}

// depth is the number of confirmations that the stories' bank waits for.
const depth = 2

// newBank founds a bank of 3-of-5 guardians on the node and opens it.
func newBank(t *testing.T, node *bitcoind.Node) *bank {
	t.Helper()
	return newBankOn(t, node, cluster.Test(t))
}

// newBankOn is newBank on a database, with changes of the stories' charter.
func newBankOn(t *testing.T, node *bitcoind.Node, database string, changes ...func(*ledger.Charter)) *bank {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	b := &bank{t: t, ctx: ctx, node: node}
	var err error
	b.operator, err = btcec.NewPrivateKey()
	b.must(err)
	b.group, b.shares, err = frost.TrustedDealer(3, 5, nil)
	b.must(err)
	tip, err := node.Tip(ctx)
	b.must(err)
	b.charter = ledger.Charter{Name: "story", Chain: ledger.Hash(*chaincfg.RegressionNetParams.GenesisHash),
		Operator: ledger.KeyOf(b.operator), BirthHeight: uint32(tip.Height), BirthHash: ledger.Hash(tip.Hash),
		Depth: depth, WithdrawalMin: 1_000}
	for _, change := range changes {
		change(&b.charter)
	}
	recovery, err := btcec.NewPrivateKey()
	b.must(err)
	b.policy = taproot.Policy{Threshold: 3, Guardians: 5, GroupKey: b.group.Key(), Network: "regtest",
		Recovery: taproot.Recovery{Threshold: 1, Keys: []taproot.XOnlyKey{taproot.XOnlyKey(ledger.KeyOf(recovery))}, Delay: 1000}}
	b.vault, err = taproot.NewVault(b.policy)
	b.must(err)
	b.store, err = postgres.Open(ctx, database)
	b.must(err)
	t.Cleanup(b.store.Close)
	b.must(b.store.Create(ctx, b.charter))
	for _, share := range b.shares {
		g, err := guardian.New(guardian.Config{Keys: []guardian.Key{{Share: share, Group: b.group}}, Vault: b.vault, Charter: b.charter,
			Journal: b.store, Chain: node.Client, Limits: guardian.DefaultLimits()})
		b.must(err)
		peer, err := g.Peer(b.group.Key())
		b.must(err)
		b.guardians = append(b.guardians, peer)
	}
	b.open(0, 1, 2, 3, 4)
	return b
}

// open starts the engine and a desk that these guardians sign for.
func (b *bank) open(present ...int) {
	b.t.Helper()
	log := slog.New(slog.NewTextHandler(testLog{b.t}, nil))
	var err error
	b.engine, err = clearing.Open(b.ctx, clearing.Config{Store: b.store, Charter: b.charter, Operator: b.operator, Log: log})
	b.must(err)
	engine := b.engine
	b.t.Cleanup(func() { engine.Close(context.Background()) })
	var signers []guardian.Peer
	for _, i := range present {
		signers = append(signers, b.guardians[i])
	}
	b.desk, err = settlement.New(settlement.Config{Engine: b.engine, Store: b.store, Vaults: netting.NewVaults(b.charter.ID(), b.vault), Chain: b.node.Client,
		Signer: guardian.NewQuorum(guardian.Council{Group: b.group, Peers: signers}, log), Policy: settlement.DefaultPolicy(), Log: log})
	b.must(err)
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Helper()
	l.t.Log(string(p[:len(p)-1]))
	return len(p), nil
}

func (b *bank) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// advance lets the desk do all that the chain allows now.
func (b *bank) advance() {
	b.t.Helper()
	b.must(b.desk.Advance(b.ctx))
}

// mine mines n blocks, the desk looking after each.
func (b *bank) mine(n int) {
	b.t.Helper()
	for range n {
		_, err := b.node.Mine(b.ctx, 1)
		b.must(err)
		b.advance()
	}
}

// balance is an account's balance as the engine shows it.
func (b *bank) balance(id ledger.AccountID) (sat ledger.Amount) {
	b.t.Helper()
	b.must(b.engine.View(b.ctx, func(s *ledger.State) { sat = s.Balance(id) }))
	return sat
}

// deposit pays the accounts' deposit addresses in one transaction.
func (b *bank) deposit(amounts map[ledger.AccountID]ledger.Amount) {
	b.t.Helper()
	var outs []*wire.TxOut
	for id, amount := range amounts {
		out, err := b.vault.Output(taproot.Deposit, id.Index())
		b.must(err)
		outs = append(outs, wire.NewTxOut(int64(amount), out.Script))
	}
	_, err := b.node.FundMany(b.ctx, outs)
	b.must(err)
}

// newScript is a fresh P2TR destination outside the vault.
func (b *bank) newScript() []byte {
	b.t.Helper()
	key, err := btcec.NewPrivateKey()
	b.must(err)
	x := ledger.KeyOf(key)
	return append([]byte{0x51, 32}, x[:]...)
}

// member is a key with an account, which signs its own chain of orders.
type member struct {
	b        *bank
	key      *btcec.PrivateKey
	id       ledger.AccountID
	sequence uint64
	last     ledger.Hash
}

func (b *bank) newMember() *member {
	b.t.Helper()
	key, err := btcec.NewPrivateKey()
	b.must(err)
	m := &member{b: b, key: key}
	o := &ledger.Order{Bank: b.charter.ID(), Body: &ledger.Open{Key: ledger.KeyOf(key)}}
	b.must(o.Sign(key))
	a, err := b.engine.Submit(b.ctx, o)
	b.must(err)
	m.id, m.last = a.Account, o.Digest()
	b.sent = append(b.sent, sentOrder{order: o, account: a.Account, receipt: &a.Receipt})
	return m
}

// order signs the member's next order.
func (m *member) order(body ledger.Body) *ledger.Order {
	m.b.t.Helper()
	o := &ledger.Order{Bank: m.b.charter.ID(), Payer: m.id, Sequence: m.sequence + 1, Previous: m.last, Body: body}
	m.b.must(o.Sign(m.key))
	m.sequence, m.last = o.Sequence, o.Digest()
	return o
}

func (m *member) submit(body ledger.Body) {
	m.b.t.Helper()
	o := m.order(body)
	a, err := m.b.engine.Submit(m.b.ctx, o)
	m.b.must(err)
	m.b.must(a.Receipt.Verify(&m.b.charter, o.Bytes()))
	m.b.sent = append(m.b.sent, sentOrder{order: o, account: m.id, receipt: &a.Receipt})
}

func (m *member) pay(to ledger.AccountID, amount ledger.Amount) {
	m.b.t.Helper()
	m.submit(&ledger.Transfer{Payments: []ledger.Payment{{Payee: to, Amount: amount}}})
}

func (m *member) withdraw(script []byte, amount, feeMax ledger.Amount) {
	m.b.t.Helper()
	m.submit(&ledger.Withdraw{Amount: amount, FeeMax: feeMax, Script: script})
}

// coinsOnChain is what a scan of the descriptor finds, in the form that everybody is
// told where the node reads it (BIP-389), as bitcoind does from 29 on.
func (b *bank) coinsOnChain() btcutil.Amount {
	b.t.Helper()
	var network struct {
		Version int `json:"version"`
	}
	b.must(b.node.Call(b.ctx, "getnetworkinfo", &network))
	each := b.vault.Descriptors()
	descriptors := each[:]
	if network.Version >= 290_000 {
		descriptors = []string{b.vault.Descriptor()}
	}
	scan, err := b.node.ScanDescriptor(b.ctx, descriptors, 1000)
	b.must(err)
	return scan.Total
}
