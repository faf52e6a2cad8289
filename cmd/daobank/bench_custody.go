package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/taproot"
)

// custodySizes are the groups that are measured, t of n.
var custodySizes = [][2]int{{2, 3}, {3, 5}, {7, 10}, {10, 15}, {33, 50}, {67, 100}, {86, 128}}

// joinSizes are the DAOs that a member joins, in members.
var joinSizes = []int{2, 100, 10_000, 1_000_000}

// custodySections are measured one after the other; each adds its figures to the
// result and returns the targets that they are held against.
var custodySections = []func(context.Context, *custodyBench) ([]benchTarget, error){
	measureSchemes,
	measureJoining,
	measureSettlement,
}

type custodyOptions struct {
	Sizes [][2]int // groups, t of n
	Joins []int    // DAOs that a member joins, in members
	Max   int      // largest group
	SVG   string   // file; empty draws nothing
}

// custodyBench is a run and its result, which --json prints.
type custodyBench struct {
	Machine benchMachine    `json:"machine"`
	UnitUS  float64         `json:"verification_us"` // median of the whole run
	Schemes []schemeFigures `json:"schemes"`
	Joining []joinFigures   `json:"joining"`
	// Settlement is left out when groups of ten are.
	Settlement []settleFigures `json:"settlement,omitempty"`

	options custodyOptions
	clock   *benchClock
	say     func(format string, args ...any)
}

// benchMachine is what the figures depend on.
type benchMachine struct {
	GOOS    string            `json:"goos"`
	GOARCH  string            `json:"goarch"`
	Cores   int               `json:"cores"`
	Go      string            `json:"go"`
	Modules map[string]string `json:"modules"`
}

func newBenchCustodyCommand() *cobra.Command {
	o := custodyOptions{Sizes: custodySizes, Joins: joinSizes}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "custody",
		Short: "Compare the ways of owning the vault together, from 2-of-3 to 86-of-128",
		Long: `custody measures, for each scheme and size of group, what key generation, the two
rounds of a signature, its aggregation and its verification cost, how many bytes
cross the wire, and how large the spend is on chain. Times stand beside one btcec
schnorr verification, measured right before each step.

  frost          t of n by BIP-445, keys by ChillDKG: what the bank uses
  musig2         n of n by BIP-327, lnd's sessions
  musig2_leaves  one MuSig2 leaf for each set of t; only where the sets are few
  checksigadd    t of n, each with a signature of its own on chain

Then it lets a member join DAOs of 2 to 1,000,000 members, and has a settlement of
20 coins signed by 7 of 10 guardians in processes of their own, on a private node and
database: all honest, three dead, three lying. All in all it takes one to three
minutes.`,
		Example: `  daobank bench custody
  daobank bench custody --svg custody.svg
  daobank bench custody --json | tail -n 1 | jq '.targets[] | select(.met | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, targets, err := runCustodyBench(cmd.Context(), o, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if o.SVG != "" {
				if err := b.writeSVG(o.SVG); err != nil {
					return err
				}
			}
			if asJSON {
				return writeBenchJSON(cmd.OutOrStdout(), b, targets)
			}
			return b.writeText(cmd.OutOrStdout(), targets)
		},
	}
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.StringVar(&o.SVG, "svg", "", "draw the figures into this file")
	f.IntVar(&o.Max, "max", 128, "leave out groups of more guardians than this, and their targets")
	return cmd
}

func runCustodyBench(ctx context.Context, o custodyOptions, progress io.Writer) (*custodyBench, []benchTarget, error) {
	clock, err := newBenchClock()
	if err != nil {
		return nil, nil, err
	}
	b := &custodyBench{Machine: thisMachine(), options: o, clock: clock,
		say: sayTo(progress)}
	var targets []benchTarget
	for _, section := range custodySections {
		met, err := section(ctx, b)
		if err != nil {
			return nil, nil, err
		}
		targets = append(targets, met...)
	}
	b.UnitUS = microseconds(median(clock.units))
	return b, targets, nil
}

// measureSchemes fills in a row for each scheme and size.
func measureSchemes(ctx context.Context, b *custodyBench) ([]benchTarget, error) {
	var targets []benchTarget
	for _, size := range b.options.Sizes {
		if size[1] > b.options.Max {
			continue
		}
		for _, scheme := range []taproot.Scheme{taproot.FROST, taproot.MuSig2, taproot.MuSig2Leaves, taproot.CheckSigAdd} {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			row, err := b.measureScheme(ctx, scheme, size[0], size[1])
			if err != nil {
				return nil, fmt.Errorf("%s %d of %d: %w", scheme, size[0], size[1], err)
			}
			b.Schemes = append(b.Schemes, row)
			b.say("measured %s", row.name())
			if scheme == taproot.FROST {
				targets = append(targets, frostTargets(row)...)
			}
		}
	}
	return targets, nil
}

// frostTargets holds a row of FROST against what the project has set itself.
func frostTargets(row schemeFigures) []benchTarget {
	const unit = "btcec verifications"
	switch [2]int{row.Threshold, row.Guardians} {
	case [2]int{7, 10}:
		return []benchTarget{atMost("chilldkg_7_of_10_per_participant", row.KeyGeneration.Verifications, unit, 80)}
	case [2]int{67, 100}:
		return []benchTarget{
			atMost("round2_67_of_100", row.Round2.Verifications, unit, 8),
			atMost("aggregate_verify_67_of_100", row.Aggregate.Verifications, unit, 6),
		}
	}
	return nil
}

// thisMachine names what stands behind the figures.
func thisMachine() benchMachine {
	m := benchMachine{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), Modules: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	for _, dependency := range info.Deps {
		switch dependency.Path {
		case "github.com/btcsuite/btcd/btcec/v2", "github.com/decred/dcrd/dcrec/secp256k1/v4", "github.com/lightningnetwork/lnd":
			m.Modules[dependency.Path] = dependency.Version
		}
	}
	return m
}

func (b *custodyBench) writeSVG(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := b.draw(file); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return file.Close()
}
