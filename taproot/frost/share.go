package frost

import (
	"fmt"
	"sync"
)

// Share is a participant's secret share of the group's key. It prints as
// redacted, refuses to be encoded, and is used by reference only. Sign reads
// it; Reveal is the one way to its bytes.
type Share struct {
	_      noCopy
	id     ID
	public point
	secret *shareSecret
}

type shareSecret struct {
	mu    sync.RWMutex
	value scalar
	wiped bool
}

// NewShare makes the share of a participant from its 32 bytes. The caller wipes
// its own copy of them. The error wraps ErrSecretShare or ErrParticipants.
func NewShare(id ID, secret []byte) (*Share, error) {
	if id >= MaxParticipants {
		return nil, fmt.Errorf("%w: participant %d", ErrParticipants, id)
	}
	value, ok := parseScalar(secret)
	if !ok || value.IsZero() {
		return nil, ErrSecretShare
	}
	return &Share{id: id, public: mulBase(&value), secret: &shareSecret{value: value}}, nil
}

// ID is the participant that the share belongs to.
func (s *Share) ID() ID { return s.id }

// Public is the public share.
func (s *Share) Public() PublicShare { return encodePoint(&s.public) }

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
	if s == nil || s.secret == nil {
		return
	}
	s.secret.mu.Lock()
	defer s.secret.mu.Unlock()
	s.secret.value.Zero()
	s.secret.wiped = true
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

func (s *Share) read() (scalar, error) {
	if s == nil || s.secret == nil {
		return scalar{}, ErrShareWiped
	}
	s.secret.mu.RLock()
	defer s.secret.mu.RUnlock()
	if s.secret.wiped {
		return scalar{}, ErrShareWiped
	}
	return s.secret.value, nil
}

// noCopy lets go vet report copies of the types that embed it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

var (
	_ fmt.Formatter  = (*Share)(nil)
	_ fmt.GoStringer = (*Share)(nil)
	_ sync.Locker    = (*noCopy)(nil)
)
