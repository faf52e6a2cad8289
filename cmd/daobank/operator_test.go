package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

// operated is a bank of one guardian with a database and a node, which is not serving.
type operated struct {
	*hermit
	ctx      context.Context
	node     *bitcoind.Node
	database string
	charter  ledger.Charter
	vault    *taproot.Vault
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	b := &operated{hermit: newHermit(t), ctx: t.Context(), node: bitcoind.Start(t), database: cluster.Test(t)}
	secret, err := b.host.Reveal()
	b.must(err)
	b.must(writeSecret(filepath.Join(b.data, "bank", "operator.key"), b.operator.Serialize()))
	b.must(writeSecret(filepath.Join(b.data, "bank", "coordinator.key"), secret))
	b.charter, err = b.founding.Charter()
	b.must(err)
	b.vault, err = taproot.NewVault(b.founding.Policy(b.founded.Group.Key()))
	b.must(err)
	store, err := postgres.Open(b.ctx, b.database)
	b.must(err)
	defer store.Close()
	b.must(store.Create(b.ctx, b.charter))
	return b
}

// desk uses the bank's desk as an operator's command does. It settles nothing.
func (b *operated) desk(use func(*settlement.Desk, *clearing.Engine)) {
	b.t.Helper()
	o := &serveOptions{Data: b.data, Postgres: b.database, Node: b.node.Config(), Policy: settlement.DefaultPolicy()}
	o.Policy.When = settlement.When{Payouts: 1}
	b.must(o.withDesk(b.ctx, func(_ context.Context, desk *settlement.Desk, engine *clearing.Engine) error {
		use(desk, engine)
		return nil
	}))
}

// run runs a command of the operator with this bank's flags.
func (b *operated) run(args ...string) (string, error) {
	b.t.Helper()
	node := b.node.Config()
	return inProcess(b.t, append(append([]string{"operator"}, args...), "--data", b.data, "--postgres", b.database,
		"--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password)...)
}

// expect runs a command that succeeds and says this.
func (b *operated) expect(pattern string, args ...string) {
	b.t.Helper()
	out, err := b.run(args...)
	if err != nil || !regexp.MustCompile(pattern).MatchString(out) {
		b.t.Errorf("%v: %q, %v; want %q", args, out, err, pattern)
	}
}

// refuse runs a command that fails and says this, and shows what it shows before.
func (b *operated) refuse(want string, args ...string) string {
	b.t.Helper()
	out, err := b.run(args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		b.t.Errorf("%v: %q, %v; want %q", args, out, err, want)
	}
	return out
}

func (b *operated) output(id ledger.AccountID, amount int64) *wire.TxOut {
	b.t.Helper()
	out, err := b.vault.Output(taproot.Deposit, id.Index())
	b.must(err)
	return wire.NewTxOut(amount, out.Script)
}

// A deposit that was credited is double-spent on another branch. The operator sees the
// difference, records it, and gives from suspense to the treasury and to a member.
func TestOperator(t *testing.T) {
	b := newOperated(t)
	wallet, err := b.node.NewMiniWallet(b.ctx, 1, 1_000_000)
	b.must(err)
	open := &ledger.Order{Bank: b.charter.ID(), Body: &ledger.Open{Key: ledger.KeyOf(b.operator)}}
	b.must(open.Sign(b.operator))
	const member = ledger.FirstMember
	coin := wallet.Coins()
	good, err := wallet.Build(bitcoind.Payment{Coins: coin, Outputs: []*wire.TxOut{b.output(member, 50_000)}})
	b.must(err)
	bad, err := wallet.Build(bitcoind.Payment{Coins: coin, Outputs: []*wire.TxOut{wire.NewTxOut(60_000, b.node.MinerScript())}})
	b.must(err)
	// Coins for the treasury, and for nobody: those are in suspense.
	_, err = b.node.FundMany(b.ctx, []*wire.TxOut{b.output(ledger.Treasury, 100_000), b.output(member+50, 80_000)})
	b.must(err)
	_, err = b.node.Mine(b.ctx, 1)
	b.must(err)
	b.must(b.node.Broadcast(b.ctx, good))
	_, err = b.node.Mine(b.ctx, 1)
	b.must(err)
	b.desk(func(desk *settlement.Desk, engine *clearing.Engine) {
		_, err := engine.Submit(b.ctx, open)
		b.must(err)
		b.must(desk.Advance(b.ctx))
	})
	b.refuse("there is nothing to resolve", "resolve")
	b.refuse("there is nothing to resolve", "resolve", "--yes")

	_, err = b.node.Reorg(b.ctx, 1, bitcoind.ReorgReplace(good.TxHash(), bad))
	b.must(err)
	if out := b.refuse("nothing was recorded: run it again with --yes", "resolve"); !strings.Contains(out, "Coins lost: 1\n") || !strings.Contains(out, "lost   "+good.TxHash().String()) {
		t.Errorf("the difference is shown as %q", out)
	}
	b.expect(`Coins lost: 1\n(?s:.*)The books go on from block \d+\. Start serve again\.`, "resolve", "--yes")
	b.refuse("there is nothing to resolve", "resolve", "--yes")

	own := ledger.FormatAccount(b.charter.ID(), member)
	b.refuse("suspense has 30000 sat", "correct", "treasury", "0.00030001", "--batch", "1")
	b.refuse("the correction names batch 0", "correct", "treasury", "0.0001")
	b.refuse("the correction names batch 99, the last is", "correct", "treasury", "0.0001", "--batch", "99")
	b.refuse("is no account that can be paid", "correct", ledger.FormatAccount(b.charter.ID(), member+1), "0.0001", "--batch", "1")
	b.expect(`^Account treasury has 0\.00010000 BTC .*from suspense\.`, "correct", "treasury", "0.0001", "--batch", "1")
	b.expect(`^Account dao1\S+ has 0\.00020000 BTC .*from suspense\.`, "correct", own, "0.0002", "--batch", "1", "--index", "2")
	b.refuse("suspense has 0 sat", "correct", own, "0.00000001", "--batch", "1")
	b.desk(func(_ *settlement.Desk, engine *clearing.Engine) {
		b.must(engine.View(b.ctx, func(s *ledger.State) {
			got := [...]ledger.Amount{s.Balance(member), s.Balance(ledger.Treasury), s.Balance(ledger.Suspense)}
			if got != [...]ledger.Amount{70_000, 110_000, 0} { // 50,000 were lost, and suspense bore them
				t.Errorf("member, treasury and suspense have %v", got)
			}
		}))
	})
	tip, err := b.node.Tip(b.ctx)
	b.must(err)
	b.must(b.node.Call(b.ctx, "invalidateblock", nil, tip.Hash.String()))
	b.refuse("the node does not show block", "resolve", "--yes")
}

// Bad input to "operator" says what to do.
func TestOperatorRefuses(t *testing.T) {
	b := newOperated(t)
	other := ledger.FormatAccount(ledger.BankID{1}, ledger.FirstMember)
	unfinished := t.TempDir()
	b.must(os.MkdirAll(filepath.Join(unfinished, "bank"), 0o700))
	for _, name := range []string{"founding.json", "operator.key", "coordinator.key"} {
		raw, err := os.ReadFile(filepath.Join(b.data, "bank", name))
		b.must(err)
		b.must(os.WriteFile(filepath.Join(unfinished, "bank", name), raw, 0o600))
	}
	for _, command := range [][]string{{"resolve"}, {"correct", "treasury", "0.1", "--batch", "1"}} {
		for _, tt := range []struct {
			name string
			args []string
			want string
		}{
			{"no directory", []string{"--data", ""}, "--data DIR"},
			{"no node", []string{"--bitcoind", ""}, "--bitcoind"},
			{"no answer from the node", []string{"--bitcoind", "http://127.0.0.1:1"}, "connection refused"},
			{"another directory", []string{"--data", t.TempDir()}, "daobank found --data"},
			{"a bank without a key", []string{"--data", unfinished}, "run serve first"},
			{"no answer from the database", []string{"--postgres", "postgres://127.0.0.1:1/none"}, "connection refused"},
		} {
			t.Run(command[0]+", "+tt.name, func(t *testing.T) {
				node := b.node.Config()
				args := append([]string{"operator"}, command...)
				args = append(args, "--data", b.data, "--postgres", b.database, "--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password)
				if out, err := inProcess(t, append(args, tt.args...)...); err == nil || !strings.Contains(err.Error()+out, tt.want) {
					t.Errorf("got %q, %v; want %q", out, err, tt.want)
				}
			})
		}
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a word too many", []string{"treasury", "0.1", "now"}, "accepts 2 arg(s)"},
		{"no amount", []string{"treasury"}, "accepts 2 arg(s)"},
		{"no number", []string{"treasury", "much"}, "much"},
		{"a fraction of a satoshi", []string{"treasury", "0.000000001"}, "0.000000001"},
		{"nothing", []string{"treasury", "0"}, "0"},
		{"less than nothing", []string{"treasury", "--", "-1"}, "-1"},
		{"no account", []string{"dao1nonsense", "0.1"}, "dao1nonsense"},
		{"an account of another bank", []string{other, "0.1"}, "bank"},
		{"an account that nobody can be paid at", []string{"suspense", "0.1"}, "suspense"},
		{"no batch", []string{"treasury", "0.1", "--batch", "first"}, "first"},
	} {
		t.Run("correct, "+tt.name, func(t *testing.T) {
			b.hermit.t = t
			args := tt.args
			if i := len(args) - 2; i >= 0 && args[i] == "--" {
				node := b.node.Config()
				args = append([]string{"operator", "correct", "--data", b.data, "--postgres", b.database, "--bitcoind", node.URL,
					"--bitcoind-user", node.User, "--bitcoind-password", node.Password}, args...)
				if out, err := inProcess(t, args...); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %q, %v; want %q", out, err, tt.want)
				}
				return
			}
			b.refuse(tt.want, append([]string{"correct"}, args...)...)
		})
	}
}

// A withdrawal is shown as a chain from its order to the entry that posts it.
func TestWithdrawalText(t *testing.T) {
	w := &settlement.Withdrawal{Sequence: 2, State: settlement.WithdrawalPaid, Amount: 70_000, Ordered: settlement.EntryPlace{Batch: 6},
		Cut: &settlement.EntryPlace{Batch: 9, Index: 1}, Settlement: 2, Version: 1, FeeShare: 86, TxID: "5e2f", Confirmations: 3,
		Posted: &settlement.EntryPlace{Batch: 13, Index: 4}}
	for _, want := range []string{"Ordered:    entry 0 of batch 6\n", "Settlement: 2, version 1", "Txid:       5e2f\n", "Taken:      entry 1 of batch 9\n", "Posted:     entry 4 of batch 13"} {
		if text := withdrawalText(w); !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	raw, err := json.Marshal(w)
	if err != nil || !strings.Contains(string(raw), `"posted":{"batch":13,"index":4}`) {
		t.Errorf("as JSON it is %s, %v", raw, err)
	}
	w.State, w.Posted = settlement.WithdrawalSettling, nil
	if text := withdrawalText(w); strings.Contains(text, "Posted") {
		t.Errorf("in flight it is shown as %q", text)
	}
}
