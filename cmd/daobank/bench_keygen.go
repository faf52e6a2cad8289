package main

import (
	"context"
	"runtime"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/quorum"
)

// benchPolicy is a policy without keys, whose recovery key nobody needs.
func benchPolicy(scheme taproot.Scheme, threshold, n int) (taproot.Policy, error) {
	if scheme == taproot.MuSig2 {
		threshold = n
	}
	key, err := btcec.NewPrivateKey()
	return taproot.Policy{Scheme: scheme, Threshold: threshold, Guardians: n, Network: "regtest", Recovery: taproot.Recovery{
		Threshold: 1, Keys: []taproot.XOnlyKey{taproot.XOnlyKey(schnorr.SerializePubKey(key.PubKey()))}, Delay: recoveryDelay}}, err
}

// generateKeys is for the schemes in which each guardian has a key of its own:
// a guardian makes it, sends it to all, and computes the vault from all keys.
func (b *custodyBench) generateKeys(scheme taproot.Scheme, row *schemeFigures) (*quorum.Quorum, error) {
	policy, err := benchPolicy(scheme, row.Threshold, row.Guardians)
	if err != nil {
		return nil, err
	}
	q, err := quorum.Deal(policy, false, nil)
	if err != nil {
		return nil, err
	}
	var samples benchSamples
	began := time.Now()
	for round := range benchRounds {
		if round > 0 && time.Since(began) > benchBudget {
			break
		}
		err := b.clock.time(&samples, func() error {
			if _, err := btcec.NewPrivateKey(); err != nil {
				return err
			}
			_, err := taproot.NewVault(q.Vault().Policy())
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	row.KeyGeneration = samples.figure()
	row.KeyGenerationBytes = row.Guardians * (1 + row.Guardians) * frost.PublicKeySize // to the coordinator, and all from it
	return q, nil
}

// generateFrost runs ChillDKG until all participants have acknowledged. A small
// group does it several times; of a large one only some participants are timed.
func (b *custodyBench) generateFrost(ctx context.Context, row *schemeFigures) (*quorum.Quorum, error) {
	var run *dkgRun
	var samples benchSamples
	for len(samples.steps) < benchRounds {
		var err error
		if run, err = newDKGRun(row.Threshold, row.Guardians); err != nil {
			return nil, err
		}
		timed := min(row.Guardians, benchRounds)
		costs, multiples := make([]time.Duration, timed), make([]float64, timed)
		for _, step := range []func(int) error{run.step1, run.step2, run.finalize, run.acknowledge} {
			var one benchSamples
			for i := range timed {
				if err := b.clock.time(&one, func() error { return step(i) }); err != nil {
					return nil, err
				}
				costs[i] += one.steps[i]
				multiples[i] += one.multiples[i]
			}
			if err := untimed(ctx, timed, row.Guardians, step); err != nil {
				return nil, err
			}
			if err := run.coordinate(); err != nil {
				return nil, err
			}
		}
		for i := range timed {
			samples.add(costs[i], multiples[i])
		}
	}
	row.KeyGeneration, row.KeyGenerationBytes = samples.figure(), run.bytes
	return run.quorum()
}

// untimed lets the other participants take a step, on all cores.
func untimed(ctx context.Context, from, to int, step func(int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := from; i < to; i++ {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return step(i)
		})
	}
	return group.Wait()
}

// dkgRun is one run of ChillDKG with all its parties.
type dkgRun struct {
	params       chilldkg.Params
	hosts        []*chilldkg.HostKey
	participants []*chilldkg.Participant
	coordinator  *chilldkg.Coordinator
	results      []*chilldkg.Result
	toHub        [][]byte // this step's messages, by participant
	fromHub      []byte   // the coordinator's answer, the same for all
	coordinated  int      // steps of the coordinator done
	bytes        int
}

func newDKGRun(threshold, n int) (*dkgRun, error) {
	r := &dkgRun{params: chilldkg.Params{Threshold: threshold}, participants: make([]*chilldkg.Participant, n),
		results: make([]*chilldkg.Result, n), toHub: make([][]byte, n)}
	for range n {
		host, err := chilldkg.GenerateHostKey(nil)
		if err != nil {
			return nil, err
		}
		r.hosts, r.params.HostKeys = append(r.hosts, host), append(r.params.HostKeys, host.Public())
	}
	return r, nil
}

func (r *dkgRun) step1(i int) (err error) {
	r.participants[i], r.toHub[i], err = chilldkg.NewParticipant(r.hosts[i], r.params, nil)
	return err
}

func (r *dkgRun) step2(i int) (err error) {
	r.toHub[i], err = r.participants[i].Step2(r.hosts[i], r.fromHub, nil)
	return err
}

func (r *dkgRun) finalize(i int) (err error) {
	r.results[i], err = r.participants[i].Finalize(r.fromHub)
	return err
}

// acknowledge is a participant's own acknowledgement and its check of all: the
// cost of n, though its own stands in for those not yet made.
func (r *dkgRun) acknowledge(i int) error {
	acks, err := chilldkg.NewAcknowledgements(r.results[i])
	if err != nil {
		return err
	}
	if r.toHub[i], err = r.results[i].Acknowledge(r.hosts[i], nil); err != nil {
		return err
	}
	for range r.hosts {
		if err := acks.Add(frost.ID(i), r.toHub[i]); err != nil {
			return err
		}
	}
	return nil
}

// coordinate answers the step that all participants have taken.
func (r *dkgRun) coordinate() (err error) {
	n := len(r.hosts)
	switch r.coordinated {
	case 0:
		r.coordinator, r.fromHub, err = chilldkg.NewCoordinator(r.params, r.toHub)
		r.bytes += n * (len(r.toHub[0]) + len(r.fromHub))
	case 1:
		_, r.fromHub, err = r.coordinator.Finalize(r.toHub)
		r.bytes += n * (len(r.toHub[0]) + len(r.fromHub))
	case 3: // each acknowledgement goes to all
		r.bytes += n * (1 + n) * len(r.toHub[0])
	}
	r.coordinated++
	return err
}

// quorum makes the vault of the generated key.
func (r *dkgRun) quorum() (*quorum.Quorum, error) {
	policy, err := benchPolicy(taproot.FROST, r.params.Threshold, len(r.hosts))
	if err != nil {
		return nil, err
	}
	policy.GroupKey = r.results[0].Group.Key()
	vault, err := taproot.NewVault(policy)
	if err != nil {
		return nil, err
	}
	shares := make([]*frost.Share, len(r.results))
	for i, result := range r.results {
		shares[i] = result.Share
	}
	return quorum.FromShares(vault, r.results[0].Group, shares)
}
