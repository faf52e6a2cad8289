package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/quorum"
)

// TestProofs: a stranger with a node and the bank's public file makes a proof of every
// kind that a bank can be asked for, also from a bank that was started again, and
// verifies them once the bank is gone. Then t guardians steal, and that is proved too.
func TestProofs(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	alice, bob := b.newMember(), b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 1_000_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	alice.pay(bob.id, 250_000)
	alice.withdraw(b.newScript(), 100_000, 1_000)
	b.advance()
	b.settled(2)

	s := newStranger(b)
	s.writeReceipt(alice, 1)
	s.prove("balance", fmt.Sprint(uint64(bob.id)))
	s.prove("payment", s.path("receipt.json"))
	s.prove("consistency", "--from", "1")
	s.prove("coins")
	s.prove("coins", "--settlement", "1")
	if _, err := s.try("omission", s.path("receipt.json")); err == nil {
		t.Error("a payment that is in the journal is proved to be left out")
	}
	s.restart()
	s.prove("balance", fmt.Sprint(uint64(alice.id)))
	s.prove("payment", s.path("receipt.json"))
	if _, err := s.try("consistency", "--from", "1"); err == nil {
		t.Error("the bank that was started again proves a cut whose balances it cannot have")
	}
	theft := b.steal()
	hash, err := b.node.BlockHash(b.ctx, theft.height)
	b.must(err)
	s.prove("spend", theft.txid.String(), "--height", fmt.Sprint(theft.height))
	if _, err := s.try("spend", b.settlementTx(2), "--height", fmt.Sprint(s.settlementHeight(2))); err == nil {
		t.Error("a settlement is proved to be none")
	}
	s.run("prove", "headers", "--out", s.path("headers.txt"), "--bank", s.bankFile())
	s.server.Close()

	said := run(t, nil, append([]string{"verify", "--bank", s.bankFile(), "--headers", s.path("headers.txt"), s.path("receipt.json")}, s.files...)...)
	if strings.Count(said, "HOLDS") != len(s.files)+1 || !strings.Contains(said, "against: the guardians") {
		t.Errorf("verify says:\n%s", said)
	}
	last := s.files[len(s.files)-1]
	if _, err := tryRun(b.ctx, "verify", "--bank", s.bankFile(), "--block", hash.String(), last); err != nil {
		t.Errorf("with the block's hash alone: %v", err)
	}
	if out, err := tryRun(b.ctx, "verify", "--bank", s.bankFile(), last); err == nil || !strings.Contains(out, "give the chain's headers") {
		t.Errorf("without headers verify says %s, %v", out, err)
	}
}

// A stranger has a node and the bank's public file, and can ask the bank's API.
type stranger struct {
	b      *bank
	dir    string
	server *httptest.Server
	files  []string
}

func newStranger(b *bank) *stranger {
	b.t.Helper()
	s := &stranger{b: b, dir: b.t.TempDir()}
	text, err := json.Marshal(map[string]any{"charter": b.charter, "policy": b.policy})
	b.must(err)
	b.must(os.WriteFile(s.bankFile(), text, 0o600))
	s.serve()
	return s
}

func (s *stranger) serve() {
	b := s.b
	s.server = httptest.NewServer(api.NewHandler(api.Config{Clearing: b.engine, Journal: b.store, Attestations: b.store, Desk: b.desk,
		Vaults: netting.NewVaults(b.charter.ID(), b.vault), Charter: b.charter, Councils: func() []api.Council { return nil },
		Ready: func(context.Context) error { return nil }, Log: slog.New(slog.NewTextHandler(testLog{b.t}, nil))}))
	b.t.Cleanup(s.server.Close)
}

// restart waits until a snapshot of the last cut is on disk and starts the bank again.
func (s *stranger) restart() {
	b := s.b
	b.t.Helper()
	list, err := b.desk.Settlements(b.ctx, 2, 1)
	b.must(err)
	waitFor(b.ctx, b.t, "the snapshot of the last cut", func() (bool, string) {
		stored, err := b.store.Snapshots(b.ctx)
		return err == nil && len(stored) > 0 && stored[0].Batch == list[0].Batch, fmt.Sprintf("%+v, %v; the cut is batch %d", stored, err, list[0].Batch)
	})
	s.server.Close()
	b.must(b.engine.Close(b.ctx))
	b.open(0, 1, 2)
	s.serve()
}

func (s *stranger) path(name string) string { return filepath.Join(s.dir, name) }
func (s *stranger) bankFile() string        { return s.path("bank.json") }

// writeReceipt asks the bank for the receipt of a member's order.
func (s *stranger) writeReceipt(m *member, sequence uint64) {
	s.b.t.Helper()
	order, a, err := api.Dial(s.server.URL).Order(s.b.ctx, ledger.OrderRef{Payer: m.id, Sequence: sequence})
	s.b.must(err)
	text, err := (&proof.Proof{Charter: s.b.charter, Body: &proof.Receipt{Order: order.Bytes(), Receipt: a.Receipt}}).Encode()
	s.b.must(err)
	s.b.must(os.WriteFile(s.path("receipt.json"), text, 0o600))
}

func (s *stranger) run(args ...string) string {
	s.b.t.Helper()
	return run(s.b.t, nodeEnv(s.b.node), args...)
}

// prove writes a proof with the program.
func (s *stranger) prove(args ...string) {
	s.b.t.Helper()
	out := s.path(fmt.Sprintf("%d-%s.json", len(s.files), args[0]))
	s.run(append([]string{"prove"}, append(args, "--api", s.server.URL, "--bank", s.bankFile(), "--out", out)...)...)
	s.files = append(s.files, out)
}

// try is prove that may be refused; nothing is kept.
func (s *stranger) try(args ...string) (string, error) {
	node := s.b.node.Config()
	return tryRun(s.b.ctx, append([]string{"prove"}, append(args, "--api", s.server.URL, "--bank", s.bankFile(), "--out", s.path("none.json"),
		"--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password)...)...)
}

func (s *stranger) settlementHeight(n uint32) uint32 {
	list, err := s.b.desk.Settlements(s.b.ctx, n, 1)
	s.b.must(err)
	return list[0].Height
}

func (b *bank) settlementTx(n uint32) string {
	list, err := b.desk.Settlements(b.ctx, n, 1)
	b.must(err)
	return list[0].TxID
}

// spending is a transaction in a block.
type spending struct {
	txid   chainhash.Hash
	height int32
}

// steal has t guardians sign a coin of the vault away, and mines that.
func (b *bank) steal() spending {
	b.t.Helper()
	var coin ledger.Coin
	b.must(b.engine.View(b.ctx, func(s *ledger.State) { coin = s.Coins()[0] }))
	out, err := b.vault.Output(taproot.Branch(coin.Branch), coin.Index)
	b.must(err)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash(coin.TxID), Index: coin.Vout}, nil, nil))
	tx.AddTxOut(wire.NewTxOut(int64(coin.Amount)-1_000, b.newScript()))
	thieves, err := quorum.FromShares(b.vault, b.group, b.shares)
	b.must(err)
	signed, err := thieves.Sign(tx, []taproot.Output{out}, []int64{int64(coin.Amount)}, []int{1, 2, 3})
	b.must(err)
	b.must(b.node.Broadcast(b.ctx, signed))
	_, err = b.node.Mine(b.ctx, 1)
	b.must(err)
	height, err := b.node.Height(b.ctx)
	b.must(err)
	return spending{txid: signed.TxHash(), height: height}
}
