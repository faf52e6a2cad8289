package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// runFields are the fields of one run's JSON, as the command promises them.
var runFields = []string{"transfers", "seconds", "per_second", "p50_ms", "p99_ms", "verify_per_second", "btcec_verify_per_second",
	"copy_per_second", "ceiling_per_second", "ratio", "acknowledged", "found", "lost", "rss_bytes", "accounts", "deferred_us"}

// Tiny runs of every kind of traffic: every acknowledged order is found in the
// journal, and each field of the JSON follows from the others or is above zero.
func TestBenchClearing(t *testing.T) {
	for _, c := range []struct {
		name    string
		args    []string
		payees  int
		targets []string
	}{
		{"in process", nil, 1, []string{"in_process", "in_process_of_ceiling", "verify_1024_over_btcec"}},
		{"hot", []string{"--hot", "0.8"}, 1, []string{"verify_1024_over_btcec"}},
		{"many payees", []string{"--payees", "100"}, 100, []string{"orders_of_100_payees", "verify_1024_over_btcec"}},
		{"batches", []string{"--api"}, 1, []string{"api_batches_of_500", "verify_1024_over_btcec"}},
		{"single", []string{"--api=single"}, 1, []string{"api_single_64_clients", "verify_1024_over_btcec"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := runBenchClearing(t, append([]string{"--accounts", "150", "--seconds", "0.05", "--json"}, c.args...)...)
			var f map[string]float64
			if err := json.Unmarshal([]byte(lines[0]), &f); err != nil {
				t.Fatalf("%v: %s", err, lines[0])
			}
			for _, field := range runFields {
				if v, ok := f[field]; !ok || v <= 0 && field != "lost" {
					t.Errorf("%s is %v (there: %v)", field, v, ok)
				}
			}
			if len(f) != len(runFields) {
				t.Errorf("%d fields, want the %d promised: %v", len(f), len(runFields), f)
			}
			if f["found"] != f["acknowledged"] || f["lost"] != 0 || f["accounts"] != 150 {
				t.Errorf("acknowledged %v, found %v, lost %v of %v accounts", f["acknowledged"], f["found"], f["lost"], f["accounts"])
			}
			for field, want := range map[string]float64{
				"transfers":  f["acknowledged"] * float64(c.payees),
				"per_second": f["transfers"] / f["seconds"],
				"ratio":      f["per_second"] / f["ceiling_per_second"],
			} {
				if math.Abs(f[field]-want) > 1e-6*want {
					t.Errorf("%s is %v, want %v", field, f[field], want)
				}
			}
			if f["p50_ms"] > f["p99_ms"] {
				t.Errorf("p50 %v ms is above p99 %v ms", f["p50_ms"], f["p99_ms"])
			}
			if got := targetNames(t, lines[len(lines)-1]); !slices.Equal(got, c.targets) {
				t.Errorf("targets %v, want %v", got, c.targets)
			}
		})
	}
}

// A tiny table: a line of targets with every row that can be measured, the drawing
// and the table of the document.
func TestBenchClearingTable(t *testing.T) {
	dir := t.TempDir()
	drawing, document := filepath.Join(dir, "load.svg"), filepath.Join(dir, "doc.md")
	if err := os.WriteFile(document, []byte("before\n"+tableBegins+"old\n"+tableEnds+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := runBenchClearing(t, "--all", "--accounts", "150", "--many", "300", "--past", "4000", "--seconds", "0.05", "--json", "--svg", drawing, "--markdown", document)
	want := []string{"in_process", "in_process_of_ceiling", "verify_1024_over_btcec", "hot_over_even", "beside_forgers_over_alone", "api_batches_of_500", "api_single_64_clients",
		"orders_of_100_payees", "quarter_of_peak_p99", "lone_payment_p50", "memory_per_account", "cost_many_over_few_accounts", "recovery"}
	if got := targetNames(t, lines[len(lines)-1]); !slices.Equal(got, want) {
		t.Errorf("targets %v, want %v", got, want)
	}
	var all struct {
		Runs []struct {
			Name                string
			Acknowledged, Found int
		}
		Offered []offeredLoad
	}
	if err := json.Unmarshal([]byte(lines[0]), &all); err != nil || len(all.Runs) != 8 || len(all.Offered) != len(offeredShares) {
		t.Fatalf("%d runs, %d loads, error %v", len(all.Runs), len(all.Offered), err)
	}
	for _, r := range all.Runs {
		if r.Acknowledged == 0 || r.Found != r.Acknowledged {
			t.Errorf("%s: %d acknowledged, %d found", r.Name, r.Acknowledged, r.Found)
		}
	}
	svg, err := os.ReadFile(drawing)
	if err != nil || !bytes.Contains(svg, []byte("latency (ms)")) {
		t.Errorf("the drawing names no latency; error %v", err)
	}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the drawing is not XML: %v", err)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil || !strings.HasPrefix(string(text), "before\n"+tableBegins) || !strings.HasSuffix(string(text), tableEnds+"after\n") ||
		strings.Contains(string(text), "old") || !strings.Contains(string(text), "| `hot_over_even` |") {
		t.Errorf("error %v; the document is now:\n%s", err, text)
	}
}

// An order that was acknowledged with a place at which the journal has another one
// counts as lost.
func TestBenchClearingCountsLostOrders(t *testing.T) {
	b := &clearingBench{options: clearingOptions{Accounts: 20}, say: func(string, ...any) {}}
	lost := -1
	err := b.withBank(t.Context(), func(ctx context.Context, bank *clearingBank) error {
		lanes, err := bank.sign(ctx, traffic{Payees: 1}, 1, 10)
		if err != nil {
			return err
		}
		l := &lanes[0]
		if l.answers, err = bank.engineTeller(ctx, l.orders, l.answers); err != nil {
			return err
		}
		l.answers[3].index, l.answers[4].batch = l.answers[5].index, l.answers[4].batch+1
		l.orders[6] = &ledger.Order{Bank: bank.charter.ID(), Body: &ledger.Close{}}
		acknowledged, found, err := bank.lookUp(ctx, lanes, 0)
		lost = acknowledged - found
		return err
	})
	if err != nil || lost != 3 {
		t.Errorf("%d lost, error %v, want 3: one place is named twice, one is empty, one has another order", lost, err)
	}
}

func TestBenchClearingRefusesOptions(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--accounts 1", "--accounts"},
		{"--hot 1.5", "--hot"},
		{"--payees 1001", "--payees"},
		{"--api=carrier-pigeon", "--api"},
		{"--seconds 0", "--seconds"},
		{"--seconds NaN", "--seconds"},
		{"--svg x.svg", "--all"},
	} {
		cmd := newBenchClearingCommand()
		cmd.SetArgs(strings.Fields(c.args))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that names %s", c.args, err, c.want)
		}
	}
}

func runBenchClearing(t *testing.T, args ...string) (lines []string) {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := newBenchClearingCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func targetNames(t *testing.T, line string) (names []string) {
	t.Helper()
	var last struct{ Targets []benchTarget }
	if err := json.Unmarshal([]byte(line), &last); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	for _, target := range last.Targets {
		names = append(names, target.Name)
	}
	return names
}
