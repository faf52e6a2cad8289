package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// settlementSections are measured one after the other; each adds its figures and
// targets. Any can be asked for alone.
var settlementSections = []struct {
	name    string
	measure func(context.Context, *settlementBench) error
}{
	{"catchup", measureCatchUp},
	{"speed", measureSpeed},
}

// settlementBench is a run and its result, which --json prints.
type settlementBench struct {
	Machine benchMachine   `json:"machine"`
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
}

func newBenchSettlementCommand() *cobra.Command {
	o := settlementBenchOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "settlement",
		Short: "Measure how fast and how cheaply the bank settles on chain",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := runSettlementBench(cmd.Context(), o, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				return b.writeJSON(cmd.OutOrStdout())
			}
			return b.writeText(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object of figures and, as the last line, one of targets")
	f.IntVar(&o.Accounts, "accounts", 1_000_000, "accounts of the large bank")
	f.StringSliceVar(&o.Only, "only", nil, "measure these sections alone: catchup, speed, size")
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

func (b *settlementBench) writeJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(b); err != nil {
		return err
	}
	return encoder.Encode(struct {
		Targets []benchTarget `json:"targets"`
	}{b.targets})
}

func (b *settlementBench) writeText(out io.Writer) error {
	for _, t := range b.targets {
		if _, err := fmt.Fprintln(out, t); err != nil {
			return err
		}
	}
	return nil
}
