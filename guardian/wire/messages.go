package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// bodyMax is the size in bytes of the largest message.
const bodyMax = 1 << 20

// Status is where a guardian stands.
type Status struct {
	// Documents are those that it agreed to, the last one in force.
	Documents []DocumentStatus `json:"documents"`
	// Attestation is for the last batch that it has replayed; nil before the first.
	Attestation *guardian.Attestation `json:"attestation,omitempty"`
	Halted      string                `json:"halted,omitempty"` // why it signs no more
}

// DocumentStatus is how far the key generation of a document is at a guardian.
type DocumentStatus struct {
	Hash       ledger.Hash `json:"hash"`
	Generation uint32      `json:"generation"`
	Finished   bool        `json:"finished"` // it holds a share
	// Recovery is the recovery data of the key generation that it finished: what
	// another guardian needs, besides its own host key, for its share.
	Recovery []byte `json:"recovery,omitempty"`
}

// Document is what a status says of a document; nil when the guardian has not
// agreed to it.
func (s *Status) Document(hash ledger.Hash) *DocumentStatus {
	i := slices.IndexFunc(s.Documents, func(d DocumentStatus) bool { return d.Hash == hash })
	if i < 0 {
		return nil
	}
	return &s.Documents[i]
}

// keygenMessage is one step of key generation in either direction.
type keygenMessage struct {
	Document ledger.Hash `json:"document"`
	Message  []byte      `json:"message"`
}

type commitRequest struct {
	Proposal guardian.Proposal   `json:"proposal"`
	Request  roast.CommitRequest `json:"request"`
}

type commitAnswer struct {
	Nonces []frost.PublicNonce `json:"nonces"`
}

// The kinds of errors that a guardian answers with.
const (
	kindRefused  = "refused"   // it will not sign this
	kindNoNonces = "no_nonces" // begin again at commit
	kindFailed   = "failed"    // it could not; ask again later
	kindUnknown  = "unknown_faulty"
)

type errorBody struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

type errorAnswer struct {
	Error *errorBody `json:"error"`
}

// answerStatus is the HTTP status of every error answer. The body says the rest.
const answerStatus = http.StatusConflict

func writeError(w http.ResponseWriter, err error) {
	body := errorBody{Kind: kindFailed, Message: err.Error()}
	var refused *roast.RefusalError
	var unknown *unknownFaulty
	switch {
	case errors.As(err, &refused):
		body = errorBody{Kind: kindRefused, Message: refused.Reason}
	case errors.Is(err, roast.ErrNoNonces):
		body.Kind = kindNoNonces
	case errors.As(err, &unknown):
		body.Kind = kindUnknown
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answerStatus)
	_ = json.NewEncoder(w).Encode(errorAnswer{Error: &body})
}

// readError turns an error answer into what it stands for.
func readError(b *errorBody) error {
	switch b.Kind {
	case kindRefused:
		return &roast.RefusalError{Reason: b.Message}
	case kindNoNonces:
		return roast.ErrNoNonces
	case kindUnknown:
		return &unknownFaulty{message: b.Message}
	}
	return errors.New(b.Message)
}

// unknownFaulty is a participant's report that its sum of shares is wrong.
type unknownFaulty struct{ message string }

func (e *unknownFaulty) Error() string { return e.message }

// readBody decodes one JSON value and nothing else.
func readBody(r io.Reader, into any) error {
	raw, err := io.ReadAll(io.LimitReader(r, bodyMax+1))
	if err != nil {
		return err
	}
	return decode(raw, into)
}

func decode(raw []byte, into any) error {
	if len(raw) > bodyMax {
		return fmt.Errorf("the message has more than %d bytes", bodyMax)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the message")
	}
	return nil
}
