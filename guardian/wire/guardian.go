package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/roast"
)

// Keeper keeps what a guardian must not lose. keep.Keep is one. Recovery's error
// wraps keep.ErrNotFounded when nothing was saved yet.
type Keeper interface {
	Recovery() ([]byte, error)
	SaveRecovery(data []byte) error
}

// Guardian answers the coordinator: key generation first, and signing once
// there is a share. It is safe for concurrent use.
type Guardian struct {
	founding *guardian.Founding
	host     *chilldkg.HostKey
	keeper   Keeper
	finished chan *chilldkg.Result // gets the result once

	mu          sync.Mutex
	participant *chilldkg.Participant
	unknown     *chilldkg.UnknownFaultyError
	result      *chilldkg.Result
	signer      *guardian.Guardian // nil until Serve
}

// NewGuardian makes the guardian's end for the document that its owner agreed
// to. A key generation that is finished already is recovered from the keeper.
func NewGuardian(f *guardian.Founding, host *chilldkg.HostKey, keeper Keeper) (*Guardian, error) {
	g := &Guardian{founding: f, host: host, keeper: keeper, finished: make(chan *chilldkg.Result, 1)}
	if _, ok := f.Params().ID(host.Public()); !ok {
		return nil, errors.New("this guardian is not in the founding document: compare its public key with the list")
	}
	data, err := keeper.Recovery()
	switch {
	case errors.Is(err, keep.ErrNotFounded):
		return g, nil
	case err != nil:
		// It may hold a share: no other key generation must begin.
		return nil, fmt.Errorf("read the recovery data: %w", err)
	}
	return g, g.recover(data)
}

// recover takes the result of a finished run from its recovery data. The data
// may come from anybody: it must be of this founding's parameters.
func (g *Guardian) recover(data []byte) error {
	result, err := chilldkg.Recover(g.host, data)
	if err != nil {
		return err
	}
	got, err := result.Params.Hash()
	if err != nil {
		return err
	}
	if want, err := g.founding.Params().Hash(); err != nil || got != want {
		return errOtherGroup
	}
	g.finish(result)
	return nil
}

var errOtherGroup = errors.New("the recovery data is of another group than the founding document's")

func (g *Guardian) finish(result *chilldkg.Result) {
	if g.result == nil {
		g.result = result
		g.finished <- result
	}
}

// Finished gives the result of the key generation once there is one.
func (g *Guardian) Finished() <-chan *chilldkg.Result { return g.finished }

// Serve lets a guardian sign from now on.
func (g *Guardian) Serve(signer *guardian.Guardian) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.signer = signer
}

// Handler answers the coordinator's requests.
func (g *Guardian) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(g.status))
	mux.HandleFunc("POST /keygen/begin", answer(g.keygen(g.begin)))
	mux.HandleFunc("POST /keygen/step2", answer(g.keygen(g.step2)))
	mux.HandleFunc("POST /keygen/finalize", answer(g.keygen(g.finalize)))
	mux.HandleFunc("POST /keygen/adopt", answer(g.keygen(g.adopt)))
	mux.HandleFunc("POST /keygen/investigate", answer(g.keygen(g.investigate)))
	mux.HandleFunc("POST /commit", answer(g.commit))
	mux.HandleFunc("POST /sign", answer(g.sign))
	return mux
}

// answer serves a function that takes and returns JSON.
func answer[In, Out any](f func(context.Context, *In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in In
		if r.Method == http.MethodPost {
			if err := readBody(r.Body, &in); err != nil {
				writeError(w, fmt.Errorf("the request cannot be read: %w", err))
				return
			}
		}
		out, err := f(r.Context(), &in)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out)
	}
}

type nothing struct{}

func (g *Guardian) status(context.Context, *nothing) (*Status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &Status{Founding: g.founding.Hash(), Finished: g.result != nil}
	if g.result != nil {
		s.Recovery = g.result.RecoveryData
	}
	if g.signer == nil {
		return s, nil
	}
	if halted := g.signer.Halted(); halted != nil {
		s.Halted = halted.Error()
		return s, nil
	}
	batch, head := g.signer.Head()
	if batch == 0 {
		return s, nil
	}
	charter, err := g.founding.Charter()
	if err != nil {
		return nil, err
	}
	a, err := guardian.Attest(charter.ID(), g.signer.ID(), batch, head, g.host)
	s.Attestation = &a
	return s, err
}

// keygen checks that a step is of the founding that was agreed to.
func (g *Guardian) keygen(step func([]byte) ([]byte, error)) func(context.Context, *keygenMessage) (*keygenMessage, error) {
	return func(_ context.Context, in *keygenMessage) (*keygenMessage, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		own := g.founding.Hash()
		if in.Founding != own {
			return nil, fmt.Errorf("this guardian agreed to the founding document %s, not %s", own, in.Founding)
		}
		out, err := step(in.Message)
		return &keygenMessage{Founding: own, Message: out}, err
	}
}

var errFinished = errors.New("this guardian has finished its key generation: hand its recovery data to the others")

// begin starts a run, and gives up the one before: only a run that reached its
// certificate at somebody counts, and that one is handed on by adopt.
func (g *Guardian) begin([]byte) ([]byte, error) {
	if g.result != nil {
		return nil, errFinished
	}
	if g.participant != nil {
		g.participant.Wipe()
	}
	participant, message, err := chilldkg.NewParticipant(g.host, g.founding.Params(), nil)
	g.participant, g.unknown = participant, nil
	return message, err
}

var errNotBegun = errors.New("no key generation is under way: begin one")

func (g *Guardian) step2(message []byte) ([]byte, error) {
	if g.participant == nil {
		return nil, errNotBegun
	}
	out, err := g.participant.Step2(g.host, message, nil)
	if errors.As(err, &g.unknown) {
		return nil, &unknownFaulty{message: err.Error()}
	}
	return out, err
}

// investigate names who is to blame for a wrong sum of shares.
func (g *Guardian) investigate(message []byte) ([]byte, error) {
	if g.unknown == nil {
		return nil, errors.New("there is nothing to investigate")
	}
	return nil, g.unknown.Investigate(message)
}

func (g *Guardian) finalize(certificate []byte) ([]byte, error) {
	if g.participant == nil {
		return nil, errNotBegun
	}
	result, err := g.participant.Finalize(certificate)
	if err != nil {
		return nil, err
	}
	return g.acknowledge(result)
}

// adopt takes the result of a run that another guardian has finished.
func (g *Guardian) adopt(data []byte) ([]byte, error) {
	if g.result == nil {
		if err := g.recover(data); err != nil {
			return nil, err
		}
	}
	if string(g.result.RecoveryData) != string(data) {
		return nil, errors.New("this guardian has finished another run than this one")
	}
	return g.acknowledge(g.result)
}

// acknowledge says that the recovery data is on disk, once it is.
func (g *Guardian) acknowledge(result *chilldkg.Result) ([]byte, error) {
	if err := g.keeper.SaveRecovery(result.RecoveryData); err != nil {
		return nil, err
	}
	g.finish(result)
	return result.Acknowledge(g.host, nil)
}

var errNoShare = &roast.RefusalError{Reason: "this guardian does not sign yet"}

func (g *Guardian) signing() (*guardian.Guardian, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.signer == nil {
		return nil, errNoShare
	}
	return g.signer, nil
}

func (g *Guardian) commit(ctx context.Context, in *commitRequest) (*commitAnswer, error) {
	signer, err := g.signing()
	if err != nil {
		return nil, err
	}
	nonces, err := signer.Commit(ctx, in.Proposal, in.Request)
	return &commitAnswer{Nonces: nonces}, err
}

func (g *Guardian) sign(ctx context.Context, in *roast.SignRequest) (*roast.Answer, error) {
	signer, err := g.signing()
	if err != nil {
		return nil, err
	}
	out, err := signer.Sign(ctx, *in)
	return &out, err
}
