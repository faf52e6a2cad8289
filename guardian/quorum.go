package guardian

import (
	"context"
	"log/slog"
	"time"

	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Peer is a guardian as the coordinator sees it: a Guardian in this process or
// a Remote in another. It may be absent, slow, refuse, or answer wrongly.
type Peer interface {
	ID() frost.ID
	Commit(ctx context.Context, p Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error)
	Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error)
}

var _ Peer = (*Guardian)(nil)

// Quorum collects signatures from t of n guardians. It needs no trust: without t
// honest guardians it can only fail. Whenever t of them answer it succeeds,
// whatever the others do (package roast).
type Quorum struct {
	coordinator *roast.Coordinator
	peers       []Peer
	log         *slog.Logger
}

// answerLimit is what a guardian may take for one answer: the first one to a
// proposal may have many batches to replay.
const answerLimit = 30 * time.Second

// NewQuorum makes the coordinator of a group.
func NewQuorum(group *frost.Group, peers []Peer, log *slog.Logger) *Quorum {
	o := roast.DefaultOptions()
	o.Timeout = answerLimit
	return &Quorum{coordinator: roast.NewCoordinator(group, o), peers: peers, log: log}
}

// bound is a peer that is asked about one proposal.
type bound struct {
	Peer
	proposal Proposal
}

func (b bound) Commit(ctx context.Context, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	return b.Peer.Commit(ctx, b.proposal, request)
}

// Sign returns one 64-byte BIP-340 signature for each input of the settlement
// whose cut ended the batch. Error: *roast.NoQuorumError, which says of each
// guardian why it did not sign.
func (q *Quorum) Sign(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error) {
	raw, err := serialize(t.Tx)
	if err != nil {
		return nil, err
	}
	messages, err := Messages(t)
	if err != nil {
		return nil, err
	}
	signers := make([]roast.Signer, len(q.peers))
	for i, p := range q.peers {
		signers[i] = bound{Peer: p, proposal: Proposal{Settlement: t.Settlement, Batch: batch, Tx: raw}}
	}
	result, err := q.coordinator.Sign(ctx, messages, signers)
	if err != nil {
		return nil, err
	}
	for id, failed := range result.Failed {
		q.log.Warn("a guardian did not sign", "guardian", id, "settlement", t.Settlement, "error", failed)
	}
	q.log.Info("guardians signed", "settlement", t.Settlement, "guardians", result.Signers, "sessions", result.Sessions)
	sigs := make([][]byte, len(result.Signatures))
	for i := range sigs {
		sigs[i] = result.Signatures[i][:]
	}
	return sigs, nil
}
