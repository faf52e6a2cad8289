package guardian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Journal is where a guardian reads batches: in order, without gaps, from a
// number on, up to the newest.
type Journal interface {
	Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error]
}

// Chain is a guardian's own node. bitcoind.Client is one.
type Chain interface {
	netting.Blocks
	// UTXO returns an unspent output in the active chain with its number of
	// confirmations, nil when there is none.
	UTXO(ctx context.Context, at wire.OutPoint) (out *wire.TxOut, confirmations int64, err error)
}

// Limits bound what a guardian signs, whatever the books say.
type Limits struct {
	FeeRateMax int64 // satoshis per 1,000 vbytes
	FeeMax     int64 // satoshis of one transaction
	PaidMax    int64 // satoshis that one settlement takes out of the vault, fee included
	PaidDayMax int64 // the same for all settlements of 24 hours
}

// Config is what a guardian knows from the start. Fields without a remark are
// needed.
type Config struct {
	Keys    []Key          // its shares, one for each key generation; Add brings more
	Vault   *taproot.Vault // of the founding; the journal tells of those after it
	Charter ledger.Charter
	Journal Journal
	Chain   Chain // the guardian's own node
	Limits  Limits
	Memory  *Memory          // what it signed before; nil remembers only while it runs
	Headers *Headers         // what it replayed before; nil remembers only while it runs
	Proof   *Equivocation    // found before, against this operator: the guardian signs nothing
	Now     func() time.Time // for the limit of a day; nil means time.Now
	Random  io.Reader        // for nonces; nil means crypto/rand
	// Successor is the document of the vault's next guardians to which the owner
	// has agreed; nil for none.
	Successor *Founding
	// Consent is the proof of reserves to which the owner has consented; nil for none.
	Consent *Consent
}

// Guardian follows one bank and signs its settlements. It is safe for
// concurrent use.
type Guardian struct {
	config Config

	// busy is held by whoever works with the books, which may be long: the journal
	// and the node are asked meanwhile.
	busy   chan struct{}
	replay *audit.Replay

	mu        sync.Mutex                // never held while anybody is asked
	seats     map[frost.PublicKey]*seat // rounds in them only while busy
	successor *Founding
	consent   *Consent
	asked     []time.Time // for proofs of reserves, within reservesSpan
	batch     uint64      // the last batch that is replayed and whose header is on disk
	head      ledger.Hash
	halted    error
}

// Proposal asks the guardians of one generation of the vault's key for signatures:
// on the inputs of a settlement that spend coins of theirs, on a succession, or on a
// proof of reserves.
type Proposal struct {
	Generation uint32 `json:"generation"`
	Batch      uint64 `json:"batch"` // that ended with the cut; when it is no settlement the last one
	Settlement uint32 `json:"settlement,omitempty"`
	Tx         []byte `json:"tx,omitempty"` // serialised, unsigned
	// At most one of these is there, and none for a settlement.
	Succession *Succession `json:"succession,omitempty"`
	Reserves   *Reserves   `json:"reserves,omitempty"`
}

// ErrNotThere says that the journal does not hold the proposed cut yet.
var ErrNotThere = errors.New("the journal does not hold the cut")

// HaltError says why a guardian has stopped signing for good.
type HaltError struct {
	Err error
}

func (e *HaltError) Error() string {
	return fmt.Sprintf("the guardian has stopped signing: %v", e.Err)
}

func (e *HaltError) Unwrap() error { return e.Err }

// New makes a guardian with empty books.
func New(c Config) (*Guardian, error) {
	replay, err := audit.NewReplay(c.Charter, c.Vault, c.Chain)
	if err != nil {
		return nil, err
	}
	if c.Memory == nil {
		c.Memory = &Memory{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	g := &Guardian{config: c, replay: replay, seats: make(map[frost.PublicKey]*seat), successor: c.Successor, consent: c.Consent,
		busy: make(chan struct{}, 1), head: replay.Books().Head()}
	for _, key := range c.Keys {
		if err := g.Add(key); err != nil {
			return nil, err
		}
	}
	if c.Proof != nil {
		g.halt(c.Proof)
	}
	return g, nil
}

// lock waits until nobody else works with the books, or ctx ends.
func (g *Guardian) lock(ctx context.Context) error {
	select {
	case g.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the guardian is busy: %w", context.Cause(ctx))
	}
}

func (g *Guardian) unlock() { <-g.busy }

// Head is the last batch that the guardian has replayed, with its header on disk,
// and the hash of that header. It answers at once, also during a Sync.
func (g *Guardian) Head() (batch uint64, hash ledger.Hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.batch, g.head
}

// Halted is the *HaltError for which the guardian has stopped signing, or nil. It
// answers at once, also during a Sync.
func (g *Guardian) Halted() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.halted
}

func (g *Guardian) halt(why error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.halted = &HaltError{Err: why}
	return g.halted
}

// Commit answers a request for nonces: the guardian brings its books up to the
// proposal, builds what it would sign itself, compares, looks the coins up, and
// only then gives one public nonce for each signature. Errors: ErrNotThere,
// *roast.RefusalError, *HaltError.
func (g *Guardian) Commit(ctx context.Context, p Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	if err := g.lock(ctx); err != nil {
		return nil, err
	}
	defer g.unlock()
	if err := g.sync(ctx); err != nil {
		return nil, err
	}
	s, err := g.seat(p.Generation)
	if err != nil {
		return nil, err
	}
	r, err := g.examine(ctx, p)
	if err != nil {
		return nil, err
	}
	nonces, err := s.responder.Commit(request, r.messages)
	if err != nil {
		return nil, err
	}
	// What is asked for next makes what was asked for before of the same kind useless.
	// One of each kind is less than a responder keeps: none pushes another out.
	s.forget(func(id roast.RequestID) bool {
		return id != request.Request && s.rounds[id].kind == r.kind
	})
	s.rounds[request.Request] = r
	return nonces, nil
}

// Sign answers in a session: one partial signature for each input, under nonces
// that are then gone, and the next nonces. The settlement is written down, on
// disk, before anything is signed. Errors: roast.ErrNoNonces,
// *roast.RefusalError when the books have moved on since Commit, *HaltError.
func (g *Guardian) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	if err := g.lock(ctx); err != nil {
		return roast.Answer{}, err
	}
	defer g.unlock()
	if err := g.Halted(); err != nil {
		return roast.Answer{}, err
	}
	s, r := g.round(request.Request)
	if r == nil {
		return roast.Answer{}, roast.ErrNoNonces
	}
	if reason := g.stillRight(r); reason != "" {
		s.forget(func(id roast.RequestID) bool { return id == request.Request })
		return roast.Answer{}, refusal("%s", reason)
	}
	if r.kind == settlement {
		if err := g.config.Memory.Remember(g.signed(r)); err != nil {
			return roast.Answer{}, err
		}
	}
	return s.responder.Sign(request)
}

// Close wipes what is left of the nonces and of the shares.
func (g *Guardian) Close() {
	for _, s := range g.allSeats() {
		s.responder.Close()
		s.key.Share.Wipe()
	}
}

// DefaultLimits refuse a fee rate above 1,000 sat/vB, a fee above 0.05 BTC, and
// more than 100 BTC out of the vault at once or 500 BTC in a day.
func DefaultLimits() Limits {
	return Limits{FeeRateMax: 1_000_000, FeeMax: 5_000_000, PaidMax: 10_000_000_000, PaidDayMax: 50_000_000_000}
}
