package chilldkg

import (
	"fmt"
	"io"
	"sync"

	"github.com/daobank/daobank/taproot/frost"
)

// Acknowledge signs that the participant has stored the recovery data, so store
// it first. The message goes to everyone who would fund the key, and is of
// Message2Size bytes. random gives 32 bytes that should be fresh; nil means
// crypto/rand.
//
// The error wraps ErrHostKey, ErrState (the Result is not from this package) or
// ErrSelfCheck, or says that random failed.
func (r *Result) Acknowledge(host *HostKey, random io.Reader) ([]byte, error) {
	if r == nil || r.session == nil {
		return nil, ErrState
	}
	id, secret, err := r.session.own(host)
	if err != nil {
		return nil, err
	}
	defer secret.Zero()
	var aux [32]byte
	if err := draw(random, &aux); err != nil {
		return nil, err
	}
	defer clear(aux[:])
	sig, err := bip340.sign(&secret, aux, signedHeader(prefixAcknowledgement, id), []byte(r.agreed))
	if err != nil {
		return nil, err
	}
	return sig[:], nil
}

// Acknowledgements collects everyone's acknowledgement of one Result and gives
// out the group to be funded when none is missing. It is safe for concurrent
// use.
type Acknowledgements struct {
	session *session
	group   *frost.Group
	message []byte // the recovery data

	mu  sync.Mutex
	got []bool // by participant
}

// NewAcknowledgements waits for the n acknowledgements of a result, the own one
// included. The error is ErrState if the Result is not from this package.
func NewAcknowledgements(r *Result) (*Acknowledgements, error) {
	if r == nil || r.session == nil {
		return nil, ErrState
	}
	return &Acknowledgements{
		session: r.session, group: r.Group, message: []byte(r.agreed), got: make([]bool, r.session.n()),
	}, nil
}

// Add takes the acknowledgement of a participant; the same one twice does no
// harm. An error does not mean that the run has failed, only that this
// participant's copy of the recovery data is not confirmed: it is a *LengthError
// or a *FaultyParticipantError that wraps ErrAcknowledgement, or wraps ErrParams
// when there is no such participant.
func (a *Acknowledgements) Add(id frost.ID, message []byte) error {
	s := a.session
	if uint64(id) >= uint64(s.n()) {
		return fmt.Errorf("%w: no participant %d among %d", ErrParams, id, s.n())
	}
	if len(message) != signatureSize {
		return &LengthError{What: "acknowledgement", Participant: int(id), Got: len(message), Want: signatureSize}
	}
	if !bip340.verify(&s.keys[id], signature(message), signedHeader(prefixAcknowledgement, id), a.message) {
		return &FaultyParticipantError{ID: id, Err: ErrAcknowledgement}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got[id] = true
	return nil
}

// Missing are the participants that have not acknowledged, ascending.
func (a *Acknowledgements) Missing() []frost.ID {
	a.mu.Lock()
	defer a.mu.Unlock()
	var missing []frost.ID
	for i, got := range a.got {
		if !got {
			missing = append(missing, frost.ID(i))
		}
	}
	return missing
}

// Group is the group whose key may now be funded: everyone has what it takes to
// recover. The error is a *MissingAcknowledgementsError.
func (a *Acknowledgements) Group() (*frost.Group, error) {
	if missing := a.Missing(); missing != nil {
		return nil, &MissingAcknowledgementsError{IDs: missing}
	}
	return a.group, nil
}
