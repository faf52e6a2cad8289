package chilldkg

import (
	"errors"
	"fmt"
	"sync"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// UnknownFaultyError is what Step2 returns when the sum of the shares that a
// participant was sent is wrong: another participant or the coordinator is
// faulty, and it takes an investigation message to suspect one of them. It holds
// secrets of the failed run, prints none and refuses to be marshalled.
type UnknownFaultyError struct{ evidence *evidence }

type evidence struct {
	mu        sync.Mutex
	wiped     bool
	id        frost.ID
	encrypted curve.Scalar   // sum of the shares that were sent
	pads      []curve.Scalar // secret, one for each sender
	public    curve.Point    // what the sum of the shares times G should be
}

// Error says that Investigate would say more.
func (e *UnknownFaultyError) Error() string {
	return "chilldkg: the sum of the secret shares is wrong: another participant or the coordinator is faulty, investigate"
}

// Unwrap gives ErrShare.
func (e *UnknownFaultyError) Unwrap() error { return ErrShare }

// Investigate finds out who is to blame with a message that the coordinator made
// by Investigations for this participant, of InvestigationSize bytes. It always
// returns an error: a *FaultyParticipantOrCoordinatorError, a
// *FaultyCoordinatorError, a *LengthError after which another message may be
// tried, or ErrState after Wipe.
func (e *UnknownFaultyError) Investigate(message []byte) error {
	if e == nil || e.evidence == nil {
		return ErrState
	}
	e.evidence.mu.Lock()
	defer e.evidence.mu.Unlock()
	if e.evidence.wiped {
		return ErrState
	}
	return e.evidence.judge(message)
}

func (e *evidence) judge(message []byte) error {
	n := len(e.pads)
	if want := n * (curve.ScalarSize + curve.PointSize); len(message) != want {
		return &LengthError{What: "investigation message", Participant: Nobody, Got: len(message), Want: want}
	}
	m, err := decodeInvestigation(message, n)
	if err != nil {
		return &FaultyCoordinatorError{Err: err}
	}
	if total := curve.Sum(m.public...); !curve.Equal(&total, &e.public) {
		return &FaultyCoordinatorError{Err: ErrPublicSum}
	}
	if total := sumScalars(m.shares); !total.Equals(&e.encrypted) {
		return &FaultyCoordinatorError{Err: ErrShareSum}
	}
	for i := range m.shares {
		share := e.pads[i]
		share.Negate().Add(&m.shares[i])
		public := curve.MulBase(&share)
		share.Zero()
		switch {
		case curve.Equal(&public, &m.public[i]):
		case frost.ID(i) == e.id:
			return &FaultyCoordinatorError{Err: ErrOwnShare}
		default:
			return &FaultyParticipantOrCoordinatorError{ID: frost.ID(i), Err: ErrShare}
		}
	}
	return errConsistent
}

// errConsistent cannot be: if all parts are right, so is their sum.
var errConsistent = errors.New("chilldkg: all shares are right and their sum is not")

// Wipe overwrites the secrets when there will be no investigation, or no more.
func (e *UnknownFaultyError) Wipe() {
	if e == nil || e.evidence == nil {
		return
	}
	e.evidence.mu.Lock()
	defer e.evidence.mu.Unlock()
	e.evidence.wiped = true
	clear(e.evidence.pads)
}

// Format prints the message and never the secrets, whatever the verb.
func (e *UnknownFaultyError) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, e.Error()) }

// GoString is redacted.
func (e *UnknownFaultyError) GoString() string { return e.Error() }

// MarshalText fails with ErrSecret.
func (e *UnknownFaultyError) MarshalText() ([]byte, error) { return nil, ErrSecret }

// Investigations is the coordinator's answer to participants whose sum of shares
// is wrong: from the first messages of all participants it makes one message for
// each, by ID, of InvestigationSize bytes. They are not confidential.
//
// The error is that of Params.Validate, a *LengthError or a
// *FaultyParticipantError.
func Investigations(params Params, messages [][]byte) ([][]byte, error) {
	s, err := newSession(params)
	if err != nil {
		return nil, err
	}
	contributions, err := s.decodeAll1(messages)
	if err != nil {
		return nil, err
	}
	answers := make([][]byte, s.n())
	for i := range answers {
		var m investigation
		for _, c := range contributions {
			m.shares = append(m.shares, c.shares[i])
			m.public = append(m.public, c.commitment.publicShare(frost.ID(i)))
		}
		answers[i] = m.encode()
	}
	return answers, nil
}

var (
	_ error          = (*UnknownFaultyError)(nil)
	_ fmt.Formatter  = (*UnknownFaultyError)(nil)
	_ fmt.GoStringer = (*UnknownFaultyError)(nil)
)
