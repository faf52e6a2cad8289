package chilldkg

import (
	"slices"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Coordinator relays and adds up. It holds no secret and needs no trust.
type Coordinator struct {
	session    *session
	info       frost.ThresholdInfo
	transcript []byte
}

// NewCoordinator is the coordinator's step 1: from the first messages of all
// participants, in the order of their IDs, it makes the message for all of them,
// of CoordinatorMessage1Size bytes.
//
// The error is that of Params.Validate, a *LengthError or a
// *FaultyParticipantError, or wraps ErrDegenerate. Proofs, nonces and shares are
// checked by the participants.
func NewCoordinator(params Params, messages [][]byte) (*Coordinator, []byte, error) {
	s, err := newSession(params)
	if err != nil {
		return nil, nil, err
	}
	contributions, err := s.decodeAll1(messages)
	if err != nil {
		return nil, nil, err
	}
	m := s.add(contributions)
	info, err := s.groupOf(&m)
	if err != nil {
		return nil, nil, err
	}
	c := &Coordinator{session: s, info: info, transcript: s.encodeTranscript(transcript{
		commitment: m.commitment(), nonces: m.nonces, shares: m.shares,
	})}
	return c, m.encode(), nil
}

// add sums what can be summed: all but the constant terms, whose proofs the
// participants have to verify, and the nonces.
func (s *session) add(contributions []participantMessage1) coordinatorMessage1 {
	m := coordinatorMessage1{sums: make([]curve.Point, s.t()-1), shares: make([]curve.Scalar, s.n())}
	for _, c := range contributions {
		m.secrets = append(m.secrets, c.commitment[0])
		m.proofs = append(m.proofs, c.proof)
		m.nonces = append(m.nonces, c.nonce)
		for k := range m.sums {
			curve.Accumulate(&m.sums[k], &c.commitment[k+1])
		}
		for i := range m.shares {
			m.shares[i].Add(&c.shares[i])
		}
	}
	curve.NormalizeAll(m.sums)
	return m
}

// groupOf is the group that a run will have. Commitments that cancel out are the
// work of somebody who cannot prove possession, so that one is named.
func (s *session) groupOf(m *coordinatorMessage1) (frost.ThresholdInfo, error) {
	tweaked, _, err := m.commitment().withUnspendableScriptPath()
	if err == nil {
		return tweaked.info(s.n())
	}
	nobody := func(frost.ID) bool { return false }
	if id, faulty := s.verifyProofs(m.secrets, m.proofs, nobody); faulty != nil {
		return frost.ThresholdInfo{}, &FaultyParticipantError{ID: id, Err: faulty}
	}
	return frost.ThresholdInfo{}, err
}

// Finalize makes the certificate for all participants, of CertificateSize bytes,
// from their second messages in the order of their IDs, and the coordinator's
// own result. After an error it may be called again with other messages.
//
// The error is a *LengthError or a *FaultyParticipantError.
func (c *Coordinator) Finalize(messages [][]byte) (*Result, []byte, error) {
	s := c.session
	if err := checkLengths("second message", messages, s.n(), s.params.Message2Size()); err != nil {
		return nil, nil, err
	}
	certificate := slices.Concat(messages...)
	r := reader{rest: certificate}
	if id, ok := s.verifyCertificate(c.transcript, r.signatures(s.n())); !ok {
		return nil, nil, &FaultyParticipantError{ID: id, Err: ErrCertificate}
	}
	result, err := s.newResult(c.transcript, certificate, c.info, nil)
	if err != nil {
		return nil, nil, err
	}
	return result, certificate, nil
}
