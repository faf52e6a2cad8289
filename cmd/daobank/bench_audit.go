package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/bitcoind"
)

// auditBench is a run and its result, which --json prints.
type auditBench struct {
	Machine     benchMachine    `json:"machine"`
	Accounts    int             `json:"accounts"`
	Transfers   int             `json:"transfers"`
	ExportBytes float64         `json:"export_bytes_per_transfer"`
	Replays     []replayFigures `json:"replays"`
	Tree        treeFigures     `json:"tree"`

	options auditBenchOptions
	say     func(format string, args ...any)
}

type auditBenchOptions struct {
	Accounts  int
	Transfers int
	Rounds    int
	Tree      int
	Changed   int
}

// replayFigures are an audit from an export.
type replayFigures struct {
	Signatures bool    `json:"signatures"`
	Seconds    float64 `json:"seconds"`    // of the transfers, the median of all rounds
	PerSecond  float64 `json:"per_second"` // transfers
	CPU        float64 `json:"cpu_us"`     // processor time of one transfer
	Cores      float64 `json:"cores"`      // that the process had while it measured
	FreeCores  float64 `json:"per_second_of_all_cores"`
}

func newBenchAuditCommand() *cobra.Command {
	o := auditBenchOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Measure how fast an auditor replays a journal, and what proofs cost",
		Long: `audit makes a journal of signed transfers, with a deposit on a private regtest node,
exports it, and audits the export as "daobank audit --export" does: once with every
signature, once without the members'. It measures what a transfer takes in the export,
and how long the sum tree of a large bank takes at a cut.

Signing the journal takes most of the minutes that it runs.`,
		Example: `  daobank bench audit
  daobank bench audit --json | tail -n 1 | jq '.targets[] | select(.met | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Accounts < 2 || o.Transfers < 50_000 || o.Rounds < 1 || o.Tree < 2 || o.Changed < 1 || o.Changed > o.Tree {
				return errors.New("--accounts and --tree: at least 2; --transfers: at least 50,000; --rounds: at least 1; --changed: from 1 to --tree")
			}
			b := &auditBench{Machine: thisMachine(), Accounts: o.Accounts, Transfers: o.Transfers, options: o,
				say: sayTo(cmd.ErrOrStderr())}
			if err := b.run(cmd.Context()); err != nil {
				return err
			}
			return b.write(cmd.OutOrStdout(), asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.IntVar(&o.Accounts, "accounts", 100_000, "members' accounts of the journal")
	f.IntVar(&o.Transfers, "transfers", 500_000, "transfers of the journal, of one payee each")
	f.IntVar(&o.Rounds, "rounds", 5, "how often each replay is timed")
	f.IntVar(&o.Tree, "tree", 1_000_000, "accounts of the bank whose sum tree is timed")
	f.IntVar(&o.Changed, "changed", 50_000, "of these, those that change between two cuts")
	return cmd
}

func (b *auditBench) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "daobank-bench-audit-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	node, err := bitcoind.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	b.say("signing a journal of %d accounts and %d transfers", b.Accounts, b.Transfers)
	bank, err := b.makeJournal(ctx, node, dir)
	if err != nil {
		return err
	}
	if b.ExportBytes, err = b.exportSize(dir, bank); err != nil {
		return err
	}
	b.say("a transfer takes %.1f bytes", b.ExportBytes)
	for _, signatures := range []bool{true, false} {
		f, err := b.replay(ctx, node, dir, bank, signatures)
		if err != nil {
			return err
		}
		b.Replays = append(b.Replays, f)
		b.say("replayed with signatures %v: %.0f transfers a second, %.2f µs of processor time each", signatures, f.PerSecond, f.CPU)
	}
	b.say("opening %d accounts for the tree", b.options.Tree)
	b.Tree, err = measureTree(b.options.Tree, b.options.Changed)
	return err
}

// exportSize is what the files grew by for each transfer.
func (b *auditBench) exportSize(dir string, bank *journalBank) (float64, error) {
	size, err := setSize(dir)
	return float64(size-bank.sizeBefore) / float64(b.Transfers), err
}

func setSize(dir string) (total int64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}

// replay audits the export some times and times the transfers in it: from the report
// that all before them is proved to the end of the audit.
func (b *auditBench) replay(ctx context.Context, node *bitcoind.Node, dir string, bank *journalBank, signatures bool) (f replayFigures, err error) {
	f.Signatures = signatures
	var elapsed []time.Duration
	var used, total time.Duration
	for range b.options.Rounds {
		set, err := export.Open(dir)
		if err != nil {
			return f, err
		}
		var began time.Time
		var cpu time.Duration
		report, err := audit.Run(ctx, audit.Config{Charter: bank.charter, Vault: bank.vault, Journal: set, Chain: node, WithoutSignatures: !signatures,
			Progress: func(p audit.Progress) {
				if began.IsZero() && p.Batch >= bank.funded {
					began, cpu = time.Now(), ownCPU()
				}
			}})
		if err != nil {
			return f, err
		}
		if took := time.Since(began); !report.OK || report.Orders != bank.orders {
			return f, fmt.Errorf("the audit of the bench's own journal: %d orders of %d, first difference %+v", report.Orders, bank.orders, report.First)
		} else {
			elapsed, total, used = append(elapsed, took), total+took, used+ownCPU()-cpu
		}
	}
	took := median(elapsed)
	n := float64(b.Transfers)
	f.Seconds, f.PerSecond = took.Seconds(), n/took.Seconds()
	f.CPU = microseconds(used) / n / float64(b.options.Rounds)
	f.Cores = used.Seconds() / total.Seconds()
	f.FreeCores = float64(b.Machine.Cores) * 1e6 / f.CPU
	return f, nil
}

func (b *auditBench) targets() []benchTarget {
	return []benchTarget{
		atLeast("replay_with_every_signature", b.Replays[0].PerSecond, "transfers/s", 50_000),
		atLeast("replay_without_signatures", b.Replays[1].PerSecond, "transfers/s", 400_000),
		atMost("sum_tree_1000000_accounts_50000_changed", b.Tree.UpdateMS, "ms", 500),
		atMost("balance_proof_1000000_accounts", float64(b.Tree.Proof.Bytes), "bytes", 3071),
		atMost("balance_proof_verified", b.Tree.Proof.VerifyMS, "ms", 1),
		atMost("export_bytes_per_transfer", b.ExportBytes, "bytes", 140),
	}
}

func (b *auditBench) write(out io.Writer, asJSON bool) error {
	if asJSON {
		return writeBenchJSON(out, b, b.targets())
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s/%s, %d cores, %s\n\n", b.Machine.GOOS, b.Machine.GOARCH, b.Machine.Cores, b.Machine.Go)
	fmt.Fprintln(w, "replay\tper second\tprocessor time each\tcores had\tper second, all cores free")
	for _, f := range b.Replays {
		what := "with every signature"
		if !f.Signatures {
			what = "without members' signatures"
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.2f µs\t%.2f\t%.0f\n", what, f.PerSecond, f.CPU, f.Cores, f.FreeCores)
	}
	fmt.Fprintf(w, "\nsum tree of %d accounts\tfirst %.0f ms\t%d changed: %.1f ms\n\n", b.Tree.Accounts, b.Tree.FirstMS, b.Tree.Changed, b.Tree.UpdateMS)
	fmt.Fprintf(w, "proof of a balance\t%d bytes\tread and verified in %.2f ms\n\n", b.Tree.Proof.Bytes, b.Tree.Proof.VerifyMS)
	for _, t := range b.targets() {
		fmt.Fprintln(w, t)
	}
	return w.Flush()
}
