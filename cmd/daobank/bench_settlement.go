package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// settlementSections are measured one after the other; each adds its figures and
// targets. Any can be asked for alone.
var settlementSections = []struct {
	name    string
	measure func(context.Context, *settlementBench) error
}{
	{"size", measureSize},
	{"catchup", measureCatchUp},
	{"speed", measureSpeed},
}

// settlementBench is a run and its result, which --json prints.
type settlementBench struct {
	Machine benchMachine   `json:"machine"`
	Size    []sizeFigures  `json:"size,omitempty"`
	CatchUp catchUpFigures `json:"catch_up"`
	Speed   speedFigures   `json:"speed"`

	options settlementBenchOptions

	targets []benchTarget
	say     func(format string, args ...any)
}

func (b *settlementBench) target(t benchTarget) { b.targets = append(b.targets, t) }

type settlementBenchOptions struct {
	Only     []string // sections; none means all
	Accounts int
	SVG      string // file; empty draws nothing
}

func newBenchSettlementCommand() *cobra.Command {
	o := settlementBenchOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "settlement",
		Short: "Measure how fast and how cheaply the bank settles on chain",
		Long: `settlement measures, on private nodes and databases:

  size     vbytes and price of a payout as the batch grows from 1 to 1,000 P2TR
           payouts, beside one transaction for each
  catchup  how fast a bank that was down takes in 10,000 blocks
  speed    from the block to the broadcast of a settlement of 1,000 payouts and 200
           deposits, in a bank of 1,000,000 accounts, signed by 7 of 10 guardians in
           processes of their own; step by step, the median of three

The last one opens a million accounts, which each of the ten guardians replays with
every signature: it wants some 5 GB of memory and ten minutes. It also counts which of
the payouts that were ordered the chain holds in the end.`,
		Example: `  daobank bench settlement
  daobank bench settlement --only size --svg settlement.svg
  daobank bench settlement --json | tail -n 1 | jq '.targets[] | select(.met | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := runSettlementBench(cmd.Context(), o, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if o.SVG != "" {
				if err := b.writeSVG(o.SVG); err != nil {
					return err
				}
			}
			if asJSON {
				return writeBenchJSON(cmd.OutOrStdout(), b, b.targets)
			}
			return b.writeText(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object of figures and, as the last line, one of targets")
	f.IntVar(&o.Accounts, "accounts", 1_000_000, "accounts of the large bank")
	f.StringSliceVar(&o.Only, "only", nil, "measure these sections alone: size, catchup, speed")
	f.StringVar(&o.SVG, "svg", "", "draw size and price of a payout into this file")
	return cmd
}

func runSettlementBench(ctx context.Context, o settlementBenchOptions, progress io.Writer) (*settlementBench, error) {
	b := &settlementBench{Machine: thisMachine(), options: o, say: func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }}
	for _, section := range settlementSections {
		if len(o.Only) > 0 && !slices.Contains(o.Only, section.name) {
			continue
		}
		if err := section.measure(ctx, b); err != nil {
			return nil, fmt.Errorf("%s: %w", section.name, err)
		}
	}
	return b, nil
}

func (b *settlementBench) writeText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(b.Size) > 0 {
		fmt.Fprintln(w, "payouts\tvbytes\tper payout\tfloor\talone\towner pays\ttreasury pays (sat at 2 sat/vB)")
		for _, f := range b.Size {
			fmt.Fprintf(w, "%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\n", f.Payouts, f.VBytes, f.PerPayout, f.Floor, aloneVBytes, f.MemberSat, f.TreasurySat)
		}
		fmt.Fprintln(w)
	}
	if b.CatchUp.Blocks > 0 {
		fmt.Fprintf(w, "%d blocks caught up in %.2f s\n\n", b.CatchUp.Blocks, b.CatchUp.Seconds)
	}
	if len(b.Speed.Rounds) > 0 {
		fmt.Fprintf(w, "%d accounts, %s guardians, seconds\n", b.Speed.Accounts, b.Speed.Guardians)
		fmt.Fprintln(w, "inputs\toutputs\tbooks\tcut\tsign\tstore\tsend\ttotal\tprocessors")
		for _, r := range b.Speed.Rounds {
			fmt.Fprintf(w, "%d\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.2f\n", r.Inputs, r.Outputs, r.Books, r.Cut, r.Sign, r.Store, r.Send, r.Total, r.Processor)
		}
		fmt.Fprintln(w)
	}
	for _, t := range b.targets {
		fmt.Fprintln(w, t)
	}
	return w.Flush()
}

func (b *settlementBench) writeSVG(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := b.draw(file); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return file.Close()
}
