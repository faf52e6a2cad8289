package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// runCommand runs a command and returns what it printed and its error.
func runCommand(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// A bank's journal is exported from its database, checked alone, and audited from the
// files with nothing else of the bank but its public file.
func TestExportAndAudit(t *testing.T) {
	a := newAudited(t)
	dir := filepath.Join(t.TempDir(), "journal")
	for _, want := range []string{"Exported batches 1 to", "has all"} {
		if out, err := runCommand(t, newExportCommand(), "--bank", a.bank, "--postgres", a.url, dir); err != nil || !strings.Contains(out, want) {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := runCommand(t, newExportCommand(), "check", "--bank", a.bank, dir); err != nil || !strings.Contains(out, "in one chain") {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := runCommand(t, newExportCommand(), "check", "--batch", "2", dir); err != nil || !strings.Contains(out, "batch     2, 1 entries") {
		t.Fatalf("%v\n%s", err, out)
	}
	node := a.node.Config()
	args := []string{"--bank", a.bank, "--export", dir, "--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password}
	out, status, message := runAuditCommand(t, append(args, "--json")...)
	var report audit.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 {
		t.Fatalf("status %d %s, %v\n%s", status, message, err, out)
	}
	if !report.Equal || report.ChainSat != 70_000 || report.Orders != 3 || report.Check(audit.CheckBalances).Skipped == "" {
		t.Errorf("%s", out)
	}

	segment := filepath.Join(dir, "batches-000001.seg")
	raw, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segment, raw[:len(raw)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if out, status, message := runAuditCommand(t, args...); status != 2 || !strings.Contains(message, "batches-000001.seg") || out != "" {
		t.Errorf("a file cut short: status %d %q\n%s", status, message, out)
	}
	if out, err := runCommand(t, newExportCommand(), "check", dir); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a file cut short: %v\n%s", err, out)
	}
}

// The bank's API is a journal as good as its database: what it says is checked.
func TestAuditFromTheAPI(t *testing.T) {
	a := newAudited(t)
	url := a.serve(t)
	node := a.node.Config()
	out, status, message := runAuditCommand(t, "--bank", a.bank, "--api", url, "--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password)
	if status != 0 || !strings.Contains(out, "The books hold") || !strings.Contains(out, "not made: no account table was given") {
		t.Fatalf("status %d %s\n%s", status, message, out)
	}
	dir := filepath.Join(t.TempDir(), "journal")
	if out, err := runCommand(t, newExportCommand(), "--bank", a.bank, "--api", url, dir); err != nil || !strings.Contains(out, "Exported batches 1 to") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// serve answers as the audited bank does, with an engine of its own and no desk.
func (a *audited) serve(t *testing.T) (url string) {
	t.Helper()
	file, err := readBankFile(a.bank)
	if err != nil {
		t.Fatal(err)
	}
	vault, err := taproot.NewVault(file.Policy)
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), a.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	engine, err := clearing.Open(t.Context(), clearing.Config{Store: store, Charter: file.Charter, Operator: audittest.Key("operator"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(api.NewHandler(api.Config{Clearing: engine, Journal: store, Attestations: store,
		Vaults: netting.NewVaults(file.Charter.ID(), vault), Charter: file.Charter, Log: slog.New(slog.DiscardHandler),
		Councils: func() []api.Council { return nil }, Ready: func(context.Context) error { return nil }}))
	t.Cleanup(server.Close)
	return server.URL
}
