package settlement

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Chain is the desk's node. bitcoind.Client is one.
type Chain interface {
	netting.Blocks
	// Height is the height of the active chain's tip.
	Height(ctx context.Context) (int32, error)
	// Broadcast returns nil when the node has the transaction afterwards, also
	// if it had it before, in its mempool or in a block.
	Broadcast(ctx context.Context, tx *wire.MsgTx) error
	// FeeRate estimates satoshis per 1,000 vbytes for confirmation within target blocks.
	FeeRate(ctx context.Context, target int) (int64, error)
}

// Signer collects the guardians' signatures. guardian.Quorum is one.
type Signer interface {
	// Sign returns one 64-byte BIP-340 signature for each input of a settlement
	// whose cut ended the batch.
	Sign(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error)
	// Reachable reports whether enough guardians of a generation of the vault's
	// key are there to sign.
	Reachable(generation uint32) bool
}

// Witness is a second node, which has to have the same blocks. bitcoind.Client is one.
type Witness interface {
	Height(ctx context.Context) (int32, error)
	BlockHash(ctx context.Context, height int32) (chainhash.Hash, error)
}

// Config is what a desk works with. All fields but Second are needed.
type Config struct {
	Engine *clearing.Engine
	Store  *postgres.Store
	Vaults *netting.Vaults
	Chain  Chain
	Second Witness // nil for none
	Signer Signer
	Policy Policy
	Log    *slog.Logger
}

// Desk runs the settlements of one bank. Its methods are safe for concurrent
// use; Advance runs one at a time.
type Desk struct {
	Config

	advancing sync.Mutex // held while the settlement moves
	watch     *netting.Watch
	lagging   bool // one node is behind the other, and that was said
}

// New makes a desk. It does nothing until Run or Advance is called.
func New(c Config) (*Desk, error) {
	if err := c.Policy.Validate(); err != nil {
		return nil, err
	}
	vault, _ := c.Vaults.Newest()
	if scheme := vault.Policy().Scheme; scheme != taproot.FROST {
		return nil, fmt.Errorf("settlements are signed with FROST, and the vault's scheme is %s", scheme)
	}
	return &Desk{Config: c, watch: netting.NewWatch(c.Vaults)}, nil
}

// view is Engine.View after the vaults have followed the books.
func (d *Desk) view(ctx context.Context, fn func(*ledger.State)) error {
	var behind error
	err := d.Engine.View(ctx, func(s *ledger.State) {
		if behind = d.Vaults.Follow(s); behind == nil {
			fn(s)
		}
	})
	if err != nil {
		return err // a View that was left may still be writing to behind
	}
	return behind
}

// Rekey gives the vault a new key, which the guardians of the key before have
// signed. From then on change and new deposits go to it, and settlements move the
// coins of the keys before. Errors: *netting.RekeyError, or the engine's.
func (d *Desk) Rekey(ctx context.Context, e *ledger.Rekey) error {
	if err := d.Vaults.Check(e); err != nil {
		return err
	}
	if err := d.Engine.Record(ctx, []ledger.Event{e}); err != nil {
		return fmt.Errorf("generation %d of the vault's key: %w", e.Generation, err)
	}
	return d.view(ctx, func(*ledger.State) {})
}

// ReorgError says that the last block of the books is no longer in the chain: a
// reorganisation deeper than the charter's depth. Nothing is settled or credited.
type ReorgError struct {
	Height uint32
	Books  chainhash.Hash
	Chain  chainhash.Hash
}

func (e *ReorgError) Error() string {
	return fmt.Sprintf("block %d of the books, %s, is not in the chain, which has %s there: settling has stopped until the chain returns or a person decides", e.Height, e.Books, e.Chain)
}

// Run advances at every new block until ctx ends. An error is logged and
// tried again at the next poll; it returns only ctx's error or the engine's.
func (d *Desk) Run(ctx context.Context) error {
	var seen chainhash.Hash
	failed := ""
	for {
		tip, err := d.tip(ctx)
		if err == nil && (tip != seen || failed != "") {
			err = d.Advance(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			seen, failed = tip, ""
		case err.Error() != failed:
			failed = err.Error()
			d.Log.Error("settlement does not advance", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.Engine.Done():
			return d.Engine.Err()
		case <-time.After(d.Policy.Poll):
		}
	}
}

func (d *Desk) tip(ctx context.Context) (chainhash.Hash, error) {
	height, err := d.Chain.Height(ctx)
	if err != nil {
		return chainhash.Hash{}, err
	}
	return d.Chain.BlockHash(ctx, height)
}

// Advance does all that the chain allows now: it takes deep blocks into the
// books and moves the settlement in flight until it has to wait for guardians,
// the node or a block. Calling it again is harmless.
func (d *Desk) Advance(ctx context.Context) error {
	d.advancing.Lock()
	defer d.advancing.Unlock()
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	for {
		f, err := d.inFlight(ctx)
		if err != nil {
			return err
		}
		event, err := d.step(ctx, f)
		if err != nil || event == "" {
			return err
		}
		to, err := next(f.stage, event)
		if err != nil {
			return err
		}
		d.Log.Info("settlement", "number", f.number(), "from", f.stage, "event", event, "to", to)
		if event == EventRefused {
			return nil
		}
	}
}

// A flight is the settlement in flight as the journal and the steps tell it.
type flight struct {
	stage Stage
	open  *ledger.OpenCut      // nil when idle
	built *netting.Transaction // nil when idle
	steps []postgres.Step
}

func (f *flight) number() uint32 {
	if f.open == nil {
		return 0
	}
	return f.open.Settlement
}

// signed is the transaction with its signatures, from the step that stored it.
func (f *flight) signed() (*wire.MsgTx, error) {
	for _, s := range f.steps {
		if s.Step == stepSigned {
			return decodeTx(s.Tx)
		}
	}
	return nil, fmt.Errorf("settlement %d has no signed transaction", f.number())
}

func (d *Desk) inFlight(ctx context.Context) (*flight, error) {
	f := &flight{stage: StageIdle}
	if err := d.view(ctx, func(s *ledger.State) { f.open = s.Open() }); err != nil {
		return nil, err
	}
	if f.open == nil {
		return f, nil
	}
	var err error
	if f.built, err = netting.Build(f.open, d.Vaults); err != nil {
		return nil, err
	}
	if f.steps, err = d.Store.Steps(ctx, f.open.Settlement); err != nil {
		return nil, err
	}
	last := ""
	if n := len(f.steps); n > 0 {
		last = f.steps[n-1].Step
	}
	f.stage, err = stageOf(last)
	return f, err
}
