package guardian

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Peer is a guardian as the coordinator sees it: one in this process
// (Guardian.Peer) or a wire.Remote in another. It may be absent, slow, refuse, or
// answer wrongly.
type Peer interface {
	ID() frost.ID
	Commit(ctx context.Context, p Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error)
	Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error)
}

// Quorum collects signatures from t of n guardians, of every generation of the
// vault's key. It needs no trust: without t honest guardians it can only fail.
// Whenever t of them answer it succeeds, whatever the others do (package roast).
// It is safe for concurrent use.
type Quorum struct {
	log *slog.Logger

	mu       sync.Mutex
	councils []Council // by generation
}

// Council are the guardians of one generation.
type Council struct {
	Group *frost.Group
	Peers []Peer
	// Present is how many of them could sign now; nil means all.
	Present func() int
}

// answerLimit is what a guardian may take for one answer: the first one to a
// proposal may have many batches to replay.
const answerLimit = 30 * time.Second

// NewQuorum makes the coordinator of the founding's guardians.
func NewQuorum(founding Council, log *slog.Logger) *Quorum {
	return &Quorum{councils: []Council{founding}, log: log}
}

// Succeed adds the guardians of the next generation.
func (q *Quorum) Succeed(next Council) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.councils = append(q.councils, next)
}

func (q *Quorum) council(generation uint32) (Council, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if uint64(generation) >= uint64(len(q.councils)) {
		return Council{}, fmt.Errorf("the guardians of generation %d are not known here", generation)
	}
	return q.councils[generation], nil
}

// Reachable reports whether enough guardians of a generation are there to sign.
func (q *Quorum) Reachable(generation uint32) bool {
	c, err := q.council(generation)
	return err == nil && (c.Present == nil || c.Present() >= c.Group.Threshold())
}

// Sign returns one 64-byte BIP-340 signature for each input of the settlement
// whose cut ended the batch. The guardians of each generation sign the inputs that
// spend their coins. Error: *netting.UnsignedError with a *roast.NoQuorumError, which
// says of each guardian why it did not sign.
func (q *Quorum) Sign(ctx context.Context, t *netting.Transaction, batch uint64) ([][]byte, error) {
	sighashes, err := t.Sighashes()
	if err != nil {
		return nil, err
	}
	raw, err := serialize(t.Tx)
	if err != nil {
		return nil, err
	}
	signed, err := q.signInputs(ctx, Proposal{Settlement: t.Settlement, Batch: batch, Tx: raw}, sighashes, t.Signers)
	if err != nil {
		return nil, err
	}
	sigs := make([][]byte, len(signed))
	for i := range signed {
		sigs[i] = signed[i][:]
	}
	return sigs, nil
}

// Reserves returns the signatures of a proof of reserves, for each coin of each part.
// batch is the last one of the books. Errors as of Sign.
func (q *Quorum) Reserves(ctx context.Context, r *netting.Reserves, batch uint64) ([][]frost.Signature, error) {
	var all [][]frost.Signature
	for i := range r.Parts { // one after another: guardians keep nonces for one
		part := &r.Parts[i]
		sighashes, err := part.Sighashes()
		if err != nil {
			return nil, err
		}
		raw, err := serialize(part.Tx)
		if err != nil {
			return nil, err
		}
		sigs, err := q.signInputs(ctx, Proposal{Batch: batch, Tx: raw, Reserves: &Reserves{Text: r.Text, Part: i}}, sighashes, part.Signers)
		if err != nil {
			return nil, err
		}
		all = append(all, sigs)
	}
	return all, nil
}

// signInputs has the guardians of each generation sign what spends their coins.
// Error: *netting.UnsignedError.
func (q *Quorum) signInputs(ctx context.Context, p Proposal, sighashes [][32]byte, signers []netting.Signer) ([]frost.Signature, error) {
	inputs := make(map[uint32][]int) // by generation
	for i, s := range signers {
		inputs[s.Generation] = append(inputs[s.Generation], i)
	}
	sigs := make([]frost.Signature, len(signers))
	group, ctx := errgroup.WithContext(ctx)
	for generation, places := range inputs {
		p := p
		p.Generation = generation
		group.Go(func() error {
			signed, err := q.collect(ctx, p, messagesOf(sighashes, signers, generation))
			if err != nil {
				return &netting.UnsignedError{Settlement: p.Settlement, Generation: generation, Err: err}
			}
			for i, at := range places {
				sigs[at] = signed[i]
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return sigs, nil
}

// Authorize has the vault's newest guardians sign the entry that hands it to the
// next, who have made their key. batch is the last one of the books. Errors:
// *roast.NoQuorumError; the entry is wrong.
func (q *Quorum) Authorize(ctx context.Context, bank ledger.BankID, rekey *ledger.Rekey, s Succession, batch uint64) error {
	if rekey.Generation == 0 {
		return fmt.Errorf("generation 0 is the founding's: nobody hands it over")
	}
	signed, err := q.collect(ctx, Proposal{Generation: rekey.Generation - 1, Batch: batch, Succession: &s},
		[]roast.Message{{Digest: rekey.Digest(bank)}})
	if err == nil {
		rekey.Signature = ledger.Signature(signed[0])
	}
	return err
}

// collect has the guardians of the proposal's generation sign its messages.
func (q *Quorum) collect(ctx context.Context, p Proposal, messages []roast.Message) ([]frost.Signature, error) {
	c, err := q.council(p.Generation)
	if err != nil {
		return nil, err
	}
	signers := make([]roast.Signer, len(c.Peers))
	for i, peer := range c.Peers {
		signers[i] = bound{Peer: peer, proposal: p}
	}
	o := roast.DefaultOptions()
	o.Timeout = answerLimit
	result, err := roast.NewCoordinator(c.Group, o).Sign(ctx, messages, signers)
	if err != nil {
		return nil, err
	}
	for id, failed := range result.Failed {
		q.log.Warn("a guardian did not sign", "guardian", id, "generation", p.Generation, "settlement", p.Settlement, "error", failed)
	}
	q.log.Info("guardians signed", "generation", p.Generation, "settlement", p.Settlement, "guardians", result.Signers, "sessions", result.Sessions)
	return result.Signatures, nil
}

// bound is a peer that is asked about one proposal.
type bound struct {
	Peer
	proposal Proposal
}

func (b bound) Commit(ctx context.Context, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	return b.Peer.Commit(ctx, b.proposal, request)
}
