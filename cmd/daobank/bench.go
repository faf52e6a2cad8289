package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/spf13/cobra"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what the bank's parts cost on this machine",
		Long: `bench measures on this machine, with the code that the bank runs, and compares the
figures with the targets that the project has set itself. docs/benchmarks.md says
how each is measured.`,
	}
	cmd.AddCommand(newBenchCustodyCommand(), newBenchClearingCommand(), newBenchNodeCommand(), newBenchSettlementCommand(), newBenchAuditCommand())
	return cmd
}

// benchTarget is a figure beside what it has to reach.
type benchTarget struct {
	Name    string   `json:"name"`
	Value   float64  `json:"value"`
	Unit    string   `json:"unit"`
	AtLeast *float64 `json:"at_least,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
	Met     bool     `json:"met"`
}

func atMost(name string, value float64, unit string, limit float64) benchTarget {
	return benchTarget{Name: name, Value: value, Unit: unit, AtMost: &limit, Met: value <= limit}
}

// jsonFlag lets a bench print by writeBenchJSON.
func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object of figures and, as the last line, one of targets")
}

// sayTo tells people, line by line, how far a bench is.
func sayTo(out io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
}

// writeBenchJSON prints the figures of a run as one JSON object and, as the last line,
// its targets.
func writeBenchJSON(out io.Writer, figures any, targets []benchTarget) error {
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(figures); err != nil {
		return err
	}
	return encoder.Encode(struct {
		Targets []benchTarget `json:"targets"`
	}{targets})
}

// A benchClock times steps, each right after btcec verifications that take about
// as long: whatever else the machine does at the time then slows both alike.
type benchClock struct {
	key       *btcec.PublicKey
	signature *schnorr.Signature
	message   [32]byte
	units     []time.Duration // every verification of the run
}

func newBenchClock() (*benchClock, error) {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	c := &benchClock{key: key.PubKey(), message: [32]byte{1}}
	if c.signature, err = schnorr.Sign(key, c.message[:]); err != nil {
		return nil, err
	}
	for range 50 { // caches and clock frequency
		c.verify()
	}
	c.units = nil
	return c, nil
}

func (c *benchClock) verify() time.Duration {
	began := time.Now()
	c.signature.Verify(c.message[:], c.key)
	elapsed := time.Since(began)
	c.units = append(c.units, elapsed)
	return elapsed
}

// unitMax bounds how long a step's verifications may take.
const unitMax = 20 * time.Millisecond

// unit is the mean time of verifications that take some duration in all, at
// least of one.
func (c *benchClock) unit(duration time.Duration) time.Duration {
	var total time.Duration
	count := 0
	for count == 0 || total < min(duration, unitMax) {
		total += c.verify()
		count++
	}
	return total / time.Duration(count)
}

// benchSamples are the times of one step, and each as a multiple of the
// verifications before it.
type benchSamples struct {
	steps     []time.Duration
	multiples []float64
}

// time runs f once and adds the sample.
func (c *benchClock) time(s *benchSamples, f func() error) error {
	var expected time.Duration
	if len(s.steps) > 0 {
		expected = s.steps[len(s.steps)-1]
	}
	unit := c.unit(expected)
	began := time.Now()
	err := f()
	elapsed := time.Since(began)
	s.add(elapsed, float64(elapsed)/float64(unit))
	return err
}

func (s *benchSamples) add(step time.Duration, multiple float64) {
	s.steps, s.multiples = append(s.steps, step), append(s.multiples, multiple)
}

// benchFigure is a step's cost: the medians of its samples.
type benchFigure struct {
	Microseconds  float64 `json:"us"`
	Verifications float64 `json:"verifications"`
}

func (s *benchSamples) figure() benchFigure {
	if len(s.steps) == 0 {
		return benchFigure{}
	}
	return benchFigure{Microseconds: microseconds(median(s.steps)), Verifications: median(s.multiples)}
}

// median is of at least one value.
func median[T time.Duration | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// shortTime writes microseconds for people.
func shortTime(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2f s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.2f ms", us/1e3)
	}
	return fmt.Sprintf("%.0f µs", us)
}
