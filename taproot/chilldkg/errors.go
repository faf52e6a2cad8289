package chilldkg

import (
	"errors"
	"fmt"

	"github.com/daobank/daobank/taproot/frost"
)

// Errors of what the caller gives.
var (
	// ErrParams is wrapped by *ThresholdOrCountError, *InvalidHostKeyError and
	// *DuplicateHostKeyError.
	ErrParams = errors.New("chilldkg: bad session parameters")
	// ErrHostKey is wrapped by every error that finds fault with a host key.
	ErrHostKey = errors.New("chilldkg: bad host key")
	// ErrHostKeyRange: the secret is zero, or at or above the group order.
	ErrHostKeyRange = fmt.Errorf("%w: the secret is not in 1 … order-1", ErrHostKey)
	// ErrHostKeyUnknown: the host key is none of the session's, or not the one
	// that began the session.
	ErrHostKeyUnknown = fmt.Errorf("%w: it does not belong to the session", ErrHostKey)
	// ErrHostKeyWiped: Wipe was called on the host key.
	ErrHostKeyWiped = fmt.Errorf("%w: it was wiped", ErrHostKey)
	// ErrRandomness: the random source gave 32 zero bytes, so it is broken.
	ErrRandomness = errors.New("chilldkg: the randomness is all zeros")
	// ErrState: a step out of order, a second time, or after an error or Wipe.
	ErrState = errors.New("chilldkg: this step is not due")
	// ErrSecret: a secret was handed to an encoder.
	ErrSecret = errors.New("chilldkg: secrets are not serialised this way")
)

// ErrOutcomeUnknown is wrapped by every error of Participant.Finalize, beside
// the cause. The run may have succeeded for others, who may fund the key: keep
// the host key and ask the others for the recovery data.
var ErrOutcomeUnknown = errors.New("chilldkg: the run may have succeeded for others, keep the host key")

// What was found wrong, wrapped by the errors that name who is to blame.
var (
	ErrMalformed       = errors.New("chilldkg: malformed message")
	ErrEcho            = errors.New("chilldkg: own contribution came back changed")
	ErrNonce           = errors.New("chilldkg: invalid public nonce")
	ErrCommitment      = errors.New("chilldkg: commitment to a zero secret")
	ErrProof           = errors.New("chilldkg: invalid proof of possession")
	ErrShare           = errors.New("chilldkg: the secret share does not match its public share")
	ErrOwnShare        = errors.New("chilldkg: the share from myself to myself was changed")
	ErrShareSum        = errors.New("chilldkg: the encrypted shares do not add up")
	ErrPublicSum       = errors.New("chilldkg: the public shares do not add up")
	ErrCertificate     = errors.New("chilldkg: invalid signature in the certificate")
	ErrAcknowledgement = errors.New("chilldkg: invalid recovery acknowledgement")
)

// ErrDegenerate: the contributions add up to a key or a share that is the point
// at infinity. Somebody is faulty and nobody can be named; the run ends before
// anything is signed.
var ErrDegenerate = errors.New("chilldkg: the contributions cancel out")

// ErrSelfCheck: an own signature does not verify and was not released. The
// machine miscalculates or its memory is damaged.
var ErrSelfCheck = errors.New("chilldkg: own signature fails verification, not released")

// ThresholdOrCountError: 1 <= t <= n <= frost.MaxParticipants does not hold.
type ThresholdOrCountError struct{ Threshold, Participants int }

func (e *ThresholdOrCountError) Error() string {
	return fmt.Sprintf("%v: t = %d, n = %d, must be 1 <= t <= n <= %d",
		ErrParams, e.Threshold, e.Participants, frost.MaxParticipants)
}

// Unwrap gives ErrParams.
func (e *ThresholdOrCountError) Unwrap() error { return ErrParams }

// InvalidHostKeyError: the host public key of participant ID is not a point. If
// it arrived as sent, ID is faulty.
type InvalidHostKeyError struct{ ID frost.ID }

func (e *InvalidHostKeyError) Error() string {
	return fmt.Sprintf("%v: the host key of participant %d is not a point", ErrParams, e.ID)
}

// Unwrap gives ErrParams.
func (e *InvalidHostKeyError) Unwrap() error { return ErrParams }

// DuplicateHostKeyError: two participants have one host key. If the keys arrived
// as sent, at least one of the two is faulty. First < Second.
type DuplicateHostKeyError struct{ First, Second frost.ID }

func (e *DuplicateHostKeyError) Error() string {
	return fmt.Sprintf("%v: participants %d and %d have the same host key", ErrParams, e.First, e.Second)
}

// Unwrap gives ErrParams.
func (e *DuplicateHostKeyError) Unwrap() error { return ErrParams }

// Nobody is the Participant of a LengthError of which no participant is the
// origin.
const Nobody = -1

// LengthError: a key, a message or a list of messages has the wrong length, in
// bytes or entries. It blames nobody: a transport knows every length in advance.
type LengthError struct {
	What        string
	Participant int // whose message it was, or Nobody
	Got, Want   int
}

func (e *LengthError) Error() string {
	from := ""
	if e.Participant != Nobody {
		from = fmt.Sprintf(" of participant %d", e.Participant)
	}
	return fmt.Sprintf("chilldkg: %s%s has length %d, want %d", e.What, from, e.Got, e.Want)
}

// FaultyParticipantError is what the coordinator gets: participant ID is faulty,
// provided that the coordinator is not.
type FaultyParticipantError struct {
	ID  frost.ID
	Err error
}

func (e *FaultyParticipantError) Error() string {
	return fmt.Sprintf("%v: participant %d is faulty", e.Err, e.ID)
}

// Unwrap gives what was wrong.
func (e *FaultyParticipantError) Unwrap() error { return e.Err }

// FaultyParticipantOrCoordinatorError is what a participant gets: participant ID
// is faulty, or the coordinator has framed it. It proves nothing against ID.
type FaultyParticipantOrCoordinatorError struct {
	ID  frost.ID
	Err error
}

func (e *FaultyParticipantOrCoordinatorError) Error() string {
	return fmt.Sprintf("%v: participant %d or the coordinator is faulty", e.Err, e.ID)
}

// Unwrap gives what was wrong.
func (e *FaultyParticipantOrCoordinatorError) Unwrap() error { return e.Err }

// FaultyCoordinatorError is what a participant gets: the coordinator is faulty.
type FaultyCoordinatorError struct{ Err error }

func (e *FaultyCoordinatorError) Error() string {
	return fmt.Sprintf("%v: the coordinator is faulty", e.Err)
}

// Unwrap gives what was wrong.
func (e *FaultyCoordinatorError) Unwrap() error { return e.Err }

// RecoveryDataError: the recovery data is not that of a successful run. Err
// wraps ErrMalformed, ErrParams, ErrCertificate, ErrNonce, ErrDegenerate or
// ErrShare.
type RecoveryDataError struct{ Err error }

func (e *RecoveryDataError) Error() string {
	return fmt.Sprintf("chilldkg: bad recovery data: %v", e.Err)
}

// Unwrap gives what was wrong.
func (e *RecoveryDataError) Unwrap() error { return e.Err }

// MissingAcknowledgementsError: these participants, ascending, have not
// acknowledged the recovery data. The key was made, and must not be funded yet.
type MissingAcknowledgementsError struct{ IDs []frost.ID }

func (e *MissingAcknowledgementsError) Error() string {
	return fmt.Sprintf("chilldkg: not to be funded, acknowledgements missing from participants %v", e.IDs)
}

var (
	_ error = (*ThresholdOrCountError)(nil)
	_ error = (*InvalidHostKeyError)(nil)
	_ error = (*DuplicateHostKeyError)(nil)
	_ error = (*LengthError)(nil)
	_ error = (*FaultyParticipantError)(nil)
	_ error = (*FaultyParticipantOrCoordinatorError)(nil)
	_ error = (*FaultyCoordinatorError)(nil)
	_ error = (*RecoveryDataError)(nil)
	_ error = (*MissingAcknowledgementsError)(nil)
)
