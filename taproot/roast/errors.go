package roast

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daobank/daobank/taproot/frost"
)

// ErrSilent says that a signer did not answer within the time it had.
var ErrSilent = errors.New("no answer")

// ErrNoncesCancel says that all signers of a session signed rightly with nonces
// whose sum is infinity, so that no signature came of it. Each of them conspired:
// nobody can sign for nonces that cancel those of a signer whose secret it does not
// know. It is no *Blame because nothing shows it to others: whoever takes the
// coordinator's word for the sums could be shown an honest signer so.
var ErrNoncesCancel = errors.New("nonces that cancel out")

// ErrSigners says that the coordinator was given one signer twice, or one that
// is not in the group.
var ErrSigners = errors.New("roast: bad list of signers")

// RefusalError says that a signer will not sign a request. It is not asked again.
type RefusalError struct {
	Reason string // as the signer put it
}

// textMax bounds in bytes what is shown and kept of text that a signer sent.
const textMax = 512

// Error quotes the reason, which comes from outside, and cuts it to 512 bytes.
func (e *RefusalError) Error() string { return fmt.Sprintf("refused: %q", cut(e.Reason)) }

// MalformedError says that a signer's answer cannot be decoded. A Signer returns
// it so that the sender is blamed; it must hold only bytes that arrived whole
// and authenticated.
type MalformedError struct {
	Sent []byte // or the beginning of it
	Err  error  // why it cannot be decoded
}

func (e *MalformedError) Error() string { return fmt.Sprintf("malformed answer: %v", e.Err) }

// Unwrap gives the decoder's error.
func (e *MalformedError) Unwrap() error { return e.Err }

// NoQuorumError says that fewer than t signers made signatures, and why each of
// the others did not.
type NoQuorumError struct {
	Need int // t
	// Failed says of each signer that did not help why: it is or wraps a *Blame,
	// a *RefusalError, ErrSilent, ErrNoncesCancel, or the error of its Signer.
	Failed map[frost.ID]error
	// Willing are those that had answered without fault, ascending. They are fewer
	// than Need unless Cause is set.
	Willing []frost.ID
	// Awaited are those that had not answered yet when it was clear that even with
	// them there are too few, ascending. It is empty when Cause is set: whoever had
	// not answered by then is among Failed.
	Awaited  []frost.ID
	Sessions int   // how many were begun
	Cause    error // the context's error when it ended first, otherwise nil
}

// Error lists all signers that failed, in ascending order.
func (e *NoQuorumError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "roast: no %d signers signed: %d willing, %d awaited, %d failed", e.Need, len(e.Willing), len(e.Awaited), len(e.Failed))
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	for _, id := range slices.Sorted(maps.Keys(e.Failed)) {
		fmt.Fprintf(&b, "; signer %d: %v", id, e.Failed[id])
	}
	return b.String()
}

// Unwrap gives Cause.
func (e *NoQuorumError) Unwrap() error { return e.Cause }

// Blamed are the signers among Failed that lied, ascending.
func (e *NoQuorumError) Blamed() []*Blame { return blamed(e.Failed) }

// blamed picks the lies out of the reasons for failing.
func blamed(failed map[frost.ID]error) []*Blame {
	var lies []*Blame
	for _, id := range slices.Sorted(maps.Keys(failed)) {
		var b *Blame
		if errors.As(failed[id], &b) {
			lies = append(lies, b)
		}
	}
	return lies
}

func cut[T ~string | ~[]byte](s T) T { return s[:min(len(s), textMax)] }

var (
	_ error = (*RefusalError)(nil)
	_ error = (*MalformedError)(nil)
	_ error = (*NoQuorumError)(nil)
)
