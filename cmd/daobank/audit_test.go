package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot"
)

// audited is a bank with coins on a real node and its journal in a real
// PostgreSQL.
type audited struct {
	url  string // of the database
	bank string // public file
	node *bitcoind.Node
	made *audittest.Bank // what made it
}

func newAudited(t *testing.T) *audited {
	t.Helper()
	a := &audited{url: cluster.Test(t), bank: filepath.Join(t.TempDir(), "bank.json"), node: bitcoind.Start(t)}
	b := audittest.NewOnNode(t, a.node, 0)
	ann, bob := b.Open("ann"), b.Open("bob")
	if _, err := a.node.Fund(t.Context(), b.To(taproot.Deposit, ann.ID.Index(), 0).PkScript, 70_000); err != nil {
		t.Fatal(err)
	}
	if _, err := a.node.Mine(t.Context(), audittest.Depth); err != nil {
		t.Fatal(err)
	}
	b.CatchUp()
	b.Pay(ann, bob, 30_000)
	if err := writeBankFile(a.bank, bankFile{Charter: b.Charter, Policy: b.Vault.Policy()}); err != nil {
		t.Fatal(err)
	}
	a.made = b
	a.store(t, b)
	return a
}

// store writes the bank's journal into its database.
func (a *audited) store(t *testing.T, b *audittest.Bank) {
	t.Helper()
	store, err := postgres.Open(t.Context(), a.url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Create(t.Context(), b.Charter); err != nil {
		t.Fatal(err)
	}
	if epoch, err := store.TakeLease(t.Context(), "test"); err != nil || epoch != 1 {
		t.Fatalf("epoch %d, %v", epoch, err)
	}
	books, err := ledger.NewState(b.Charter)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range *b.Journal {
		c := commitOf(t, books, batch)
		if err := store.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

// commitOf replays a batch and says what it writes.
func commitOf(t *testing.T, books *ledger.State, batch *ledger.Batch) postgres.Commit {
	t.Helper()
	c := postgres.Commit{Batch: batch}
	deltas := make(map[ledger.AccountID]ledger.Amount)
	for i, raw := range batch.Entries {
		entry, err := ledger.DecodeEntry(raw)
		if err != nil {
			t.Fatal(err)
		}
		effects, err := books.Apply(entry)
		if err != nil {
			t.Fatal(err)
		}
		var ref ledger.OrderRef
		if entry.Order != nil {
			ref = ledger.OrderRef{Payer: entry.Order.Payer, Sequence: entry.Order.Sequence}
		}
		if effects.Opened != 0 {
			ref.Payer = effects.Opened
			c.Opened = append(c.Opened, postgres.Opened{ID: effects.Opened, Key: entry.Order.Body.(*ledger.Open).Key})
		}
		c.Refs = append(c.Refs, ref)
		for line, p := range effects.Postings {
			deltas[p.Debit] -= p.Amount
			deltas[p.Credit] += p.Amount
			if entry.Event != nil {
				c.Postings = append(c.Postings, postgres.Posting{Index: i, Line: line, Posting: p})
			}
		}
	}
	for id, amount := range deltas {
		c.Deltas = append(c.Deltas, postgres.Delta{Account: id, Amount: amount, Balance: books.Balance(id)})
	}
	if err := books.Seal(&batch.Header.Header); err != nil {
		t.Fatal(err)
	}
	return c
}

// audit runs the command and returns what it printed and its exit status.
func (a *audited) audit(t *testing.T, args ...string) (out string, status int, message string) {
	t.Helper()
	node := a.node.Config()
	return runAuditCommand(t, append([]string{"--bank", a.bank, "--postgres", a.url, "--bitcoind", node.URL,
		"--bitcoind-user", node.User, "--bitcoind-password", node.Password}, args...)...)
}

func runAuditCommand(t *testing.T, args ...string) (out string, status int, message string) {
	t.Helper()
	cmd := newAuditCommand()
	var stdout bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(io.Discard) // progress, on a slow machine
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	var exit *exitError
	switch err := cmd.ExecuteContext(t.Context()); {
	case errors.As(err, &exit):
		return stdout.String(), exit.status, exit.message
	case err != nil:
		t.Fatal(err)
	}
	return stdout.String(), 0, ""
}

func TestAuditCommand(t *testing.T) {
	a := newAudited(t)
	out, status, message := a.audit(t)
	if status != 0 || !strings.Contains(out, "The books hold") {
		t.Fatalf("status %d %s\n%s", status, message, out)
	}
	out, status, _ = a.audit(t, "--json")
	var report audit.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 {
		t.Fatalf("status %d, %v\n%s", status, err, out)
	}
	if !report.OK || !report.Equal || report.LedgerSat != 70_000 || report.ChainSat != 70_000 || report.Orders != 3 {
		t.Errorf("%s", out)
	}

	a.moveSatoshi(t)
	out, status, message = a.audit(t)
	if status != 1 || message != "" || !strings.Contains(out, "First difference: after batch") || !strings.Contains(out, "account 16 is stored with 39999 sat, by the journal it holds 40000 sat") {
		t.Errorf("one satoshi moved: status %d %s\n%s", status, message, out)
	}

	if err := a.node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, status, message := a.audit(t); status != 2 || message == "" || out != "" {
		t.Errorf("node away: status %d %q\n%s", status, message, out)
	}
}

// moveSatoshi changes stored balances behind the schema's back, as someone with
// all rights on the database can.
func (a *audited) moveSatoshi(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), a.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{
		`alter table account disable trigger user`,
		`select book(0::smallint, 1000); update account set balance = balance + case id when 16 then -1 else 1 end where id in (16, 17)`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// What is missing is said in one sentence, with the status of a check not made.
func TestAuditCommandSaysWhatIsMissing(t *testing.T) {
	for _, name := range []string{"DAOBANK_BANK_FILE", "DAOBANK_DATA", "DAOBANK_POSTGRES", "DAOBANK_BITCOIND"} {
		t.Setenv(name, "")
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "say which bank"},
		{[]string{"--blank"}, "unknown flag"},
		{[]string{"bank.json"}, "unknown command"},
		{[]string{"--bank", "b"}, "say where the journal is"},
		{[]string{"--data", "d", "--postgres", "p"}, "say where your Bitcoin node answers"},
		{[]string{"--bank", "no such file", "--postgres", "p", "--bitcoind", "http://127.0.0.1:1"}, "the bank's public file"},
	} {
		out, status, message := runAuditCommand(t, tt.args...)
		if status != 2 || !strings.Contains(message, tt.want) || out != "" {
			t.Errorf("%v: status %d %q %s", tt.args, status, message, out)
		}
	}
}
