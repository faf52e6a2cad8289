package roast

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/daobank/daobank/taproot/frost"
)

// Bounds of one request. They bound what a coordinator and a responder hold in
// memory and how long either works on one message of the other.
const (
	MaxMessages = 1024
	MaxTweaks   = 16 // of one message
)

// ErrMessages says that a request holds no message or too many, or one with too
// many tweaks.
var ErrMessages = errors.New("roast: a request holds 1 to 1024 messages of at most 16 tweaks")

// Message is one thing to sign: for a Bitcoin input its sighash and the tweaks
// that lead from the group key to the key that the coin was paid to.
type Message struct {
	Digest [32]byte
	Tweaks []frost.Tweak
}

// RequestID names what is to be signed: a hash of the group key and of all
// messages in order. Coordinator and signer compute it each for themselves, so
// that neither takes the other's word.
type RequestID [32]byte

// NewRequestID computes the name of a request. The error wraps ErrMessages.
func NewRequestID(group *frost.Group, messages []Message) (RequestID, error) {
	if len(messages) == 0 || len(messages) > MaxMessages {
		return RequestID{}, fmt.Errorf("%w: %d messages", ErrMessages, len(messages))
	}
	h := newTaggedHash("daobank/roast/request")
	key := group.Key()
	h.add(key[:]).count(len(messages))
	for i, m := range messages {
		if len(m.Tweaks) > MaxTweaks {
			return RequestID{}, fmt.Errorf("%w: message %d has %d tweaks", ErrMessages, i, len(m.Tweaks))
		}
		h.add(m.Digest[:]).count(len(m.Tweaks))
		for _, t := range m.Tweaks {
			h.add(t.Value[:])
			if t.XOnly {
				h.add([]byte{1})
			} else {
				h.add([]byte{0})
			}
		}
	}
	return RequestID(h.sum()), nil
}

// String is lower-case hex.
func (id RequestID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes lower-case hex, so JSON holds a string.
func (id RequestID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 32 bytes of hex.
func (id *RequestID) UnmarshalText(text []byte) error {
	return unmarshalHex((*[32]byte)(id), text)
}

// CommitmentID names the nonces that a signer gave out in one answer: a hash of
// them in order.
type CommitmentID [32]byte

// NewCommitmentID computes the name of a signer's nonces.
func NewCommitmentID(nonces []frost.PublicNonce) CommitmentID {
	h := newTaggedHash("daobank/roast/commitment").count(len(nonces))
	for i := range nonces {
		h.add(nonces[i][:])
	}
	return CommitmentID(h.sum())
}

// String is lower-case hex.
func (id CommitmentID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes lower-case hex, so JSON holds a string.
func (id CommitmentID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 32 bytes of hex.
func (id *CommitmentID) UnmarshalText(text []byte) error {
	return unmarshalHex((*[32]byte)(id), text)
}

func unmarshalHex(to *[32]byte, text []byte) error {
	if len(text) != hex.EncodedLen(len(to)) {
		return fmt.Errorf("roast: an identifier has 64 hex digits, not %d", len(text))
	}
	var b [32]byte
	if _, err := hex.Decode(b[:], text); err != nil {
		return fmt.Errorf("roast: an identifier: %w", err)
	}
	*to = b
	return nil
}

// taggedHash is the tagged hash of BIP-340, written piece by piece.
type taggedHash struct{ data []byte }

func newTaggedHash(tag string) *taggedHash {
	t := sha256.Sum256([]byte(tag))
	return &taggedHash{data: append(t[:], t[:]...)}
}

func (h *taggedHash) add(b []byte) *taggedHash {
	h.data = append(h.data, b...)
	return h
}

func (h *taggedHash) count(n int) *taggedHash {
	h.data = binary.BigEndian.AppendUint32(h.data, uint32(n))
	return h
}

func (h *taggedHash) sum() [32]byte { return sha256.Sum256(h.data) }
