package clearing

import (
	"context"
	"errors"

	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
)

// errClosed is the cause with which a graceful end stops what still runs.
var errClosed = errors.New("closed")

func newEngine(config Config, epoch uint64, books *recovery) *Engine {
	state := books.state
	e := &Engine{
		config:    config,
		bank:      config.Charter.ID(),
		epoch:     epoch,
		log:       config.Log.With("epoch", epoch),
		verifier:  bip340.NewVerifier(knownKeys),
		verifying: make(chan job, config.QueueMax),
		suspects:  suspects{jobs: make(chan job, suspectsMax)},
		verified:  make(chan *submission, config.QueueMax+suspectsMax),
		control:   make(chan any),
		slot:      make(chan struct{}, 1),
		idle:      make(chan struct{}, 1),
		sealed:    make(chan *batch, 1),
		committed: make(chan *batch, 1),
		spare:     make(chan *batch, 4),
		nudge:     make(chan struct{}, 1),
		lookups:   make(chan struct{}, lookupsMax),
		done:      make(chan struct{}),
		state:     state,
		keys:      state.Keys(),
		snapshots: newSnapshotter(books.work),
		stats:     counters{refused: make(map[ledger.Code]uint64)},
	}
	e.stop, e.fail = context.WithCancelCause(context.Background())
	e.slot <- struct{}{}
	return e
}

// start runs the stages and sees to their end.
func (e *Engine) start() {
	e.stages.Go(e.verifyStages)
	e.stages.Go(e.sequence)
	e.stages.Go(e.commitStage)
	e.stages.Go(e.acknowledge)
	for _, follow := range []func(context.Context){e.project, e.book, e.watchLease, e.saveSnapshots} {
		e.followers.Go(func() { follow(e.stop) })
	}
	go e.supervise()
	e.log.Info("the clearing engine is open", "bank", e.bank, "batch", e.state.Last().Number)
}

// supervise waits for the end of all stages. Only then waiting callers may look
// at answers that were given at the last moment.
func (e *Engine) supervise() {
	e.stages.Wait()
	e.fail(errClosed) // keeps the first cause, if there is one
	if err := context.Cause(e.stop); !errors.Is(err, errClosed) {
		e.err = err
		e.log.Error("the clearing engine stopped", "error", err)
	}
	close(e.done)
}
