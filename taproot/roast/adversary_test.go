package roast_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/daobank/daobank/taproot/roast"
)

// Whatever mix of bad signers, at whatever speed each: with t good ones it always
// ends with signatures, in time, and blames only who lied.
func TestMixedAdversaries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		threshold := rapid.IntRange(1, 4).Draw(rt, "t")
		n := rapid.IntRange(threshold, 7).Draw(rt, "n")
		as := draw(rt, threshold, n, bad)
		inputs := rapid.IntRange(1, 3).Draw(rt, "messages")
		options := roast.Options{
			Stall: rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, time.Second}).Draw(rt, "stall"),
			// Shorter than no good signer ever is; without, only silence is endless.
			Timeout: rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(rt, "timeout"),
			Retries: rapid.IntRange(0, 2).Draw(rt, "retries"),
		}
		latencies := drawLatencies(rt, n)
		var complaints []string
		synctest.Test(t, func(t *testing.T) {
			c := newCast(t, threshold, inputs, as)
			for i, a := range c.actors {
				a.latency += latencies[i]
			}
			result, err := c.sign(options, time.Hour)
			complaints = c.judge(result, err)
		})
		if complaints != nil {
			rt.Fatalf("%q: %q", as, complaints)
		}
	})
}

// With one good signer too few it ends without, and names each.
func TestMixedAdversariesWithoutQuorum(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		threshold := rapid.IntRange(1, 4).Draw(rt, "t")
		n := rapid.IntRange(threshold, 7).Draw(rt, "n")
		as := draw(rt, threshold-1, n, append(absent[:len(absent):len(absent)], liars...))
		latencies := drawLatencies(rt, n)
		var complaints []string
		synctest.Test(t, func(t *testing.T) {
			c := newCast(t, threshold, 2, as)
			for i, a := range c.actors {
				a.latency += latencies[i]
			}
			_, err := c.sign(patient, 100*time.Hour)
			complaints = c.judgeFailure(err)
		})
		if complaints != nil {
			rt.Fatalf("%q: %q", as, complaints)
		}
	})
}

// draw gives n behaviours in any order, the given number of them good.
func draw(rt *rapid.T, well, n int, others []behaviour) []behaviour {
	as := rapid.SliceOfN(rapid.SampledFrom(good), well, well).Draw(rt, "good")
	as = append(as, rapid.SliceOfN(rapid.SampledFrom(others), n-well, n-well).Draw(rt, "bad")...)
	return rapid.Permutation(as).Draw(rt, "order")
}

func drawLatencies(rt *rapid.T, n int) []time.Duration {
	// Some are less than twice others, so that a session can end while a signer of
	// it is in the middle of the next.
	some := []time.Duration{0, 0, 1, 5, 6, 7, 9, 300, 400, 500}
	return rapid.SliceOfN(rapid.Map(rapid.SampledFrom(some), func(d time.Duration) time.Duration {
		return d * time.Millisecond
	}), n, n).Draw(rt, "latencies")
}
