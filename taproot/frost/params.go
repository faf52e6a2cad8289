package frost

import (
	"encoding/hex"
	"fmt"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// MaxParticipants is the largest group that BIP-445 allows.
const MaxParticipants = 128

// Sizes in bytes of the values that cross the wire.
const (
	PublicKeySize        = 33
	PublicNonceSize      = 66
	PartialSignatureSize = 32
	SignatureSize        = 64
)

// ID names a participant: 0 … n−1. RFC 9591 and most other FROST libraries
// count from one; their identifier i is ID i−1 here.
type ID uint32

// PublicKey is a compressed point: the key of the whole group.
type PublicKey [PublicKeySize]byte

// PublicShare is the compressed point that belongs to one participant's secret
// share.
type PublicShare [PublicKeySize]byte

// PublicNonce is what a signer shows in round one: two compressed points.
type PublicNonce [PublicNonceSize]byte

// AggregateNonce is the sum of the signers' public nonces, component by
// component. A component may be infinity, written as 33 zero bytes.
type AggregateNonce [PublicNonceSize]byte

// PartialSignature is one signer's answer in round two: a scalar, big endian.
type PartialSignature [PartialSignatureSize]byte

// Signature is a BIP-340 signature.
type Signature [SignatureSize]byte

// ParsePublicKey decodes a group key. The error wraps ErrGroupKey.
func ParsePublicKey(b []byte) (k PublicKey, err error) {
	if _, ok := curve.ParsePoint(b); !ok {
		return k, ErrGroupKey
	}
	return PublicKey(b), nil
}

// ParsePublicShare decodes a public share. The error wraps ErrPublicShare.
func ParsePublicShare(b []byte) (s PublicShare, err error) {
	if _, ok := curve.ParsePoint(b); !ok {
		return s, ErrPublicShare
	}
	return PublicShare(b), nil
}

// ParsePublicNonce decodes a public nonce: two points, neither at infinity.
// The error wraps ErrPublicNonce.
func ParsePublicNonce(b []byte) (n PublicNonce, err error) {
	if len(b) != PublicNonceSize {
		return n, ErrPublicNonce
	}
	n = PublicNonce(b)
	if _, _, ok := n.points(); !ok {
		return PublicNonce{}, ErrPublicNonce
	}
	return n, nil
}

// ParseAggregateNonce decodes an aggregate nonce: two points, either of which
// may be infinity. The error wraps ErrAggregateNonce.
func ParseAggregateNonce(b []byte) (n AggregateNonce, err error) {
	if len(b) != PublicNonceSize {
		return n, ErrAggregateNonce
	}
	n = AggregateNonce(b)
	if _, _, ok := n.points(); !ok {
		return AggregateNonce{}, ErrAggregateNonce
	}
	return n, nil
}

// ParsePartialSignature decodes a partial signature: any scalar below the group
// order, zero included. The error wraps ErrPartialSignature.
func ParsePartialSignature(b []byte) (s PartialSignature, err error) {
	if _, ok := curve.ParseScalar(b); !ok {
		return s, ErrPartialSignature
	}
	return PartialSignature(b), nil
}

// XOnly is the key as BIP-340 writes it: the x coordinate.
func (k PublicKey) XOnly() [32]byte { return [32]byte(k[1:]) }

func (k PublicKey) String() string        { return hex.EncodeToString(k[:]) }
func (s PublicShare) String() string      { return hex.EncodeToString(s[:]) }
func (n PublicNonce) String() string      { return hex.EncodeToString(n[:]) }
func (n AggregateNonce) String() string   { return hex.EncodeToString(n[:]) }
func (s PartialSignature) String() string { return hex.EncodeToString(s[:]) }
func (s Signature) String() string        { return hex.EncodeToString(s[:]) }

// MarshalText writes lower-case hex, so JSON holds a string.
func (k PublicKey) MarshalText() ([]byte, error) { return hexText(k[:]), nil }

// MarshalText writes lower-case hex, so JSON holds a string.
func (s PublicShare) MarshalText() ([]byte, error) { return hexText(s[:]), nil }

// MarshalText writes lower-case hex, so JSON holds a string.
func (n PublicNonce) MarshalText() ([]byte, error) { return hexText(n[:]), nil }

// MarshalText writes lower-case hex, so JSON holds a string.
func (n AggregateNonce) MarshalText() ([]byte, error) { return hexText(n[:]), nil }

// MarshalText writes lower-case hex, so JSON holds a string.
func (s PartialSignature) MarshalText() ([]byte, error) { return hexText(s[:]), nil }

// MarshalText writes lower-case hex, so JSON holds a string.
func (s Signature) MarshalText() ([]byte, error) { return hexText(s[:]), nil }

// UnmarshalText reads hex and checks the value as ParsePublicKey does.
func (k *PublicKey) UnmarshalText(text []byte) (err error) {
	return unmarshalHex(k, text, ParsePublicKey)
}

// UnmarshalText reads hex and checks the value as ParsePublicShare does.
func (s *PublicShare) UnmarshalText(text []byte) error {
	return unmarshalHex(s, text, ParsePublicShare)
}

// UnmarshalText reads hex and checks the value as ParsePublicNonce does.
func (n *PublicNonce) UnmarshalText(text []byte) error {
	return unmarshalHex(n, text, ParsePublicNonce)
}

// UnmarshalText reads hex and checks the value as ParseAggregateNonce does.
func (n *AggregateNonce) UnmarshalText(text []byte) error {
	return unmarshalHex(n, text, ParseAggregateNonce)
}

// UnmarshalText reads hex and checks the value as ParsePartialSignature does.
func (s *PartialSignature) UnmarshalText(text []byte) error {
	return unmarshalHex(s, text, ParsePartialSignature)
}

// UnmarshalText reads 64 bytes of hex. Whether they are a signature of anything
// only VerifySignature can say.
func (s *Signature) UnmarshalText(text []byte) error {
	return unmarshalHex(s, text, func(b []byte) (Signature, error) {
		if len(b) != SignatureSize {
			return Signature{}, ErrSignature
		}
		return Signature(b), nil
	})
}

// points decodes both halves; ok is false unless both are points other than
// infinity.
func (n PublicNonce) points() (r1, r2 curve.Point, ok bool) {
	r1, ok1 := curve.ParsePoint(n[:PublicKeySize])
	r2, ok2 := curve.ParsePoint(n[PublicKeySize:])
	return r1, r2, ok1 && ok2
}

func (n AggregateNonce) points() (r1, r2 curve.Point, ok bool) {
	r1, ok1 := curve.ParsePointOrInfinity(n[:PublicKeySize])
	r2, ok2 := curve.ParsePointOrInfinity(n[PublicKeySize:])
	return r1, r2, ok1 && ok2
}

func joinPoints(r1, r2 *curve.Point) (n [PublicNonceSize]byte) {
	first, second := curve.EncodePoint(r1), curve.EncodePoint(r2)
	copy(n[:PublicKeySize], first[:])
	copy(n[PublicKeySize:], second[:])
	return n
}

func hexText(b []byte) []byte { return hex.AppendEncode(nil, b) }

// unmarshalHex leaves *dst unchanged when the text is refused.
func unmarshalHex[T any](dst *T, text []byte, parse func([]byte) (T, error)) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("frost: not hex: %w", err)
	}
	v, err := parse(b)
	if err != nil {
		return err
	}
	*dst = v
	return nil
}
