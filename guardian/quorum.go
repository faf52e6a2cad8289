package guardian

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/frost"
)

// Signer is a guardian as the coordinator sees it. It may be absent, slow,
// refuse, or answer wrongly; it returns when its context ends.
type Signer interface {
	ID() frost.ID
	Commit(ctx context.Context, p Proposal) ([]frost.PublicNonce, error)
	Sign(ctx context.Context, settlement uint32, signers []frost.ID, nonces []frost.AggregateNonce) ([]frost.PartialSignature, error)
}

var _ Signer = (*Guardian)(nil)

// patience is how long a guardian may take over one answer before the round goes
// on without it. One that has much to replay keeps what it has replayed and is
// asked again for the next settlement or at the next try.
const patience = 30 * time.Second

// Quorum collects signatures from t of n guardians.
type Quorum struct {
	group   *frost.Group
	signers []Signer
	log     *slog.Logger
}

// NewQuorum makes the coordinator of a group.
func NewQuorum(group *frost.Group, signers []Signer, log *slog.Logger) *Quorum {
	return &Quorum{group: group, signers: signers, log: log}
}

// QuorumError says that fewer than t guardians signed, and why each of the
// others did not.
type QuorumError struct {
	Need    int
	Refused map[frost.ID]error
}

func (e *QuorumError) Error() string {
	text := fmt.Sprintf("fewer than %d guardians signed", e.Need)
	for _, id := range slices.Sorted(maps.Keys(e.Refused)) {
		text += fmt.Sprintf("; guardian %d: %v", id, e.Refused[id])
	}
	return text
}

// Sign returns one 64-byte BIP-340 signature for each input of the settlement.
// A guardian that fails is left out and the round begins again with the others,
// so n−t may be gone or lie. Error: *QuorumError.
func (q *Quorum) Sign(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error) {
	raw, err := serialize(t.Tx)
	if err != nil {
		return nil, err
	}
	p := Proposal{Settlement: t.Settlement, Batch: batch, Tx: raw}
	refused := make(map[frost.ID]error)
	for {
		r, err := q.commit(ctx, p, refused)
		if err != nil {
			return nil, err
		}
		sigs, err := r.sign(ctx, t)
		if err == nil {
			return sigs, nil
		}
		// Each turn leaves out at least one more guardian, so this ends.
		var failed *signError
		if !errors.As(err, &failed) {
			return nil, err
		}
		for _, id := range failed.ids {
			q.log.Warn("guardian failed to sign", "guardian", id, "settlement", t.Settlement, "error", failed.err)
			refused[id] = failed.err
		}
	}
}

// A ceremony is one attempt: t guardians and their nonces.
type ceremony struct {
	group   *frost.Group
	signers []Signer
	ids     []frost.ID
	nonces  map[frost.ID][]frost.PublicNonce
}

// signError names the guardians because of which an attempt failed.
type signError struct {
	ids []frost.ID
	err error
}

func (e *signError) Error() string { return e.err.Error() }
func (e *signError) Unwrap() error { return e.err }

// commit runs round one until t guardians have given nonces.
func (q *Quorum) commit(ctx context.Context, p Proposal, refused map[frost.ID]error) (*ceremony, error) {
	c := &ceremony{group: q.group, nonces: make(map[frost.ID][]frost.PublicNonce)}
	for _, s := range q.signers {
		if len(c.ids) == q.group.Threshold() {
			break
		}
		if refused[s.ID()] != nil {
			continue
		}
		nonces, err := askNonces(ctx, s, p)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			q.log.Warn("guardian does not take part", "guardian", s.ID(), "settlement", p.Settlement, "error", err)
			refused[s.ID()] = err
			continue
		}
		c.signers = append(c.signers, s)
		c.ids = append(c.ids, s.ID())
		c.nonces[s.ID()] = nonces
	}
	if len(c.ids) < q.group.Threshold() {
		return nil, &QuorumError{Need: q.group.Threshold(), Refused: refused}
	}
	return c, nil
}

// sign runs round two and puts the signatures together, input by input.
func (c *ceremony) sign(ctx context.Context, t *netting.Transaction) ([][]byte, error) {
	sighashes, err := t.Sighashes()
	if err != nil {
		return nil, err
	}
	aggregates := make([]frost.AggregateNonce, len(sighashes))
	for i := range sighashes {
		if aggregates[i], err = c.aggregateNonces(i, len(sighashes)); err != nil {
			return nil, err
		}
	}
	parts := make(map[frost.ID][]frost.PartialSignature, len(c.signers))
	for _, s := range c.signers {
		p, err := askSignatures(ctx, s, t.Settlement, c.ids, aggregates)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && len(p) != len(sighashes) {
			err = fmt.Errorf("%d signatures for %d inputs", len(p), len(sighashes))
		}
		if err != nil {
			return nil, &signError{ids: []frost.ID{s.ID()}, err: err}
		}
		parts[s.ID()] = p
	}
	sigs := make([][]byte, len(sighashes))
	for i, hash := range sighashes {
		sig, err := c.aggregate(i, hash, aggregates[i], t.Signers[i].Tweaks, parts)
		if err != nil {
			return nil, blame(err)
		}
		sigs[i] = sig[:]
	}
	return sigs, nil
}

func askNonces(ctx context.Context, s Signer, p Proposal) ([]frost.PublicNonce, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Commit(ctx, p)
}

func askSignatures(ctx context.Context, s Signer, settlement uint32, ids []frost.ID, nonces []frost.AggregateNonce) ([]frost.PartialSignature, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Sign(ctx, settlement, ids, nonces)
}

func (c *ceremony) aggregateNonces(input, inputs int) (frost.AggregateNonce, error) {
	round := make(map[frost.ID]frost.PublicNonce, len(c.ids))
	for id, nonces := range c.nonces {
		if len(nonces) != inputs {
			return frost.AggregateNonce{}, &signError{ids: []frost.ID{id}, err: fmt.Errorf("%d nonces for %d inputs", len(nonces), inputs)}
		}
		round[id] = nonces[input]
	}
	agg, err := frost.NonceAgg(round)
	return agg, blame(err)
}

func (c *ceremony) aggregate(input int, hash [32]byte, agg frost.AggregateNonce, tweaks []frost.Tweak, parts map[frost.ID][]frost.PartialSignature) (frost.Signature, error) {
	session, err := frost.NewSession(c.group, frost.SessionParams{Signers: c.ids, AggregateNonce: agg, Tweaks: tweaks, Message: hash[:]})
	if err != nil {
		return frost.Signature{}, err
	}
	sigs := make(map[frost.ID]frost.PartialSignature, len(parts))
	nonces := make(map[frost.ID]frost.PublicNonce, len(parts))
	for id := range parts {
		sigs[id], nonces[id] = parts[id][input], c.nonces[id][input]
	}
	return session.Aggregate(sigs, nonces)
}

// blame turns an error that names culprits into a signError.
func blame(err error) error {
	var culprit *frost.CulpritError
	if errors.As(err, &culprit) {
		return &signError{ids: culprit.IDs, err: err}
	}
	return err
}
