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

// Config is what a guardian knows from the start. All fields are needed.
type Config struct {
	Share   *frost.Share
	Group   *frost.Group
	Vault   *taproot.Vault
	Charter ledger.Charter
	Journal Journal
	Chain   Chain // the guardian's own node
	Limits  Limits
	Memory  *Memory          // what it signed before; nil remembers only while it runs
	Headers *Headers         // what it replayed before; nil remembers only while it runs
	Proof   *Equivocation    // found before, against this operator: the guardian signs nothing
	Now     func() time.Time // for the limit of a day; nil means time.Now
	Random  io.Reader        // for nonces; nil means crypto/rand
}

// Guardian follows one bank and signs its settlements. It is safe for
// concurrent use.
type Guardian struct {
	config Config

	// busy is held by whoever works with the books, which may be long: the journal
	// and the node are asked meanwhile.
	busy      chan struct{}
	replay    *audit.Replay
	responder *roast.Responder
	rounds    map[roast.RequestID]*round

	mu     sync.Mutex // never held while anybody is asked
	batch  uint64     // the last batch that is replayed and whose header is on disk
	head   ledger.Hash
	halted error
}

// A round is a request that the guardian has found right to sign.
type round struct {
	built *netting.Transaction
	batch uint64 // that its cut ended
	paid  int64  // satoshis that leave the vault
}

// Proposal asks for signatures on a settlement.
type Proposal struct {
	Settlement uint32 `json:"settlement"`
	Batch      uint64 `json:"batch"` // number of the batch that its cut ended
	Tx         []byte `json:"tx"`    // serialised, unsigned
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
	responder, err := roast.NewResponder(c.Group, c.Share, roast.ResponderOptions{Random: c.Random})
	if err != nil {
		return nil, err
	}
	g := &Guardian{config: c, replay: replay, responder: responder, rounds: make(map[roast.RequestID]*round),
		busy: make(chan struct{}, 1), head: replay.Books().Head()}
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
		return fmt.Errorf("guardian %d is busy: %w", g.ID(), context.Cause(ctx))
	}
}

func (g *Guardian) unlock() { <-g.busy }

// ID is the guardian's number in the group.
func (g *Guardian) ID() frost.ID { return g.config.Share.ID() }

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
	g.halted = &HaltError{ID: g.ID(), Err: why}
	return g.halted
}

// Commit answers a request for nonces: the guardian brings its books up to the
// proposal, builds the settlement itself, compares, looks its coins up, and only
// then gives one public nonce for each input. Errors: ErrNotThere,
// *roast.RefusalError, *HaltError.
func (g *Guardian) Commit(ctx context.Context, p Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	if err := g.lock(ctx); err != nil {
		return nil, err
	}
	defer g.unlock()
	if err := g.sync(ctx); err != nil {
		return nil, err
	}
	r, err := g.examine(p)
	if err != nil {
		return nil, err
	}
	if err := g.checkCoins(ctx, r.built); err != nil {
		return nil, err
	}
	messages, err := Messages(r.built)
	if err != nil {
		return nil, err
	}
	nonces, err := g.responder.Commit(request, messages)
	if err != nil {
		return nil, err
	}
	// One settlement is in flight, so older requests are of no use any more.
	g.forget(func(id roast.RequestID) bool { return id != request.Request })
	g.rounds[request.Request] = r
	return nonces, nil
}

// forget gives rounds up: their nonces will sign nothing.
func (g *Guardian) forget(which func(roast.RequestID) bool) {
	for id := range g.rounds {
		if which(id) {
			g.responder.Forget(id)
			delete(g.rounds, id)
		}
	}
}

// Messages is what a settlement's signers sign: for each input its sighash,
// computed here, and the tweaks that lead to the key of its coin.
func Messages(t *netting.Transaction) ([]roast.Message, error) {
	sighashes, err := t.Sighashes()
	if err != nil {
		return nil, err
	}
	messages := make([]roast.Message, len(sighashes))
	for i, hash := range sighashes {
		messages[i] = roast.Message{Digest: hash, Tweaks: t.Signers[i].Tweaks}
	}
	return messages, nil
}

// checkCoins asks the guardian's node for every coin that the settlement
// spends: it must be there, unspent, as deep as the charter says, with the
// amount and script of the books.
func (g *Guardian) checkCoins(ctx context.Context, t *netting.Transaction) error {
	for i, in := range t.Tx.TxIn {
		at := in.PreviousOutPoint
		out, depth, err := g.config.Chain.UTXO(ctx, at)
		switch {
		case err != nil:
			return fmt.Errorf("guardian %d looks up coin %s: %w", g.ID(), at, err)
		case out == nil:
			return refusal("coin %s is not there or is spent", at)
		case depth < int64(g.config.Charter.Depth):
			return refusal("coin %s has %d confirmations, the charter wants %d", at, depth, g.config.Charter.Depth)
		case out.Value != t.Spent[i].Value || !bytes.Equal(out.PkScript, t.Spent[i].PkScript):
			return refusal("coin %s holds %d sat on chain, the books say %d sat", at, out.Value, t.Spent[i].Value)
		}
	}
	return nil
}

func refusal(format string, args ...any) error {
	return &roast.RefusalError{Reason: fmt.Sprintf(format, args...)}
}

// examine rebuilds the proposed settlement and refuses one that differs, that
// is beyond a limit, or that must not stand beside what was signed before.
func (g *Guardian) examine(p Proposal) (*round, error) {
	books := g.replay.Books()
	open := books.Open()
	need := p.Batch
	if g.config.Headers != nil {
		need = max(need, g.config.Headers.Last()) // a shorter journal than it has seen is none
	}
	if last := books.Last().Number; last < need {
		return nil, fmt.Errorf("guardian %d is at batch %d of %d: %w", g.ID(), last, need, ErrNotThere)
	}
	if open == nil || open.Settlement != p.Settlement || open.Batch != p.Batch {
		return nil, refusal("the books have no such cut in flight")
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
		return nil, refusal("the proposed transaction is not the one that the books give (%s)", built.TxID)
	case int64(open.FeeRate) > g.config.Limits.FeeRateMax:
		return nil, refusal("its fee rate of %d sat per 1,000 vbytes is above the limit of %d", open.FeeRate, g.config.Limits.FeeRateMax)
	case built.FeeSat > g.config.Limits.FeeMax:
		return nil, refusal("its fee of %d sat is above the limit of %d sat", built.FeeSat, g.config.Limits.FeeMax)
	}
	r := &round{built: built, batch: open.Batch, paid: built.FeeSat}
	for _, payout := range open.Payouts {
		r.paid += int64(payout.Amount)
	}
	if reason := g.config.Memory.Check(g.signed(r), g.config.Limits); reason != "" {
		return nil, refusal("%s", reason)
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
	r := g.rounds[request.Request]
	if r == nil {
		return roast.Answer{}, roast.ErrNoNonces
	}
	if open := g.replay.Books().Open(); open == nil || open.Settlement != r.built.Settlement || open.Batch != r.batch {
		g.forget(func(id roast.RequestID) bool { return id == request.Request })
		return roast.Answer{}, refusal("the cut of settlement %d in batch %d is not in flight any more", r.built.Settlement, r.batch)
	}
	s := g.signed(r)
	if reason := g.config.Memory.Check(s, g.config.Limits); reason != "" {
		return roast.Answer{}, refusal("%s", reason)
	}
	if err := g.config.Memory.Remember(s); err != nil {
		return roast.Answer{}, err
	}
	return g.responder.Sign(request)
}

// Close wipes what is left of the nonces and of the share.
func (g *Guardian) Close() {
	g.responder.Close()
	g.config.Share.Wipe()
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
