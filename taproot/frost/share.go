package frost

import (
	"fmt"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Share is a participant's secret share of the group's key. It prints as
// redacted, refuses to be encoded, and is used by reference only. Sign reads
// it; Reveal is the one way to its bytes.
type Share struct {
	_      curve.NoCopy
	id     ID
	public curve.Point
	secret *curve.Secret
}

// NewShare makes the share of a participant from its 32 bytes. The caller wipes
// its own copy of them. The error wraps ErrSecretShare or ErrParticipants.
func NewShare(id ID, secret []byte) (*Share, error) {
	if id >= MaxParticipants {
		return nil, fmt.Errorf("%w: participant %d", ErrParticipants, id)
	}
	kept, public, ok := curve.NewSecret(secret)
	if !ok {
		return nil, ErrSecretShare
	}
	return &Share{id: id, public: public, secret: kept}, nil
}

// ID is the participant that the share belongs to.
func (s *Share) ID() ID { return s.id }

// Public is the public share.
func (s *Share) Public() PublicShare { return curve.EncodePoint(&s.public) }

// Reveal returns the 32 secret bytes, to be encrypted and stored. Whoever holds
// them holds the share. The error is ErrShareWiped.
func (s *Share) Reveal() ([]byte, error) {
	value, err := s.read()
	if err != nil {
		return nil, err
	}
	b := value.Bytes()
	value.Zero()
	return b[:], nil
}

// Wipe overwrites the secret. Later use returns ErrShareWiped. Copies that the
// Go runtime or an earlier Reveal made are beyond its reach.
func (s *Share) Wipe() {
	if s != nil {
		s.secret.Wipe()
	}
}

// Format prints the identifier and never the secret, whatever the verb.
func (s *Share) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// String is redacted.
func (s *Share) String() string {
	if s == nil {
		return "frost.Share(nil)"
	}
	return fmt.Sprintf("frost.Share{participant %d, secret redacted}", s.id)
}

// GoString is redacted.
func (s *Share) GoString() string { return s.String() }

// MarshalText fails with ErrSecret so that no encoder writes a share by
// accident.
func (s *Share) MarshalText() ([]byte, error) { return nil, ErrSecret }

func (s *Share) read() (curve.Scalar, error) {
	if s == nil {
		return curve.Scalar{}, ErrShareWiped
	}
	value, ok := s.secret.Read()
	if !ok {
		return curve.Scalar{}, ErrShareWiped
	}
	return value, nil
}

var (
	_ fmt.Formatter  = (*Share)(nil)
	_ fmt.GoStringer = (*Share)(nil)
)
