package chilldkg

import (
	"slices"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Params are what all parties of a run agree on before it. The index of a host
// key is the participant's frost.ID, so the order matters.
//
// Each participant must have the others' host keys from a source that it trusts,
// or compare Hash with them over one.
type Params struct {
	Threshold int             `json:"threshold"` // t, how many sign
	HostKeys  []HostPublicKey `json:"host_keys"` // of all n participants
}

// Validate checks that 1 <= t <= n <= frost.MaxParticipants, that every host key
// is a point and that no two are equal. The error is a *ThresholdOrCountError,
// *InvalidHostKeyError or *DuplicateHostKeyError, found in that order.
func (p Params) Validate() error {
	_, err := newSession(p)
	return err
}

// Hash binds the threshold and all host keys in their order. Equal hashes, read
// out over a telephone, mean equal parameters. The error is that of Validate.
func (p Params) Hash() ([32]byte, error) {
	s, err := newSession(p)
	if err != nil {
		return [32]byte{}, err
	}
	return curve.TaggedHash(tagParams, s.context), nil
}

// ID is the participant to whom a host key belongs, false if it is nobody's.
func (p Params) ID(key HostPublicKey) (frost.ID, bool) {
	i := slices.Index(p.HostKeys, key)
	return frost.ID(max(i, 0)), i >= 0
}

// Lengths of the messages in bytes, so that a transport can refuse others.

// Message1Size is the length of a participant's first message.
func (p Params) Message1Size() int {
	return curve.PointSize*p.Threshold + signatureSize + curve.PointSize + curve.ScalarSize*len(p.HostKeys)
}

// Message2Size is the length of a participant's second message, and of an
// acknowledgement.
func (p Params) Message2Size() int { return signatureSize }

// CoordinatorMessage1Size is the length of the coordinator's first message.
func (p Params) CoordinatorMessage1Size() int {
	return curve.PointSize*(p.Threshold-1) + (curve.PointSize+signatureSize+curve.PointSize+curve.ScalarSize)*len(p.HostKeys)
}

// CertificateSize is the length of the coordinator's second message.
func (p Params) CertificateSize() int { return signatureSize * len(p.HostKeys) }

// InvestigationSize is the length of an investigation message.
func (p Params) InvestigationSize() int {
	return (curve.ScalarSize + curve.PointSize) * len(p.HostKeys)
}

// RecoveryDataSize is the length of recovery data.
func (p Params) RecoveryDataSize() int { return transcriptSize(p) + p.CertificateSize() }

// session is validated Params with what every step needs of them.
type session struct {
	params  Params // own copy
	keys    []curve.Point
	context []byte // u4(t) and all host keys
}

func newSession(p Params) (*session, error) {
	t, n := p.Threshold, len(p.HostKeys)
	if t < 1 || t > n || n > frost.MaxParticipants {
		return nil, &ThresholdOrCountError{Threshold: t, Participants: n}
	}
	s := &session{
		params:  Params{Threshold: t, HostKeys: slices.Clone(p.HostKeys)},
		keys:    make([]curve.Point, n),
		context: curve.Uint32Bytes(uint32(t)),
	}
	for i, key := range s.params.HostKeys {
		var ok bool
		if s.keys[i], ok = curve.ParsePoint(key[:]); !ok {
			return nil, &InvalidHostKeyError{ID: frost.ID(i)}
		}
		s.context = append(s.context, key[:]...)
	}
	for i, key := range s.params.HostKeys {
		if first := slices.Index(s.params.HostKeys, key); first < i {
			return nil, &DuplicateHostKeyError{First: frost.ID(first), Second: frost.ID(i)}
		}
	}
	return s, nil
}

func (s *session) t() int { return s.params.Threshold }

func (s *session) n() int { return len(s.keys) }

// own finds the participant of a host key. The error is ErrHostKeyWiped or
// ErrHostKeyUnknown.
func (s *session) own(host *HostKey) (frost.ID, curve.Scalar, error) {
	secret, err := host.read()
	if err != nil {
		return 0, curve.Scalar{}, err
	}
	id, ok := s.params.ID(host.public)
	if !ok {
		secret.Zero()
		return 0, curve.Scalar{}, ErrHostKeyUnknown
	}
	return id, secret, nil
}
