package guardian

import (
	"bytes"
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
)

// Journal is where a guardian reads batches: in order, without gaps, from a
// number on, up to the newest.
type Journal interface {
	Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error]
}

// Limits bound what a guardian signs, whatever the books say.
type Limits struct {
	FeeRateMax int64 // satoshis per 1,000 vbytes
	FeeMax     int64 // satoshis of one transaction
	PaidMax    int64 // satoshis that one settlement takes out of the vault, fee included
	PaidDayMax int64 // the same for all settlements of 24 hours
}

// Config is what a guardian knows from the start. All fields are needed.
type Config struct {
	Share   *frost.Share
	Group   *frost.Group
	Vault   *taproot.Vault
	Charter ledger.Charter
	Journal Journal
	Chain   netting.Blocks // the guardian's own node
	Limits  Limits
	Memory  *Memory          // what it signed before; nil remembers only while it runs
	Now     func() time.Time // for the limit of a day; nil means time.Now
	Random  io.Reader        // for nonces; nil means crypto/rand
}

// Guardian follows one bank and signs its settlements. It is safe for
// concurrent use.
type Guardian struct {
	config Config

	mu     sync.Mutex
	replay *audit.Replay
	halted error
	rounds map[uint32]*round // by settlement
}

// A round is what a guardian remembers between Commit and Sign.
type round struct {
	built  *netting.Transaction
	paid   int64 // satoshis that leave the vault
	nonces []*frost.SecretNonce
}

// Proposal asks for signatures on a settlement.
type Proposal struct {
	Settlement uint32
	Batch      uint64 // number of the batch that its cut ended
	Tx         []byte // serialised, unsigned
}

// ErrNotThere says that the journal does not hold the proposed cut yet.
var ErrNotThere = errors.New("the journal does not hold the cut")

// HaltError says why a guardian has stopped signing for good.
type HaltError struct {
	ID  frost.ID
	Err error
}

func (e *HaltError) Error() string {
	return fmt.Sprintf("guardian %d has stopped signing: %v", e.ID, e.Err)
}

func (e *HaltError) Unwrap() error { return e.Err }

// RefusalError says why a guardian does not sign a proposal.
type RefusalError struct {
	ID         frost.ID
	Settlement uint32
	Reason     string
}

func (e *RefusalError) Error() string {
	return fmt.Sprintf("guardian %d refuses settlement %d: %s", e.ID, e.Settlement, e.Reason)
}

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
	return &Guardian{config: c, replay: replay, rounds: make(map[uint32]*round)}, nil
}

// ID is the guardian's number in the group.
func (g *Guardian) ID() frost.ID { return g.config.Share.ID() }

// Head is the last batch that the guardian has replayed and the hash of its header.
func (g *Guardian) Head() (batch uint64, hash ledger.Hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	books := g.replay.Books()
	return books.Last().Number, books.Head()
}

// Sync replays what the journal holds beyond the guardian's books. Errors:
// *HaltError when the history or the chain contradicts it, else the source's.
func (g *Guardian) Sync(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sync(ctx)
}

func (g *Guardian) sync(ctx context.Context) error {
	if g.halted != nil {
		return g.halted
	}
	for batch, err := range g.config.Journal.Batches(ctx, g.replay.Books().Last().Number+1) {
		if err != nil {
			return fmt.Errorf("guardian %d reads the journal: %w", g.ID(), err)
		}
		var history *ledger.HistoryError
		switch err := g.replay.Follow(ctx, batch); {
		case errors.As(err, &history):
			g.halted = &HaltError{ID: g.ID(), Err: err}
			return g.halted
		case err != nil:
			return fmt.Errorf("guardian %d: %w", g.ID(), err)
		}
	}
	return nil
}

// Commit is round one: the guardian brings its books up to the proposal, builds
// the settlement itself, compares, and answers with one public nonce for each
// input. Errors: ErrNotThere, *RefusalError, *HaltError.
func (g *Guardian) Commit(ctx context.Context, p Proposal) ([]frost.PublicNonce, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.sync(ctx); err != nil {
		return nil, err
	}
	r, err := g.examine(p)
	if err != nil {
		return nil, err
	}
	built := r.built
	sighashes, err := built.Sighashes()
	if err != nil {
		return nil, err
	}
	g.forget(p.Settlement)
	public := make([]frost.PublicNonce, len(sighashes))
	for i, hash := range sighashes {
		key := built.Signers[i].OutputKey
		secret, nonce, err := frost.NonceGen(g.config.Random, frost.NonceParams{
			Share: g.config.Share, Key: &key, Message: hash[:]})
		if err != nil {
			return nil, err
		}
		r.nonces, public[i] = append(r.nonces, secret), nonce
	}
	g.rounds[p.Settlement] = r
	return public, nil
}

// examine rebuilds the proposed settlement and refuses one that differs, that
// is beyond a limit, or that must not stand beside what was signed before.
func (g *Guardian) examine(p Proposal) (*round, error) {
	refuse := func(format string, args ...any) error {
		return &RefusalError{ID: g.ID(), Settlement: p.Settlement, Reason: fmt.Sprintf(format, args...)}
	}
	books := g.replay.Books()
	open := books.Open()
	if last := books.Last().Number; last < p.Batch {
		return nil, fmt.Errorf("guardian %d is at batch %d of %d: %w", g.ID(), last, p.Batch, ErrNotThere)
	}
	if open == nil || open.Settlement != p.Settlement || open.Batch != p.Batch {
		return nil, refuse("the books have no such cut in flight")
	}
	built, err := netting.Build(open, g.config.Vault)
	if err != nil {
		return nil, err
	}
	var own bytes.Buffer
	if err := built.Tx.SerializeNoWitness(&own); err != nil {
		return nil, err
	}
	switch {
	case !bytes.Equal(own.Bytes(), p.Tx):
		return nil, refuse("the proposed transaction is not the one that the books give (%s)", built.TxID)
	case int64(open.FeeRate) > g.config.Limits.FeeRateMax:
		return nil, refuse("its fee rate of %d sat per 1,000 vbytes is above the limit of %d", open.FeeRate, g.config.Limits.FeeRateMax)
	case built.FeeSat > g.config.Limits.FeeMax:
		return nil, refuse("its fee of %d sat is above the limit of %d sat", built.FeeSat, g.config.Limits.FeeMax)
	}
	r := &round{built: built, paid: built.FeeSat}
	for _, payout := range open.Payouts {
		r.paid += int64(payout.Amount)
	}
	if reason := g.config.Memory.Check(g.signed(r), g.config.Limits); reason != "" {
		return nil, refuse("%s", reason)
	}
	return r, nil
}

// signed is what the guardian's memory keeps of a round.
func (g *Guardian) signed(r *round) Signed {
	s := Signed{Settlement: r.built.Settlement, TxID: ledger.Hash(r.built.TxID), PaidSat: r.paid, At: g.config.Now()}
	for _, in := range r.built.Tx.TxIn {
		s.Inputs = append(s.Inputs, ledger.OutPoint{TxID: ledger.Hash(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index})
	}
	return s
}

// Sign is round two: one partial signature for each input, under the nonces of
// the last Commit for this settlement, which are then gone. The settlement is
// written down, on disk, before anything is signed.
func (g *Guardian) Sign(_ context.Context, settlement uint32, signers []frost.ID, nonces []frost.AggregateNonce) ([]frost.PartialSignature, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.rounds[settlement]
	defer g.forget(settlement)
	if g.halted != nil {
		return nil, g.halted
	}
	if r == nil || len(nonces) != len(r.nonces) {
		return nil, &RefusalError{ID: g.ID(), Settlement: settlement, Reason: "no nonces were given out for this round: begin at round one"}
	}
	if err := g.config.Memory.Remember(g.signed(r)); err != nil {
		return nil, err
	}
	sighashes, err := r.built.Sighashes()
	if err != nil {
		return nil, err
	}
	parts := make([]frost.PartialSignature, len(sighashes))
	for i, hash := range sighashes {
		session, err := frost.NewSession(g.config.Group, frost.SessionParams{Signers: signers,
			AggregateNonce: nonces[i], Tweaks: r.built.Signers[i].Tweaks, Message: hash[:]})
		if err != nil {
			return nil, err
		}
		if parts[i], err = session.Sign(r.nonces[i], g.config.Share); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// forget wipes the nonces of a settlement that were given out and not used.
func (g *Guardian) forget(settlement uint32) {
	if r := g.rounds[settlement]; r != nil {
		for _, n := range r.nonces {
			n.Discard()
		}
		delete(g.rounds, settlement)
	}
}

// serialize is the form in which a proposal carries a transaction.
func serialize(tx *wire.MsgTx) ([]byte, error) {
	var b bytes.Buffer
	err := tx.SerializeNoWitness(&b)
	return b.Bytes(), err
}

// DefaultLimits refuse a fee rate above 1,000 sat/vB, a fee above 0.05 BTC, and
// more than 100 BTC out of the vault at once or 500 BTC in a day.
func DefaultLimits() Limits {
	return Limits{FeeRateMax: 1_000_000, FeeMax: 5_000_000, PaidMax: 10_000_000_000, PaidDayMax: 50_000_000_000}
}
