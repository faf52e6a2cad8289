package frost

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of key material. A group that returns one of these must not be funded.
var (
	ErrThreshold    = errors.New("frost: the threshold must be 1 <= t <= n")
	ErrParticipants = fmt.Errorf("frost: a group has at most %d participants", MaxParticipants)
	ErrGroupKey     = errors.New("frost: the group key is not a valid point")
	ErrPublicShare  = errors.New("frost: a public share is not a valid point")
	ErrTooFewShares = errors.New("frost: fewer public shares than the threshold")
	ErrPolynomial   = errors.New("frost: the public shares do not lie on one polynomial")
	ErrInfinity     = errors.New("frost: the public shares interpolate to the point at infinity")
	ErrKeyMismatch  = errors.New("frost: the public shares do not match the group key")
	ErrSecretShare  = errors.New("frost: a secret share must be 32 bytes in 1 … order-1")
)

// Errors of a session's parameters.
var (
	ErrSignerSet      = errors.New("frost: bad signer set")
	ErrNotSigner      = errors.New("frost: the participant is not in the signer set")
	ErrTweakRange     = errors.New("frost: a tweak must be 32 bytes below the group order")
	ErrTweakInfinity  = errors.New("frost: tweaking leads to the point at infinity")
	ErrAggregateNonce = errors.New("frost: invalid aggregate nonce")
)

// Errors of signing.
var (
	// ErrNonceUsed: the secret nonce was consumed by an earlier Sign, whatever
	// that call returned. Generate a new one.
	ErrNonceUsed = errors.New("frost: the secret nonce was already used")
	// ErrShareWiped: Wipe was called on the share.
	ErrShareWiped = errors.New("frost: the secret share was wiped")
	// ErrShareMismatch: the secret share does not belong to its public share.
	ErrShareMismatch = errors.New("frost: the secret share does not match the signer's public share")
	// ErrSelfCheck: the computed partial signature does not verify. Nothing was
	// released; the machine miscalculates or its memory is damaged.
	ErrSelfCheck = errors.New("frost: own partial signature fails verification, not released")
	// ErrSecret: a secret was handed to an encoder.
	ErrSecret = errors.New("frost: secrets are not serialised this way")
)

// Errors of contributions and their aggregation.
var (
	ErrPublicNonce      = errors.New("frost: invalid public nonce")
	ErrPartialSignature = errors.New("frost: invalid partial signature")
	// ErrSignature: the signature does not verify.
	ErrSignature = errors.New("frost: invalid signature")
	// ErrBlameUncertain: aggregation failed and no culprit can be named.
	ErrBlameUncertain = errors.New("frost: no culprit can be named")
	// ErrNoPublicShare: the group was made without public shares, or without
	// this signer's, so partial signatures cannot be checked one by one.
	ErrNoPublicShare = errors.New("frost: the public share is not known")
)

// Contribution says which message of a participant was wrong.
type Contribution string

// The contributions that can be blamed.
const (
	ContributionPublicNonce      Contribution = "public nonce"
	ContributionPartialSignature Contribution = "partial signature"
)

// CulpritError names the participants whose contribution is provably wrong,
// given that the network delivered what they sent. IDs ascend and are never
// empty.
type CulpritError struct {
	IDs          []ID
	Contribution Contribution
	Err          error
}

// Error lists the culprits and the reason.
func (e *CulpritError) Error() string {
	names := make([]string, len(e.IDs))
	for i, id := range e.IDs {
		names[i] = fmt.Sprint(id)
	}
	return fmt.Sprintf("%v: %s of participant %s", e.Err, e.Contribution, strings.Join(names, ", "))
}

// Unwrap gives ErrPublicNonce or ErrPartialSignature.
func (e *CulpritError) Unwrap() error { return e.Err }

var _ error = (*CulpritError)(nil)
