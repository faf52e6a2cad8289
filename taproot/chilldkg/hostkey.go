package chilldkg

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// HostPublicKey is a participant's long-term identity: a compressed point.
type HostPublicKey [curve.PointSize]byte

// HostKey is the secret of a participant's long-term identity. It authenticates
// the participant, decrypts its shares, and with the recovery data of a run gives
// the share of that run back; one host key serves any number of runs. It prints
// as redacted, refuses to be encoded, and is used by reference only.
//
// Never erase the stored key after Participant.Step2 has returned a message,
// whatever follows (see the package).
type HostKey struct {
	_      curve.NoCopy
	public HostPublicKey
	secret *curve.Secret
}

// GenerateHostKey makes a host key. random nil means crypto/rand. The error says
// that random failed, or is ErrHostKeyRange when it gave a value that random
// bytes never are.
func GenerateHostKey(random io.Reader) (*HostKey, error) {
	var b [32]byte
	if err := draw(random, &b); err != nil {
		return nil, err
	}
	defer clear(b[:])
	return NewHostKey(b[:])
}

// NewHostKey takes 32 stored bytes, which the caller then wipes. The error is a
// *LengthError or ErrHostKeyRange.
func NewHostKey(secret []byte) (*HostKey, error) {
	if len(secret) != curve.ScalarSize {
		return nil, &LengthError{What: "host key", Participant: Nobody, Got: len(secret), Want: curve.ScalarSize}
	}
	kept, public, ok := curve.NewSecret(secret)
	if !ok {
		return nil, ErrHostKeyRange
	}
	return &HostKey{public: curve.EncodePoint(&public), secret: kept}, nil
}

// Public is the public half, to be given to the other participants.
func (k *HostKey) Public() HostPublicKey { return k.public }

// Reveal returns the 32 secret bytes, to be encrypted and stored. The error is
// ErrHostKeyWiped.
func (k *HostKey) Reveal() ([]byte, error) {
	value, err := k.read()
	if err != nil {
		return nil, err
	}
	b := value.Bytes()
	value.Zero()
	return b[:], nil
}

// Wipe overwrites the secret in memory. It does not end the need for the stored
// copy. Later use returns ErrHostKeyWiped.
func (k *HostKey) Wipe() {
	if k != nil {
		k.secret.Wipe()
	}
}

func (k *HostKey) read() (curve.Scalar, error) {
	if k == nil {
		return curve.Scalar{}, ErrHostKeyWiped
	}
	value, ok := k.secret.Read()
	if !ok {
		return curve.Scalar{}, ErrHostKeyWiped
	}
	return value, nil
}

// Format prints the public key and never the secret, whatever the verb.
func (k *HostKey) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

// String is redacted.
func (k *HostKey) String() string {
	if k == nil {
		return "chilldkg.HostKey(nil)"
	}
	return fmt.Sprintf("chilldkg.HostKey{%v, secret redacted}", k.public)
}

// GoString is redacted.
func (k *HostKey) GoString() string { return k.String() }

// MarshalText fails with ErrSecret so that no encoder writes a host key by
// accident.
func (k *HostKey) MarshalText() ([]byte, error) { return nil, ErrSecret }

// ParseHostPublicKey decodes a host public key. The error is a *LengthError or
// wraps ErrHostKey.
func ParseHostPublicKey(b []byte) (HostPublicKey, error) {
	if len(b) != curve.PointSize {
		return HostPublicKey{}, &LengthError{What: "host public key", Participant: Nobody, Got: len(b), Want: curve.PointSize}
	}
	if _, ok := curve.ParsePoint(b); !ok {
		return HostPublicKey{}, fmt.Errorf("%w: the public key is not a point", ErrHostKey)
	}
	return HostPublicKey(b), nil
}

func (k HostPublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText writes lower-case hex, so JSON holds a string.
func (k HostPublicKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads hex and checks the key as ParseHostPublicKey does.
func (k *HostPublicKey) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("chilldkg: not hex: %w", err)
	}
	key, err := ParseHostPublicKey(b)
	if err != nil {
		return err
	}
	*k = key
	return nil
}

var (
	_ fmt.Formatter  = (*HostKey)(nil)
	_ fmt.GoStringer = (*HostKey)(nil)
)
