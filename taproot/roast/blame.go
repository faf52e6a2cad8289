package roast

import (
	"errors"
	"fmt"
	"slices"

	"github.com/daobank/daobank/taproot/frost"
)

// Lie says what was wrong with a signer's answer.
type Lie string

// The lies that a signer can be caught in.
const (
	LieNonceCount     Lie = "wrong number of nonces"
	LieNonce          Lie = "a nonce that is no pair of points"
	LieSignatureCount Lie = "wrong number of partial signatures"
	LieSignature      Lie = "a wrong partial signature"
	LieMalformed      Lie = "an answer that cannot be decoded"
)

// Blame names a signer that lied, with everything that is needed to see it. It
// convinces whoever trusts that the signer really sent Nonces and Signatures, and
// really was sent Signers and Aggregates: that is for the channel to show, by
// signed messages where others than the coordinator are to be convinced.
type Blame struct {
	ID      frost.ID
	Lie     Lie
	Session int // of the answer that held the lie; 0 is the first Commit
	Message int // the first message for which it lied, −1 where the lie is about none

	// What the signer sent. For LieSignature, Nonces are those of this session; for
	// LieNonce and LieNonceCount, those that it offered for its next one. A list
	// that was too long is cut to one more than the number of messages.
	Nonces     []frost.PublicNonce
	Signatures []frost.PartialSignature
	Malformed  []byte // for LieMalformed, the beginning of what it sent

	// What the signer was asked in the session, for LieSignature.
	Signers    []frost.ID
	Aggregates []frost.AggregateNonce
}

// ErrNoLie says that a Blame does not show what it claims.
var ErrNoLie = errors.New("roast: the evidence shows no lie")

// Error says who lied, where and how.
func (b *Blame) Error() string {
	text := fmt.Sprintf("lied: signer %d sent %s", b.ID, b.Lie)
	if b.Message >= 0 {
		text += fmt.Sprintf(" for message %d", b.Message)
	}
	if b.Session == 0 {
		return text + " before any session"
	}
	return text + fmt.Sprintf(" in session %d", b.Session)
}

// Check is nil if the evidence, as far as it is genuine, shows the lie. The error
// wraps ErrNoLie; malformed bytes show nothing to somebody who has not received
// them.
func (b *Blame) Check(group *frost.Group, messages []Message) error {
	shown := false
	switch b.Lie {
	case LieNonceCount:
		shown = len(b.Nonces) != len(messages)
	case LieSignatureCount:
		shown = len(b.Signatures) != len(messages)
	case LieNonce:
		shown = b.Message >= 0 && b.Message < len(b.Nonces) && !validNonce(b.Nonces[b.Message])
	case LieSignature:
		var err error
		if shown, err = b.wrongSignature(group, messages); err != nil {
			return fmt.Errorf("%w: %w", ErrNoLie, err)
		}
	}
	if !shown {
		return ErrNoLie
	}
	return nil
}

func (b *Blame) wrongSignature(group *frost.Group, messages []Message) (bool, error) {
	i := b.Message
	if i < 0 || i >= len(messages) || i >= len(b.Nonces) || i >= len(b.Signatures) || i >= len(b.Aggregates) {
		return false, fmt.Errorf("nothing about message %d", i)
	}
	s, err := frost.NewSession(group, frost.SessionParams{Signers: b.Signers,
		AggregateNonce: b.Aggregates[i], Tweaks: messages[i].Tweaks, Message: messages[i].Digest[:]})
	if err != nil {
		return false, err
	}
	var culprit *frost.CulpritError
	err = s.PartialSigVerify(b.ID, b.Nonces[i], b.Signatures[i])
	if err != nil && !errors.As(err, &culprit) {
		return false, err
	}
	return culprit != nil, nil
}

func validNonce(n frost.PublicNonce) bool {
	_, err := frost.ParsePublicNonce(n[:])
	return err == nil
}

// atMost copies a list that a signer sent, and not more of it than is needed to
// see that it was too long.
func atMost[T any](list []T, messages int) []T {
	return slices.Clone(list[:min(len(list), messages+1)])
}

var _ error = (*Blame)(nil)
