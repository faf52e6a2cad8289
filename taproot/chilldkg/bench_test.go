package chilldkg

import (
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/taproot/frost"
)

// The cost of a run for one participant, step by step and in all, also as a
// multiple of one btcec verification in the same run. The aim for 7 of 10 is at
// most 80 in all.
func BenchmarkParticipant(b *testing.B) {
	for _, size := range []struct{ t, n int }{{2, 3}, {7, 10}, {67, 100}} {
		b.Run(fmt.Sprintf("%dof%d", size.t, size.n), func(b *testing.B) { benchmarkParticipant(b, size.t, size.n) })
	}
}

func benchmarkParticipant(b *testing.B, threshold, n int) {
	r := finished(b, threshold, n, 1)
	measure := func(name string, steps ...func() time.Duration) {
		b.Run(name, func(b *testing.B) {
			unit := verification(b) // here, as the machine may be busier later
			var total time.Duration
			for b.Loop() {
				for _, step := range steps {
					total += step()
				}
			}
			b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/op")
			b.ReportMetric(float64(total)/float64(b.N)/float64(unit), "verifications/op")
		})
	}
	timed := func(f func() error) time.Duration {
		start := time.Now()
		err := f()
		elapsed := time.Since(start)
		if err != nil {
			b.Fatal(err)
		}
		return elapsed
	}
	// Every randomness is the same, so that each participant fits the one run.
	var p *Participant
	var result *Result
	step1 := func() time.Duration {
		return timed(func() (err error) {
			random := seeded(2) // the first participant reads first
			p, _, err = NewParticipant(r.hosts[0], r.params, random)
			return err
		})
	}
	step2 := func() time.Duration {
		return timed(func() error { _, err := p.Step2(r.hosts[0], r.cmsg1, nil); return err })
	}
	finalize := func() time.Duration {
		return timed(func() (err error) { result, err = p.Finalize(r.cmsg2); return err })
	}
	without := func(step func() time.Duration, before ...func() time.Duration) func() time.Duration {
		return func() time.Duration {
			for _, b := range before {
				b()
			}
			return step()
		}
	}
	measure("NewParticipant", step1)
	measure("Step2", without(step2, step1))
	measure("Finalize", without(finalize, step1, step2))
	measure("All", step1, step2, finalize)
	measure("Recover", func() time.Duration {
		return timed(func() error { _, err := Recover(r.hosts[0], r.hub.RecoveryData); return err })
	})
	measure("Acknowledgements", func() time.Duration {
		return timed(func() error { return acknowledgeAll(r, result) })
	})
}

func acknowledgeAll(r *run, result *Result) error {
	acks, err := NewAcknowledgements(result)
	if err != nil {
		return err
	}
	message, err := result.Acknowledge(r.hosts[0], nil)
	if err != nil {
		return err
	}
	for range r.hosts { // the cost of verifying n
		if err := acks.Add(frost.ID(0), message); err != nil {
			return err
		}
	}
	return nil
}

// verification is the time of one btcec verification.
func verification(b *testing.B) time.Duration {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		b.Fatal(err)
	}
	hash := make([]byte, 32)
	sig, err := schnorr.Sign(key, hash)
	if err != nil {
		b.Fatal(err)
	}
	const rounds = 500
	start := time.Now()
	for range rounds {
		if !sig.Verify(hash, key.PubKey()) {
			b.Fatal("own signature does not verify")
		}
	}
	return time.Since(start) / rounds
}
