package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

// TestDeposits: several in a block, several outputs in one transaction, one below
// dust's worth, one to an address of nobody, and a coinbase, which waits for its
// hundred blocks. Each is credited once, in full, and the sums hold.
func TestDeposits(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	alice, bob := b.newMember(), b.newMember()
	to := func(id ledger.AccountID, amount int64) *wire.TxOut {
		out, err := b.vault.Output(taproot.Deposit, id.Index())
		b.must(err)
		return wire.NewTxOut(amount, out.Script)
	}
	nobody := ledger.FirstMember + 50
	for _, outs := range [][]*wire.TxOut{
		{to(alice.id, 100_000), to(alice.id, 100_000), to(bob.id, 50_000), to(alice.id, 330)},
		{to(bob.id, 70_000), to(ledger.Treasury, 200_000)},
		{to(nobody, 9_000)},
	} {
		_, err := b.node.FundMany(b.ctx, outs)
		b.must(err)
	}
	_, err := b.node.Mine(b.ctx, 1, bitcoind.MineTo(to(bob.id, 0).PkScript))
	b.must(err)
	b.advance()
	b.mine(depth - 1)
	for id, want := range map[ledger.AccountID]ledger.Amount{alice.id: 200_330, bob.id: 120_000, ledger.Suspense: 9_000} {
		if got := b.balance(id); got != want {
			t.Errorf("account %s has %d sat at the depth, want %d", id, got, want)
		}
	}
	// The coinbase has as many confirmations as the depth is; with a hundred it can be
	// spent, and not a block before.
	b.mine(100 - depth - 1)
	if got := b.balance(bob.id); got != 120_000 {
		t.Errorf("a coinbase that nobody may spend yet is credited: %d sat", got)
	}
	b.mine(1)
	if got := b.balance(bob.id); got <= 120_000 {
		t.Errorf("the coinbase is not credited after its hundred blocks: %d sat", got)
	}
	b.mine(2 * depth) // and swept
	b.expectSound()
}

// TestDownForAThousandBlocks: deposits that arrived while the bank was down are
// credited when it is back, the log shows how far it is, and guardians and audit
// follow the long batches.
func TestDownForAThousandBlocks(t *testing.T) {
	b := newBank(t, bitcoind.Start(t))
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 10_000, ledger.Treasury: 100_000})
	b.mine(depth)
	b.settled(1)
	b.must(b.engine.Close(b.ctx))

	b.generate(400)
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 30_000})
	b.generate(700)
	b.open(0, 1, 2)
	var log bytes.Buffer
	b.desk.Log = slog.New(slog.NewTextHandler(&log, nil))
	b.advance()
	if got := b.balance(alice.id); got != 40_000 {
		t.Errorf("alice has %d sat, want 40,000", got)
	}
	if n := strings.Count(log.String(), "catching up with the chain"); n == 0 {
		t.Errorf("the log does not show how far the bank is:\n%s", log.String())
	}
	b.settled(2)
	b.expectSound()
	var last, blocks uint32
	for batch, err := range b.store.Batches(b.ctx, 1) {
		b.must(err)
		for _, raw := range batch.Entries {
			if e, err := ledger.DecodeEntry(raw); err == nil && e.Event != nil && e.Event.Kind() == ledger.KindBlock {
				blocks++
				if batch.Header.Count > 50 {
					last++
				}
			}
		}
	}
	if last < 1000 {
		t.Errorf("of %d blocks only %d were recorded together", blocks, last)
	}
}

// generate lets the node mine, which is quicker than building the blocks here.
func (b *bank) generate(blocks int) {
	b.t.Helper()
	_, addresses, _, err := txscript.ExtractPkScriptAddrs(b.node.MinerScript(), b.node.Network())
	b.must(err)
	b.must(b.node.Call(b.ctx, "generatetoaddress", nil, blocks, addresses[0].String()))
}

// TestTwoNodes: the books take only blocks that both nodes have. While one lags they
// wait for it; while the nodes have different blocks nothing is taken, and the error
// says which node has what.
func TestTwoNodes(t *testing.T) {
	net := bitcoind.StartNet(t, 2)
	first, second := net.Nodes[0], net.Nodes[1]
	b := newBank(t, first)
	b.desk.Second = second.Client
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 10_000, ledger.Treasury: 100_000})
	b.must(net.Partition(b.ctx, []int{0}, []int{1}))
	var log bytes.Buffer
	b.desk.Log = slog.New(slog.NewTextHandler(&log, nil))
	_, err := first.Mine(b.ctx, depth+3)
	b.must(err)
	b.advance()
	if got := b.balance(alice.id); got != 0 {
		t.Errorf("a deposit of which the second node knows nothing is credited: %d sat", got)
	}
	b.advance()
	if n := strings.Count(log.String(), "one node is behind the other"); n != 1 {
		t.Errorf("that one node lags is said %d times:\n%s", n, log.String())
	}

	_, err = second.Mine(b.ctx, depth+3)
	b.must(err)
	var disagree *settlement.DisagreementError
	if err := b.desk.Advance(b.ctx); !errors.As(err, &disagree) {
		t.Fatalf("the nodes have different blocks and the desk says %v", err)
	}
	for _, hash := range []string{disagree.First.String(), disagree.Second.String()} {
		if !strings.Contains(disagree.Error(), hash) {
			t.Errorf("the message leaves out %s: %v", hash, disagree)
		}
	}
	if got := b.balance(alice.id); got != 0 {
		t.Errorf("the deposit is credited although the nodes disagree: %d sat", got)
	}

	_, err = first.Mine(b.ctx, 1)
	b.must(err)
	b.must(net.Heal(b.ctx))
	b.must(net.WaitSync(b.ctx))
	b.advance()
	if got := b.balance(alice.id); got != 10_000 {
		t.Errorf("once the nodes agree alice has %d sat, want 10,000", got)
	}
}

// TestSecondNodeOfServe: serve with --second-bitcoind waits for the other node and
// tells, and goes on when that has the blocks too.
func TestSecondNodeOfServe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	net := bitcoind.StartNet(t, 2)
	second := net.Nodes[1].Config()
	h := newHouse(t, net.Nodes[0], cluster.Test(t), 1, 1)
	h.bankEnv = []string{"DAOBANK_SECOND_BITCOIND=" + second.URL, "DAOBANK_SECOND_BITCOIND_USER=" + second.User,
		"DAOBANK_SECOND_BITCOIND_PASSWORD=" + second.Password}
	h.open(ctx)
	c := newCustomer(ctx, h)
	c.must(net.Partition(ctx, []int{0}, []int{1}))
	before, err := c.client.Bank(ctx)
	c.must(err)
	log := h.logFromHere()
	_, err = net.Nodes[0].Mine(ctx, 5)
	c.must(err)
	c.wait("the bank to tell that a node lags", func() (bool, string) {
		lines := log.lines(t)
		return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "one node is behind the other") }), strings.Join(lines, "\n")
	})
	if bank, err := c.client.Bank(ctx); err != nil || bank.Height != before.Height {
		t.Errorf("the books went from block %d to %d, which one node alone has; %v", before.Height, bank.Height, err)
	}
	c.must(net.Heal(ctx))
	height, err := net.Nodes[0].Height(ctx)
	c.must(err)
	c.wait("the books to go on without another block", func() (bool, string) {
		bank, err := c.client.Bank(ctx)
		return err == nil && int(bank.Height) == int(height)-depth+1, fmt.Sprintf("at %d of %d, %v", bank.Height, height, err)
	})
}

// TestNodeLies: a node that says its chain is longer than what it shows, or shorter
// than the books, moves nothing; the bank goes on when the node is right again.
func TestNodeLies(t *testing.T) {
	node := bitcoind.Start(t)
	b := newBank(t, node)
	proxy := node.Proxy(t)
	seen, err := bitcoind.Dial(b.ctx, proxy.Config())
	b.must(err)
	b.desk.Chain = seen
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 10_000, ledger.Treasury: 100_000})
	_, err = node.Mine(b.ctx, 1)
	b.must(err)
	info, err := node.ChainInfo(b.ctx)
	b.must(err)
	for name, off := range map[string]int32{"too high": 5, "too low": -20} {
		fault := proxy.Inject(bitcoind.Fault{Method: "getblockchaininfo", Do: bitcoind.Answer(map[string]any{"chain": "regtest",
			"blocks": info.Tip.Height + off, "headers": info.Tip.Height + off, "bestblockhash": info.Tip.Hash.String()})})
		err := b.desk.Advance(b.ctx)
		if off > 0 && (err == nil || !strings.Contains(err.Error(), "at which it says its chain ends")) {
			t.Errorf("%s: the desk says %v", name, err)
		}
		if got := b.balance(alice.id); got != 0 {
			t.Errorf("%s: a deposit with one confirmation is credited: %d sat", name, got)
		}
		fault.Remove()
	}
	b.mine(depth - 1)
	if got := b.balance(alice.id); got != 10_000 {
		t.Errorf("alice has %d sat, want 10,000", got)
	}
}

// TestPrunedNode: a bank works on a pruned node as long as that keeps the blocks
// that the books need next. When it does not, the bank says so and takes nothing,
// until it gets a node that has them.
func TestPrunedNode(t *testing.T) {
	net := bitcoind.StartNet(t, 2, bitcoind.WithArgs("-prune=1", "-fastprune"))
	b := newBank(t, net.Nodes[0])
	pruned := net.Nodes[1]
	b.desk.Chain = pruned.Client
	alice := b.newMember()
	b.deposit(map[ledger.AccountID]ledger.Amount{alice.id: 10_000, ledger.Treasury: 100_000})
	mine := func(n int) {
		b.generate(n)
		b.must(net.WaitSync(b.ctx))
	}
	mine(depth)
	b.advance()
	if got := b.balance(alice.id); got != 10_000 {
		t.Fatalf("on a pruned node alice has %d sat, want 10,000", got)
	}
	mine(1_200) // the bank does not look
	height, err := pruned.Height(b.ctx)
	b.must(err)
	b.must(pruned.Call(b.ctx, "pruneblockchain", nil, height-300))
	if err := b.desk.Advance(b.ctx); err == nil || !strings.Contains(err.Error(), "pruned") {
		t.Fatalf("the node has pruned what the books need and the desk says %v", err)
	}
	b.desk.Chain = net.Nodes[0].Client
	b.advance()
	b.mine(2 * depth)
	b.expectSound()
}
