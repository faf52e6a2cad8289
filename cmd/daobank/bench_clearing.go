package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

type clearingOptions struct {
	traffic
	Accounts int
	API      string // apiBatch, apiSingle, or empty for the engine in this process
	Seconds  float64
	All      bool   // the whole table
	Many     int    // accounts of the largest bank of the table
	Past     int    // transfers of the bank that is recovered
	SVG      string // file for the drawing; empty draws nothing
	Markdown string // file whose marked part gets the table
}

// What --api may be.
const (
	apiBatch  = "batch"
	apiSingle = "single"
)

func newBenchClearingCommand() *cobra.Command {
	o := clearingOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "clearing",
		Short: "Measure how many signed transfers a second the bank clears",
		Long: `clearing runs a bank in this process, on a private PostgreSQL with fsync and
synchronous_commit on, opens accounts, signs a load before the clock starts, and hands
it in as fast as it is answered. Each acknowledged order is afterwards looked up in the
journal. In the same run it measures what bounds the rate: batch verification alone and
COPY of the same rows alone, both for one core. The ceiling is 1/(1/verify + 1/copy) for
each core used; cores used are the processor time of bank, load and database divided by
the time.

--all measures every row of the table in docs/benchmarks.md. It takes about ten minutes.`,
		Example: `  daobank bench clearing
  daobank bench clearing --hot 0.8
  daobank bench clearing --payees 100 --accounts 10000
  daobank bench clearing --api=single --json
  daobank bench clearing --forgers 10
  daobank bench clearing --all --json | tail -n 1 | jq '.targets[] | select(.met | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			b := &clearingBench{Machine: thisMachine(), options: o, say: func(format string, args ...any) {
				fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
			}}
			targets, err := b.run(cmd.Context())
			if err != nil {
				return err
			}
			return b.write(cmd.OutOrStdout(), targets, asJSON)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object of figures and, as the last line, one of targets")
	f.IntVar(&o.Accounts, "accounts", 100_000, "members' accounts")
	f.Float64Var(&o.Hot, "hot", 0, "share of the traffic that stays between 10 accounts, from 0 to 1")
	f.IntVar(&o.Payees, "payees", 1, "payees of each order")
	f.IntVar(&o.Forgers, "forgers", 0, "callers that hand in orders with bad signatures all the time, in calls as large as the others'")
	f.StringVar(&o.API, "api", "", `over HTTP: "batch" for 500 orders at a time, "single" for 64 clients with one at a time`)
	f.Lookup("api").NoOptDefVal = apiBatch
	f.Float64Var(&o.Seconds, "seconds", 5, "time under load")
	f.BoolVar(&o.All, "all", false, "measure the whole table")
	f.IntVar(&o.Many, "many", 1_000_000, "with --all, the accounts of the largest bank")
	f.IntVar(&o.Past, "past", recoveryTarget.Transfers, "with --all, the transfers of the bank that is recovered")
	f.StringVar(&o.SVG, "svg", "", "with --all, draw rate and latency over offered load into this file")
	f.StringVar(&o.Markdown, "markdown", "", "with --all, write the table between the marks of this file")
	return cmd
}

func (o *clearingOptions) validate() error {
	switch {
	case o.Accounts < 2 || o.Accounts > 10_000_000:
		return errors.New("--accounts is from 2 to 10,000,000")
	case o.Hot < 0 || o.Hot > 1:
		return errors.New("--hot is a share, from 0 to 1")
	case o.Payees < 1 || o.Payees > ledger.MaxPayees:
		return fmt.Errorf("--payees is from 1 to %d", ledger.MaxPayees)
	case o.Forgers < 0 || o.Forgers > 1000:
		return errors.New("--forgers is from 0 to 1,000")
	case o.API != "" && o.API != apiBatch && o.API != apiSingle:
		return fmt.Errorf("--api is %q or %q", apiBatch, apiSingle)
	case o.Many < 2 || o.Many > 10_000_000 || o.Past < 100 || o.Past > 100_000_000:
		return errors.New("--many is from 2 to 10,000,000, --past from 100 to 100,000,000")
	case !(o.Seconds > 0 && o.Seconds <= 600):
		return errors.New("--seconds is above 0 and at most 600")
	case !o.All && (o.SVG != "" || o.Markdown != ""):
		return errors.New("--svg and --markdown need --all")
	}
	return nil
}

// expectedRate sizes the warm-up, which then tells the real rate.
const expectedRate = 20_000

// run is the one that the options describe.
func (o *clearingOptions) run() clearingRun {
	r := clearingRun{traffic: o.traffic, lanes: engineLanes, atATime: engineAtATime, clients: beside,
		limit: time.Duration(o.Seconds * float64(time.Second)), rate: max(1, float64(expectedRate/o.Payees))}
	switch o.API {
	case apiBatch:
		r.lanes, r.atATime, r.clients = batchLanes, batchAtATime, overHTTP
	case apiSingle:
		r.lanes, r.atATime, r.clients, r.rate = singleLanes, 1, overHTTP, expectedRate/4
	}
	return r
}

// clearingBench is a session of measurements and its result, which --json prints.
type clearingBench struct {
	Machine  benchMachine    `json:"machine"`
	Postgres string          `json:"postgres"`
	Runs     []namedRun      `json:"runs"`
	Lone     latencyFigure   `json:"lone"`    // one payment at a time on an idle bank
	Quarter  latencyFigure   `json:"quarter"` // at a quarter of the peak
	Offered  []offeredLoad   `json:"offered"`
	Memory   float64         `json:"bytes_per_account"`
	Recovery recoveryFigures `json:"recovery"`

	options clearingOptions
	pg      *cluster.Cluster
	say     func(format string, args ...any)
}

type namedRun struct {
	Name string `json:"name"`
	clearingFigures
}

// serverSettings keep checkpoints, which are the disk's business, out of runs of a
// few seconds, and the segments of the log that are there. What makes COMMIT durable
// is as PostgreSQL has it.
var serverSettings = []cluster.Option{
	cluster.WithSetting("shared_buffers", "512MB"),
	cluster.WithSetting("max_wal_size", "8GB"),
	cluster.WithSetting("min_wal_size", "4GB"),
	cluster.WithSetting("fsync", "on"),
	cluster.WithSetting("synchronous_commit", "on"),
}

func (b *clearingBench) run(ctx context.Context) (targets []benchTarget, err error) {
	err = b.withBank(ctx, func(ctx context.Context, bank *clearingBank) error {
		if b.options.All {
			targets, err = b.measureTable(ctx, bank)
			return err
		}
		f, err := b.measure(ctx, bank, "run", b.options.run())
		targets = append(b.options.targets(&f), verifyTarget(&f))
		return err
	})
	return targets, err
}

// withBank opens a server and a bank on it for the time of f.
func (b *clearingBench) withBank(ctx context.Context, f func(context.Context, *clearingBank) error) (err error) {
	if b.pg, err = cluster.Open(ctx, serverSettings...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.pg.Close()) }()
	b.Postgres, _, _ = strings.Cut(b.pg.Info(), ",") // what follows is where it runs
	bank, err := openClearingBank(ctx, b.pg, b.options.Accounts, b.say)
	if err != nil {
		return err
	}
	err = bank.fillLog(ctx, min(int(16*b.options.Seconds), logSegmentsMax))
	return errors.Join(err, f(ctx, bank), bank.close())
}

// measure adds one run to the result.
func (b *clearingBench) measure(ctx context.Context, bank *clearingBank, name string, r clearingRun) (clearingFigures, error) {
	f, err := bank.measure(ctx, r, b.say)
	if err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	if f.Lost > 0 {
		return f, fmt.Errorf("%s: %d of %d acknowledged orders are not in the journal", name, f.Lost, f.Acknowledged)
	}
	b.Runs = append(b.Runs, namedRun{name, f})
	b.say("%s: %.0f transfers a second, %.2f of the ceiling, %.1f µs each and %.1f µs later", name, f.PerSecond, f.Ratio, f.cost(), f.Deferred)
	if f.refused > 0 {
		b.say("%s: %.0f forged orders a second were refused beside", name, float64(f.refused)/f.Seconds)
	}
	return f, nil
}

func (b *clearingBench) write(out io.Writer, targets []benchTarget, asJSON bool) error {
	if b.options.SVG != "" {
		if err := b.writeSVG(b.options.SVG); err != nil {
			return err
		}
	}
	if b.options.Markdown != "" {
		if err := b.writeMarkdown(b.options.Markdown, targets); err != nil {
			return err
		}
	}
	if !asJSON {
		return b.writeText(out, targets)
	}
	encoder := json.NewEncoder(out)
	var figures any = b
	if !b.options.All {
		figures = b.Runs[0].clearingFigures
	}
	if err := encoder.Encode(figures); err != nil {
		return err
	}
	return encoder.Encode(struct {
		Targets []benchTarget `json:"targets"`
	}{targets})
}

func (b *clearingBench) writeSVG(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := b.draw(file); err != nil {
		return errors.Join(fmt.Errorf("draw %s: %w", path, err), file.Close())
	}
	return file.Close()
}
