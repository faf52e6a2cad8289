package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/roast"
)

// Keeper keeps what a guardian must not lose: the recovery data of the key
// generation of each document. keep.Keep is one. Recovery's error wraps
// keep.ErrNotFounded when nothing was saved yet.
type Keeper interface {
	Recovery(f *guardian.Founding) ([]byte, error)
	SaveRecovery(f *guardian.Founding, data []byte) error
}

// Guardian answers the coordinator: key generation first, and signing once
// there is a share. It is safe for concurrent use.
type Guardian struct {
	host   *chilldkg.HostKey
	keeper Keeper
	bank   ledger.BankID
	made   chan *chilldkg.Result // gets each result once

	mu        sync.Mutex
	documents []*document        // that its owner agreed to, the last one in force
	signer    *guardian.Guardian // nil until Serve
}

// A document is one that the guardian's owner agreed to, and its key generation.
type document struct {
	*guardian.Founding
	hash ledger.Hash
	in   bool // the guardian is one of those who make the key

	participant *chilldkg.Participant
	unknown     *chilldkg.UnknownFaultyError
	result      *chilldkg.Result
}

// documentsMax is how many documents a guardian can agree to while it runs.
const documentsMax = 16

// NewGuardian makes the guardian's end for the document that its owner agreed to
// first. A key generation that is finished already is recovered from the keeper.
func NewGuardian(f *guardian.Founding, host *chilldkg.HostKey, keeper Keeper) (*Guardian, error) {
	if _, ok := f.Params().ID(host.Public()); !ok {
		return nil, errors.New("this guardian is not in the founding document: compare its public key with the list")
	}
	charter, err := f.Charter()
	if err != nil {
		return nil, err
	}
	g := &Guardian{host: host, keeper: keeper, bank: charter.ID(), made: make(chan *chilldkg.Result, documentsMax)}
	if err := g.Agree(f); err != nil {
		return nil, err
	}
	return g, nil
}

// Agree takes one more document to which the guardian's owner has agreed, and which
// has been kept: of its key generation the guardian is part when it is named, and
// to its guardians it hands the vault over when it is a succession.
func (g *Guardian) Agree(f *guardian.Founding) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d := g.document(f.Hash()); d != nil {
		g.documents = append(slices.DeleteFunc(g.documents, func(old *document) bool { return old == d }), d)
	} else if err := g.add(f); err != nil {
		return err
	}
	if g.signer != nil && len(g.documents) > 1 {
		g.signer.Agree(f)
	}
	return nil
}

func (g *Guardian) add(f *guardian.Founding) error {
	if len(g.documents) == documentsMax {
		return fmt.Errorf("%d documents were agreed to since this process began: start it again", documentsMax)
	}
	d := &document{Founding: f, hash: f.Hash()}
	if _, d.in = f.Params().ID(g.host.Public()); d.in {
		data, err := g.keeper.Recovery(f)
		switch {
		case errors.Is(err, keep.ErrNotFounded):
		case err != nil:
			// It may hold a share: no other key generation must begin.
			return fmt.Errorf("read the recovery data: %w", err)
		default:
			result, err := g.recover(d, data)
			if err != nil {
				return err
			}
			g.finish(d, result)
		}
	}
	g.documents = append(g.documents, d)
	return nil
}

// document is one that was agreed to, or nil.
func (g *Guardian) document(hash ledger.Hash) *document {
	i := slices.IndexFunc(g.documents, func(d *document) bool { return d.hash == hash })
	if i < 0 {
		return nil
	}
	return g.documents[i]
}

// recover takes the result of a finished run from its recovery data. The data
// may come from anybody: it must be of the document's parameters.
func (g *Guardian) recover(d *document, data []byte) (*chilldkg.Result, error) {
	result, err := chilldkg.Recover(g.host, data)
	if err != nil {
		return nil, err
	}
	got, err := result.Params.Hash()
	if err != nil {
		return nil, err
	}
	if want, err := d.Params().Hash(); err != nil || got != want {
		return nil, errOtherGroup
	}
	for _, other := range g.documents {
		if other.result != nil && other.result.Group.Key() == result.Group.Key() {
			return nil, errOldKey
		}
	}
	return result, nil
}

var (
	errOtherGroup = errors.New("the recovery data is of another group than the document's")
	errOldKey     = errors.New("the recovery data is of a key that was made for another document")
)

func (g *Guardian) finish(d *document, result *chilldkg.Result) {
	if d.result == nil {
		d.result = result
		g.made <- result // has room for one of each document
	}
}

// Made gives the result of each key generation once: those that were finished
// before, and new ones as they end.
func (g *Guardian) Made() <-chan *chilldkg.Result { return g.made }

// Serve lets a guardian sign from now on.
func (g *Guardian) Serve(signer *guardian.Guardian) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.signer = signer
	if n := len(g.documents); n > 1 {
		signer.Agree(g.documents[n-1].Founding)
	}
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
	s := &Status{}
	for _, d := range g.documents {
		of := DocumentStatus{Hash: d.hash, Generation: d.Generation, Finished: d.result != nil}
		if d.result != nil {
			of.Recovery = d.result.RecoveryData
		}
		s.Documents = append(s.Documents, of)
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
	a, err := guardian.Attest(g.bank, batch, head, g.host)
	s.Attestation = &a
	return s, err
}

// keygen finds the document of a step.
func (g *Guardian) keygen(step func(*document, []byte) ([]byte, error)) func(context.Context, *keygenMessage) (*keygenMessage, error) {
	return func(_ context.Context, in *keygenMessage) (*keygenMessage, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		d := g.document(in.Document)
		switch {
		case d == nil:
			return nil, fmt.Errorf("this guardian has not agreed to the document %s", in.Document)
		case !d.in:
			return nil, fmt.Errorf("this guardian is not one of those whom the document %s names", in.Document)
		}
		out, err := step(d, in.Message)
		return &keygenMessage{Document: d.hash, Message: out}, err
	}
}

var errFinished = errors.New("this guardian has finished its key generation: hand its recovery data to the others")

// begin starts a run, and gives up the one before: only a run that reached its
// certificate at somebody counts, and that one is handed on by adopt.
func (g *Guardian) begin(d *document, _ []byte) ([]byte, error) {
	if d.result != nil {
		return nil, errFinished
	}
	if d.participant != nil {
		d.participant.Wipe()
	}
	participant, message, err := chilldkg.NewParticipant(g.host, d.Params(), nil)
	d.participant, d.unknown = participant, nil
	return message, err
}

var errNotBegun = errors.New("no key generation is under way: begin one")

func (g *Guardian) step2(d *document, message []byte) ([]byte, error) {
	if d.participant == nil {
		return nil, errNotBegun
	}
	out, err := d.participant.Step2(g.host, message, nil)
	if errors.As(err, &d.unknown) {
		return nil, &unknownFaulty{message: err.Error()}
	}
	return out, err
}

// investigate names who is to blame for a wrong sum of shares.
func (g *Guardian) investigate(d *document, message []byte) ([]byte, error) {
	if d.unknown == nil {
		return nil, errors.New("there is nothing to investigate")
	}
	return nil, d.unknown.Investigate(message)
}

func (g *Guardian) finalize(d *document, certificate []byte) ([]byte, error) {
	if d.participant == nil {
		return nil, errNotBegun
	}
	result, err := d.participant.Finalize(certificate)
	if err != nil {
		return nil, err
	}
	return g.acknowledge(d, result)
}

// adopt takes the result of a run that another guardian has finished.
func (g *Guardian) adopt(d *document, data []byte) ([]byte, error) {
	result := d.result
	if result == nil {
		var err error
		if result, err = g.recover(d, data); err != nil {
			return nil, err
		}
	}
	if string(result.RecoveryData) != string(data) {
		return nil, errors.New("this guardian has finished another run than this one")
	}
	return g.acknowledge(d, result)
}

// acknowledge says that the recovery data is on disk, once it is.
func (g *Guardian) acknowledge(d *document, result *chilldkg.Result) ([]byte, error) {
	if err := g.keeper.SaveRecovery(d.Founding, result.RecoveryData); err != nil {
		return nil, err
	}
	g.finish(d, result)
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
