package main

import (
	"fmt"
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
	cmd.AddCommand(newBenchCustodyCommand())
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

// A benchClock times steps, each right after one btcec verification, so that
// both see the same state of the machine.
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

// benchSamples are the times of one step and of the verification before each.
type benchSamples struct{ steps, units []time.Duration }

// time runs f once and adds the sample.
func (c *benchClock) time(s *benchSamples, f func() error) error {
	unit := c.verify()
	began := time.Now()
	err := f()
	elapsed := time.Since(began)
	s.add(elapsed, unit)
	return err
}

func (s *benchSamples) add(step, unit time.Duration) {
	s.steps, s.units = append(s.steps, step), append(s.units, unit)
}

// benchFigure is a step's cost: the median of its samples, and that as a
// multiple of the median of the verifications between them.
type benchFigure struct {
	Microseconds  float64 `json:"us"`
	Verifications float64 `json:"verifications"`
}

func (s *benchSamples) figure() benchFigure {
	if len(s.steps) == 0 {
		return benchFigure{}
	}
	step, unit := median(s.steps), median(s.units)
	return benchFigure{Microseconds: microseconds(step), Verifications: float64(step) / float64(unit)}
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
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
