package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Remote is a guardian in another process, as its coordinator asks it.
type Remote struct {
	id   frost.ID
	trip http.RoundTripper
}

var _ guardian.Peer = (*Remote)(nil)

// NewRemote asks the guardian at the other end of a connection.
func NewRemote(id frost.ID, trip http.RoundTripper) *Remote { return &Remote{id: id, trip: trip} }

// ID is the guardian's number in the group.
func (r *Remote) ID() frost.ID { return r.id }

// Status asks where the guardian stands.
func (r *Remote) Status(ctx context.Context) (*Status, error) {
	s := &Status{}
	return s, r.ask(ctx, http.MethodGet, "/status", nil, s)
}

// Commit asks for nonces.
func (r *Remote) Commit(ctx context.Context, p guardian.Proposal, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	var out commitAnswer
	err := r.ask(ctx, http.MethodPost, "/commit", commitRequest{Proposal: p, Request: request}, &out)
	return out.Nonces, err
}

// Sign asks for partial signatures.
func (r *Remote) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	var out roast.Answer
	err := r.ask(ctx, http.MethodPost, "/sign", request, &out)
	return out, err
}

// Adopt hands the guardian the recovery data of a key generation in which it took
// part, from which it computes its share.
func (r *Remote) Adopt(ctx context.Context, document ledger.Hash, recovery []byte) error {
	var out keygenMessage
	return r.ask(ctx, http.MethodPost, "/keygen/adopt", keygenMessage{Document: document, Message: recovery}, &out)
}

// askLimit is what any answer may take. Who asks for signatures sets a nearer end.
const askLimit = time.Minute

var errSilent = fmt.Errorf("no answer within %v", askLimit)

// silent says so when an error means that the time for the answer is over.
func silent(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return fmt.Errorf("%w: %w", errSilent, err)
	}
	return err
}

// ask sends one request. Errors: what the guardian answered;
// *roast.MalformedError when its answer cannot be decoded; else it could not be
// reached.
func (r *Remote) ask(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askLimit, errSilent)
	defer cancel()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://guardian"+path, body)
	if err != nil {
		return err
	}
	response, err := r.trip.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask guardian %d: %w", r.id, silent(ctx, err))
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, bodyMax+1))
	if err != nil {
		return fmt.Errorf("ask guardian %d: %w", r.id, silent(ctx, err))
	}
	malformed := func(err error) error {
		return &roast.MalformedError{Sent: raw[:min(len(raw), 1024)], Err: err}
	}
	switch response.StatusCode {
	case http.StatusOK:
		if err := decode(raw, out); err != nil {
			return malformed(err)
		}
		return nil
	case answerStatus:
		var failed errorAnswer
		if err := decode(raw, &failed); err != nil {
			return malformed(err)
		}
		if failed.Error == nil {
			return malformed(errors.New("an error without an error"))
		}
		return readError(failed.Error)
	}
	return malformed(fmt.Errorf("status %d", response.StatusCode))
}
