package clearing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// Config is what an Engine needs. Store, Charter and Operator have no default.
type Config struct {
	Store    *postgres.Store
	Charter  ledger.Charter
	Operator *btcec.PrivateKey // signs batch headers; its public key is in the charter
	Now      func() time.Time  // for the headers; time.Now by default
	// Verifiers is how many verify signatures at once; GOMAXPROCS by default. A program
	// that gives Go more processors than that answers sooner: else all of them may be
	// verifying, for milliseconds, when the database has answered.
	Verifiers int
	QueueMax  int           // orders that may wait; DefaultQueue by default
	BatchMax  int           // entries in one batch; DefaultBatch by default
	Checks    ledger.Checks // of the replay; ledger.CheckChain by default
	Log       *slog.Logger  // slog.Default() by default

	// SnapshotEvery is the work of replaying between two snapshots, in entries;
	// DefaultSnapshotEvery by default.
	SnapshotEvery int
	// VerifyGenesis makes Open replay the whole journal and compare the stored
	// snapshots with it, instead of beginning with the newest of them.
	VerifyGenesis bool
}

// Defaults of Config.
const (
	DefaultQueue = 65536
	DefaultBatch = 4096
)

// Engine is the one writer of a bank's books. Its methods are safe for
// concurrent use.
type Engine struct {
	config   Config
	bank     ledger.BankID
	epoch    uint64
	log      *slog.Logger
	verifier *bip340.Verifier
	keys     ledger.Keys

	// What waits, and how the stages hand over. queued counts the orders from
	// their entrance until they are sequenced, but for those of suspects.
	entrance  sync.RWMutex // held while entering; closed is set under its lock
	closed    bool
	queued    atomic.Int64
	verifying chan job
	gathering sync.Mutex // held by the verifier that waits for orders
	gathered  time.Time  // when it had them; under gathering
	suspects  suspects
	verified  chan *submission
	control   chan any        // *view or *record
	slot      chan struct{}   // a token when the committer is free
	idle      chan struct{}   // a token when it became free, for the verifier that waits
	sealed    chan *batch     // to the committer; at most one, by the token
	committed chan *batch     // to the acknowledger
	spare     chan *batch     // answered, to be filled again
	nudge     chan struct{}   // to the projector
	lookups   chan struct{}   // a token for each resubmission being looked up
	stop      context.Context // ends when the engine must stop at once
	fail      context.CancelCauseFunc
	stages    sync.WaitGroup // sequencer, committer, acknowledger, verifiers
	followers sync.WaitGroup // projector, bookkeeper, lease watch, snapshotter
	done      chan struct{}  // closed when all stages have ended
	err       error          // why; set before done is closed

	state     *ledger.State // the sequencer's own, from Open on
	snapshots snapshotter
	stats     counters
}

// Open takes the lease, which fences every engine before this one, rebuilds the
// books from the newest snapshot and the journal after it, verifies the headers
// of all batches, compares every balance with the stored one, and starts. The
// context limits only that.
//
// Errors: postgres.ErrNoBank; *postgres.BankError when the database holds
// another bank; *ledger.HistoryError when the journal contradicts itself;
// *BalanceError when the balances differ; with VerifyGenesis *SnapshotError.
func Open(ctx context.Context, config Config) (*Engine, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	stored, err := config.Store.Charter(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the clearing engine: %w", err)
	}
	if want := config.Charter.ID(); stored.ID() != want {
		return nil, fmt.Errorf("open the clearing engine: %w", &postgres.BankError{Want: want, Stored: stored.ID()})
	}
	epoch, err := config.Store.TakeLease(ctx, holder())
	if err != nil {
		return nil, fmt.Errorf("open the clearing engine: %w", err)
	}
	books, err := recoverBooks(ctx, &config)
	if err != nil {
		return nil, fmt.Errorf("rebuild the books: %w", err)
	}
	e := newEngine(config, epoch, books)
	e.start()
	return e, nil
}

func (c *Config) complete() error {
	if c.Store == nil || c.Operator == nil {
		return errors.New("open the clearing engine: it needs a store and the operator's key")
	}
	if err := c.Charter.Validate(); err != nil {
		return err
	}
	if got := ledger.KeyOf(c.Operator); got != c.Charter.Operator {
		return fmt.Errorf("open the clearing engine: the operator's key is %s, the charter names %s", got, c.Charter.Operator)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Verifiers <= 0 {
		c.Verifiers = runtime.GOMAXPROCS(0)
	}
	if c.QueueMax <= 0 {
		c.QueueMax = DefaultQueue
	}
	if c.BatchMax <= 0 {
		c.BatchMax = DefaultBatch
	}
	c.BatchMax = min(c.BatchMax, ledger.MaxBatch)
	if c.SnapshotEvery <= 0 {
		c.SnapshotEvery = DefaultSnapshotEvery
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

// holder names this process for people who look at the lease.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// Epoch is the number of the lease under which the engine writes.
func (e *Engine) Epoch() uint64 { return e.epoch }

// Charter is the charter of the bank.
func (e *Engine) Charter() ledger.Charter { return e.config.Charter }

// Done is closed when the engine has stopped, by Close or by a failure.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err is nil while the engine runs and after a Close that answered everyone;
// else it says why the engine stopped.
func (e *Engine) Err() error {
	select {
	case <-e.done:
		return e.err
	default:
		return nil
	}
}

// Close stops accepting, carries out what was submitted, answers it and
// returns. When ctx ends first it stops at once: whoever still waits gets
// ErrStopped. It returns Err.
func (e *Engine) Close(ctx context.Context) error {
	e.entrance.Lock()
	if !e.closed {
		e.closed = true
		close(e.verifying)
	}
	e.entrance.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		e.fail(fmt.Errorf("closed in haste: %w", context.Cause(ctx)))
		<-e.done
	}
	e.followers.Wait()
	return e.err
}
