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

	"github.com/daobank/daobank/bitcoind"
)

// nodeBlocks is the length of the funded chain that measured nodes begin with.
const nodeBlocks = 101

// nodeBench is a run and its result, which --json prints.
type nodeBench struct {
	Machine benchMachine  `json:"machine"`
	Node    bitcoind.Info `json:"node"`
	Figures []nodeFigure  `json:"figures"`
	LeftOut []leftOut     `json:"left_out"`

	options nodeBenchOptions
	targets []benchTarget
	say     func(format string, args ...any)
}

type nodeBenchOptions struct {
	Rounds   int // of each step
	Parallel int // nodes at once
	Repeats  int // of those
}

// nodeFigure is the time of a step.
type nodeFigure struct {
	Name   string  `json:"name"`
	Rounds int     `json:"rounds"`
	MinMS  float64 `json:"min_ms"`
	MedMS  float64 `json:"median_ms"`
	MaxMS  float64 `json:"max_ms"`
}

// leftOut is a target that could not be measured.
type leftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// nodeSections are measured one after the other.
var nodeSections = []func(*nodeBench, context.Context) error{
	(*nodeBench).measureStart,
	(*nodeBench).measureWarm,
	(*nodeBench).measureMine,
	(*nodeBench).measureReorg,
	(*nodeBench).measureParallel,
	(*nodeBench).measureDocker,
}

func newBenchNodeCommand() *cobra.Command {
	o := nodeBenchOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Measure how fast package bitcoind gives tests a node, beside the bare program",
		Long: `node measures package bitcoind on the local bitcoind. In turn with each start of a node
that has a funded chain of 101 blocks it spawns the bare program, which has none, and
asks it until it answers: what the machine does besides then slows both alike.

The rows are the start, a node from the warm pool, a block, a reorganisation of six
blocks that keeps twenty transactions, fifty nodes at once, twenty times over, and the
start of a container. It takes a few minutes.`,
		Example: `  daobank bench node
  daobank bench node --json | tail -n 1 | jq '.targets[] | select(.met | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Rounds < 1 || o.Parallel < 1 || o.Repeats < 1 {
				return errors.New("--rounds, --parallel and --repeats: give 1 or more")
			}
			b, err := runNodeBench(cmd.Context(), o, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				return writeBenchJSON(cmd.OutOrStdout(), b, b.targets)
			}
			return b.writeText(cmd.OutOrStdout())
		},
	}
	jsonFlag(cmd, &asJSON)
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 15, "how often each step is timed")
	f.IntVar(&o.Parallel, "parallel", 50, "how many nodes are started at once")
	f.IntVar(&o.Repeats, "repeats", 20, "how often they are")
	return cmd
}

func runNodeBench(ctx context.Context, o nodeBenchOptions, progress io.Writer) (*nodeBench, error) {
	b := &nodeBench{Machine: thisMachine(), LeftOut: []leftOut{}, options: o,
		say: sayTo(progress)}
	// The first node also mines the chain that the others copy.
	node, err := bitcoind.Open(ctx, bitcoind.WithBlocks(nodeBlocks))
	if err != nil {
		return nil, err
	}
	b.Node = node.Info()
	// The bare program gets its directory where the package's nodes have theirs: in
	// memory, where Linux offers it.
	if err := os.Setenv("TMPDIR", filepath.Dir(filepath.Dir(node.Log()))); err != nil {
		return nil, err
	}
	if err := node.Close(); err != nil {
		return nil, err
	}
	if b.Node.Program == "" {
		return nil, fmt.Errorf("the bench wants a bitcoind on this machine, and found %s; run `make setup`, or set BITCOIND", b.Node)
	}
	for _, section := range nodeSections {
		if err := section(b, ctx); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// local are the options of every measured node that is no container.
func (b *nodeBench) local() []bitcoind.Option {
	return []bitcoind.Option{bitcoind.WithBinary(b.Node.Program), bitcoind.WithBlocks(nodeBlocks)}
}

// record adds the times of a step.
func (b *nodeBench) record(name string, times []time.Duration) nodeFigure {
	low, high := times[0], times[0]
	for _, t := range times {
		low, high = min(low, t), max(high, t)
	}
	f := nodeFigure{Name: name, Rounds: len(times), MinMS: milliseconds(low), MedMS: milliseconds(median(times)), MaxMS: milliseconds(high)}
	b.Figures = append(b.Figures, f)
	b.say("measured %s: %s", name, shortTime(1000*f.MedMS))
	return f
}

func (b *nodeBench) leave(name string, reason error) {
	b.LeftOut = append(b.LeftOut, leftOut{Name: name, Reason: reason.Error()})
	b.say("left out %s: %v", name, reason)
}

func (b *nodeBench) target(name string, value float64, unit string, limit float64) {
	b.targets = append(b.targets, atMost(name, value, unit, limit))
}

func milliseconds(d time.Duration) float64 { return microseconds(d) / 1000 }

func (b *nodeBench) writeText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s, %d cores\n\n", b.Node, b.Machine.Cores)
	fmt.Fprintln(w, "step\trounds\tleast\tmedian\tmost")
	for _, f := range b.Figures {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", f.Name, f.Rounds, shortTime(1000*f.MinMS), shortTime(1000*f.MedMS), shortTime(1000*f.MaxMS))
	}
	fmt.Fprintln(w)
	for _, t := range b.targets {
		fmt.Fprintln(w, t)
	}
	for _, l := range b.LeftOut {
		fmt.Fprintf(w, "\nleft out %s: %s\n", l.Name, l.Reason)
	}
	return w.Flush()
}
