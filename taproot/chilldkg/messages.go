package chilldkg

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Every decoder takes bytes of exactly the right length, which its caller has
// checked, and returns an error that wraps ErrMalformed.

// participantMessage1 is a participant's contribution.
type participantMessage1 struct {
	commitment commitment // t
	proof      signature  // of the constant term
	nonce      [curve.PointSize]byte
	shares     []curve.Scalar // n, encrypted
}

func (m *participantMessage1) encode() []byte {
	b := appendPoints(nil, m.commitment)
	b = append(b, m.proof[:]...)
	b = append(b, m.nonce[:]...)
	return appendScalars(b, m.shares)
}

// decode1 leaves the nonce as it is: whether it is a point the receivers of the
// shares have to find out.
func (s *session) decode1(b []byte) (m participantMessage1, err error) {
	r := reader{rest: b}
	m.commitment = r.points(s.t())
	m.proof = signature(r.take(signatureSize))
	m.nonce = [curve.PointSize]byte(r.take(curve.PointSize))
	m.shares = r.scalars(s.n())
	return m, r.err
}

// decodeAll1 decodes the messages of all participants. The error is a
// *LengthError or *FaultyParticipantError.
func (s *session) decodeAll1(messages [][]byte) ([]participantMessage1, error) {
	if err := checkLengths("first message", messages, s.n(), s.params.Message1Size()); err != nil {
		return nil, err
	}
	decoded := make([]participantMessage1, s.n())
	for i, b := range messages {
		var err error
		if decoded[i], err = s.decode1(b); err != nil {
			return nil, &FaultyParticipantError{ID: frost.ID(i), Err: err}
		}
	}
	return decoded, nil
}

// checkLengths checks a list of one message for each participant.
func checkLengths(what string, messages [][]byte, n, size int) error {
	if len(messages) != n {
		return &LengthError{What: "list of " + what + "s", Participant: Nobody, Got: len(messages), Want: n}
	}
	for i, b := range messages {
		if len(b) != size {
			return &LengthError{What: what, Participant: i, Got: len(b), Want: size}
		}
	}
	return nil
}

// coordinatorMessage1 is the sum of all contributions, as far as they can be
// added before the proofs are verified.
type coordinatorMessage1 struct {
	secrets []curve.Point // n constant terms
	sums    []curve.Point // t−1 sums of the other terms
	proofs  []signature   // n
	nonces  [][curve.PointSize]byte
	shares  []curve.Scalar // n, encrypted, each the sum of n
}

func (m *coordinatorMessage1) encode() []byte {
	b := appendPoints(nil, m.secrets)
	b = appendPoints(b, m.sums)
	for _, proof := range m.proofs {
		b = append(b, proof[:]...)
	}
	for _, nonce := range m.nonces {
		b = append(b, nonce[:]...)
	}
	return appendScalars(b, m.shares)
}

func (s *session) decodeCoordinator1(b []byte) (m coordinatorMessage1, err error) {
	r := reader{rest: b}
	m.secrets = r.points(s.n())
	m.sums = r.points(s.t() - 1)
	m.proofs = r.signatures(s.n())
	m.nonces = r.nonces(s.n())
	m.shares = r.scalars(s.n())
	return m, r.err
}

// commitment is the commitment of the sum of all polynomials.
func (m *coordinatorMessage1) commitment() commitment {
	return append(commitment{curve.Sum(m.secrets...)}, m.sums...)
}

// investigation is what the coordinator shows one participant of the sums that
// concern it: the contribution of every sender.
type investigation struct {
	shares []curve.Scalar // n, encrypted
	public []curve.Point  // n
}

func (m *investigation) encode() []byte {
	return appendPoints(appendScalars(nil, m.shares), m.public)
}

func decodeInvestigation(b []byte, n int) (m investigation, err error) {
	r := reader{rest: b}
	m.shares = r.scalars(n)
	m.public = r.points(n)
	return m, r.err
}

// transcript is what everyone's host key signs: all that the recovery of a share
// needs.
type transcript struct {
	commitment commitment // before the tweak
	nonces     [][curve.PointSize]byte
	shares     []curve.Scalar
}

func (s *session) encodeTranscript(t transcript) []byte {
	b := curve.Uint32Bytes(uint32(s.t()))
	b = appendPoints(b, t.commitment)
	b = append(b, s.context[4:]...)
	for _, nonce := range t.nonces {
		b = append(b, nonce[:]...)
	}
	return appendScalars(b, t.shares)
}

func transcriptSize(p Params) int {
	return 4 + curve.PointSize*p.Threshold + (curve.PointSize+curve.PointSize+curve.ScalarSize)*len(p.HostKeys)
}

// decodeRecoveryData splits transcript and certificate, neither verified. The
// parameters are not validated.
func decodeRecoveryData(b []byte) (Params, transcript, []signature, error) {
	const each = curve.PointSize + curve.PointSize + curve.ScalarSize + signatureSize
	if len(b) < 4 {
		return Params{}, transcript{}, nil, fmt.Errorf("%w: no threshold", ErrMalformed)
	}
	threshold, size := uint64(binary.BigEndian.Uint32(b)), uint64(len(b)-4)
	if threshold*curve.PointSize > size || (size-threshold*curve.PointSize)%each != 0 {
		return Params{}, transcript{}, nil, fmt.Errorf("%w: length of %d bytes for threshold %d", ErrMalformed, len(b), threshold)
	}
	n := int((size - threshold*curve.PointSize) / each)
	if n > frost.MaxParticipants || threshold > frost.MaxParticipants {
		err := &ThresholdOrCountError{Threshold: int(threshold), Participants: n}
		return Params{}, transcript{}, nil, err
	}
	r := reader{rest: b[4:]}
	p := Params{Threshold: int(threshold)}
	var t transcript
	t.commitment = r.points(p.Threshold)
	for _, key := range r.nonces(n) {
		p.HostKeys = append(p.HostKeys, HostPublicKey(key))
	}
	t.nonces = r.nonces(n)
	t.shares = r.scalars(n)
	certificate := r.signatures(n)
	return p, t, certificate, r.err
}

// reader takes fields off the front of a message; it keeps the first error.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(size int) []byte {
	b := r.rest[:size]
	r.rest = r.rest[size:]
	return b
}

func (r *reader) points(count int) []curve.Point {
	list := make([]curve.Point, count)
	for i := range list {
		p, ok := curve.ParsePointOrInfinity(r.take(curve.PointSize))
		if !ok && r.err == nil {
			r.err = fmt.Errorf("%w: not a point", ErrMalformed)
		}
		list[i] = p
	}
	return list
}

func (r *reader) scalars(count int) []curve.Scalar {
	list := make([]curve.Scalar, count)
	for i := range list {
		v, ok := curve.ParseScalar(r.take(curve.ScalarSize))
		if !ok && r.err == nil {
			r.err = fmt.Errorf("%w: a scalar at or above the group order", ErrMalformed)
		}
		list[i] = v
	}
	return list
}

func (r *reader) signatures(count int) []signature {
	list := make([]signature, count)
	for i := range list {
		list[i] = signature(r.take(signatureSize))
	}
	return list
}

// nonces reads compressed points without decoding them.
func (r *reader) nonces(count int) [][curve.PointSize]byte {
	list := make([][curve.PointSize]byte, count)
	for i := range list {
		list[i] = [curve.PointSize]byte(r.take(curve.PointSize))
	}
	return list
}

func appendPoints(b []byte, points []curve.Point) []byte {
	b = slices.Grow(b, curve.PointSize*len(points))
	for i := range points {
		encoded := curve.EncodePoint(&points[i])
		b = append(b, encoded[:]...)
	}
	return b
}

func appendScalars(b []byte, scalars []curve.Scalar) []byte {
	b = slices.Grow(b, curve.ScalarSize*len(scalars))
	for i := range scalars {
		encoded := scalars[i].Bytes()
		b = append(b, encoded[:]...)
	}
	return b
}
