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
	// Relay is the least rate that the node takes now, and the step by which a
	// replacement has to pay more; both in satoshis per 1,000 vbytes.
	Relay(ctx context.Context) (floor, step int64, err error)
	// PooledFees is what a transaction of the node's mempool and all that is built on
	// it there pay, in satoshis; pooled is false when it is not in the mempool.
	PooledFees(ctx context.Context, txid chainhash.Hash) (sat int64, pooled bool, err error)
	// UTXO returns an unspent output in the active chain with its number of
	// confirmations, nil when there is none.
	UTXO(ctx context.Context, at wire.OutPoint) (out *wire.TxOut, confirmations int64, err error)
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

	advancing sync.Mutex // held while the settlement moves; the fields below are for its holder
	watch     *netting.Watch
	lagging   bool              // one node is behind the other, and that was said
	refused   chainhash.Hash    // transaction that the node has refused in this Advance
	refusing  map[uint32]uint32 // generations whose guardians did not sign: until which height they are left out

	building sync.Mutex
	flight   netting.Flight // what was built of the settlement in flight

	quoting sync.Mutex
	quoted  chainhash.Hash // tip at which rate was asked for
	rate    int64
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
	return &Desk{Config: c, watch: netting.NewWatch(c.Vaults), refusing: make(map[uint32]uint32)}, nil
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
// reorganisation deeper than the charter's depth. Nothing is settled or credited
// until the chain returns, or Resolve and Follow take the books to the other branch.
type ReorgError struct {
	Height uint32
	Books  chainhash.Hash
	Chain  chainhash.Hash
}

func (e *ReorgError) Error() string {
	return fmt.Sprintf("block %d of the books, %s, is not in the chain, which has %s there: settling has stopped until the chain returns, or \"daobank operator resolve\" takes the books to the other branch", e.Height, e.Books, e.Chain)
}

// Run advances at every new block, of the second node too, until ctx ends. An error is
// logged and tried again at the next poll; it returns only ctx's error or the engine's.
func (d *Desk) Run(ctx context.Context) error {
	var seen [2]chainhash.Hash
	failed := ""
	for {
		tips, err := d.tips(ctx)
		if err == nil && (tips != seen || failed != "") {
			err = d.Advance(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			seen, failed = tips, ""
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

// tips are where the chain ends at the desk's node and at the second one, if there is one.
func (d *Desk) tips(ctx context.Context) (tips [2]chainhash.Hash, err error) {
	if tips[0], err = tipOf(ctx, d.Chain); err != nil || d.Second == nil {
		return tips, err
	}
	if tips[1], err = tipOf(ctx, d.Second); err != nil {
		return tips, fmt.Errorf("the second node: %w", err)
	}
	return tips, nil
}

func tipOf(ctx context.Context, node Witness) (chainhash.Hash, error) {
	height, err := node.Height(ctx)
	if err != nil {
		return chainhash.Hash{}, err
	}
	return node.BlockHash(ctx, height)
}

// Advance does all that the chain allows now: it takes deep blocks into the
// books and moves the settlement in flight until it has to wait for guardians,
// the node or a block. Calling it again is harmless.
func (d *Desk) Advance(ctx context.Context) error {
	d.advancing.Lock()
	defer d.advancing.Unlock()
	d.refused = chainhash.Hash{}
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	if err := d.draw(ctx); err != nil {
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
		d.Log.Info("settlement", "number", f.number(), "version", f.version(), "from", f.stage, "event", event, "to", to)
	}
}
