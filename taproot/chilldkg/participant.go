package chilldkg

import (
	"fmt"
	"io"
	"sync"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Participant is one participant's side of one run:
//
//	NewParticipant ──▶ contributed ── Step2 ──▶ certified ── Finalize ──▶ done
//	                        └── any error, Wipe ───┴────────────────────────▲
//
// Each step is taken once, whatever it returns; afterwards it returns ErrState.
// A Participant cannot be stored. It prints as redacted and is used by reference.
type Participant struct {
	_     curve.NoCopy
	state *participantState
}

type participantState struct {
	mu      sync.Mutex
	next    step
	session *session
	id      frost.ID

	// Until step 2: what has to come back unchanged.
	commitment curve.Point
	nonce      [curve.PointSize]byte

	// Until finalisation.
	transcript []byte
	info       frost.ThresholdInfo
	share      curve.Scalar
}

type step int

const (
	stepDone step = iota
	step2
	stepFinalize
)

// NewParticipant is step 1: it returns the message for the coordinator, of
// Message1Size bytes. random must be fresh for every run; it gives 32 bytes, nil
// means crypto/rand.
//
// The error is that of Params.Validate, wraps ErrHostKey, ErrRandomness or
// ErrSelfCheck, or says that random failed.
func NewParticipant(host *HostKey, params Params, random io.Reader) (*Participant, []byte, error) {
	s, err := newSession(params)
	if err != nil {
		return nil, nil, err
	}
	id, secret, err := s.own(host)
	if err != nil {
		return nil, nil, err
	}
	defer secret.Zero()
	var fresh [32]byte
	if err := draw(random, &fresh); err != nil {
		return nil, nil, err
	}
	defer clear(fresh[:])
	if fresh == [32]byte{} {
		return nil, nil, ErrRandomness
	}
	m, err := s.contribute(id, &secret, fresh)
	if err != nil {
		return nil, nil, err
	}
	p := &Participant{state: &participantState{
		next: step2, session: s, id: id, commitment: m.commitment[0], nonce: m.nonce,
	}}
	return p, m.encode(), nil
}

// Step2 checks the coordinator's first message and returns the signature for the
// certificate, of Message2Size bytes. Once it has left, the host key must never
// be erased, whatever follows. random gives 32 bytes that should be fresh; nil
// means crypto/rand.
//
// The error is a *FaultyCoordinatorError, *FaultyParticipantOrCoordinatorError,
// *UnknownFaultyError (which can be investigated) or *LengthError, or wraps
// ErrDegenerate, ErrState, ErrHostKey or ErrSelfCheck, or says that random
// failed. After an error this run is over and nothing was signed.
func (p *Participant) Step2(host *HostKey, message []byte, random io.Reader) ([]byte, error) {
	state, end, err := p.begin(step2)
	if err != nil {
		return nil, err
	}
	defer end()
	id, secret, err := state.session.own(host)
	if err != nil {
		return nil, err
	}
	defer secret.Zero()
	if id != state.id {
		return nil, ErrHostKeyUnknown
	}
	var aux [32]byte
	if err := draw(random, &aux); err != nil {
		return nil, err
	}
	defer clear(aux[:])
	if err := state.receive(&secret, message); err != nil {
		state.wipe()
		return nil, err
	}
	sig, err := certify(&secret, id, aux, state.transcript)
	if err != nil {
		state.wipe()
		return nil, err
	}
	state.next = stepFinalize
	return sig[:], nil
}

// receive checks the sum of all contributions and keeps what follows from it.
func (p *participantState) receive(host *curve.Scalar, message []byte) error {
	s := p.session
	if want := s.params.CoordinatorMessage1Size(); len(message) != want {
		return &LengthError{What: "coordinator's first message", Participant: Nobody, Got: len(message), Want: want}
	}
	m, err := s.decodeCoordinator1(message)
	if err != nil {
		return &FaultyCoordinatorError{Err: err}
	}
	if m.nonces[p.id] != p.nonce {
		return &FaultyCoordinatorError{Err: fmt.Errorf("%w: nonce", ErrEcho)}
	}
	pads, err := s.receivingPads(p.id, host, m.nonces)
	if err != nil {
		return err
	}
	if err := p.checkSecrets(&m); err != nil {
		clear(pads)
		return err
	}
	p.share, p.info, err = s.decryptShare(p.id, &m, pads)
	if err != nil {
		return err
	}
	p.transcript = s.encodeTranscript(transcript{commitment: m.commitment(), nonces: m.nonces, shares: m.shares})
	return nil
}

// checkSecrets checks the own commitment and everyone else's proof.
func (p *participantState) checkSecrets(m *coordinatorMessage1) error {
	if !curve.Equal(&m.secrets[p.id], &p.commitment) {
		return &FaultyCoordinatorError{Err: fmt.Errorf("%w: commitment", ErrEcho)}
	}
	own := func(id frost.ID) bool { return id == p.id }
	if id, err := p.session.verifyProofs(m.secrets, m.proofs, own); err != nil {
		return &FaultyParticipantOrCoordinatorError{ID: id, Err: err}
	}
	return nil
}

// decryptShare gives the secret share of participant id and the group, both
// tweaked, or an error in which pads are kept for the investigation.
func (s *session) decryptShare(id frost.ID, m *coordinatorMessage1, pads []curve.Scalar) (curve.Scalar, frost.ThresholdInfo, error) {
	tweaked, tweak, err := m.commitment().withUnspendableScriptPath()
	if err != nil {
		clear(pads)
		return curve.Scalar{}, frost.ThresholdInfo{}, err
	}
	share := sumScalars(pads)
	share.Negate().Add(&m.shares[id]).Add(&tweak)
	public, expected := curve.MulBase(&share), tweaked.publicShare(id)
	if !curve.Equal(&public, &expected) {
		unknown := &UnknownFaultyError{evidence: &evidence{
			id: id, encrypted: m.shares[id], pads: pads, public: curve.Sum(expected, curve.Negate(curve.MulBase(&tweak))),
		}}
		share.Zero()
		return curve.Scalar{}, frost.ThresholdInfo{}, unknown
	}
	clear(pads)
	info, err := tweaked.info(s.n())
	if err != nil {
		share.Zero()
		return curve.Scalar{}, frost.ThresholdInfo{}, err
	}
	return share, info, nil
}

// Finalize takes the certificate, of CertificateSize bytes. A Result means that
// all host keys have signed the same transcript, not that everyone knows it:
// collect the acknowledgements before the key is funded.
//
// Every error but ErrState wraps ErrOutcomeUnknown beside the cause, a
// *FaultyCoordinatorError or *LengthError: the host key must be kept, and
// Recover gives the Result when somebody shows the recovery data.
func (p *Participant) Finalize(certificate []byte) (*Result, error) {
	state, end, err := p.begin(stepFinalize)
	if err != nil {
		return nil, err
	}
	defer end()
	defer state.wipe()
	s := state.session
	if want := s.params.CertificateSize(); len(certificate) != want {
		err := &LengthError{What: "certificate", Participant: Nobody, Got: len(certificate), Want: want}
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	r := reader{rest: certificate}
	if id, ok := s.verifyCertificate(state.transcript, r.signatures(s.n())); !ok {
		err := &FaultyCoordinatorError{Err: fmt.Errorf("%w: that of participant %d", ErrCertificate, id)}
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	result, err := s.newResult(state.transcript, certificate, state.info, &secretShare{id: state.id, value: state.share})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return result, nil
}

// begin takes the step if it is due: no other call gets it, and unless the step
// succeeds there is no next one.
func (p *Participant) begin(due step) (*participantState, func(), error) {
	if p == nil || p.state == nil {
		return nil, nil, ErrState
	}
	p.state.mu.Lock()
	if p.state.next != due {
		p.state.mu.Unlock()
		return nil, nil, ErrState
	}
	p.state.next = stepDone
	return p.state, p.state.mu.Unlock, nil
}

// Wipe gives the run up and overwrites its secrets. If Step2 has returned a
// message, the host key must be kept all the same.
func (p *Participant) Wipe() {
	if p == nil || p.state == nil {
		return
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	p.state.next = stepDone
	p.state.wipe()
}

func (p *participantState) wipe() { p.share.Zero() }

// Format prints nothing of the state, whatever the verb.
func (p *Participant) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, p.String()) }

// String is redacted.
func (p *Participant) String() string { return "chilldkg.Participant{redacted}" }

// GoString is redacted.
func (p *Participant) GoString() string { return p.String() }

// MarshalText fails with ErrSecret: a state that is stored can be used twice.
func (p *Participant) MarshalText() ([]byte, error) { return nil, ErrSecret }

var (
	_ fmt.Formatter  = (*Participant)(nil)
	_ fmt.GoStringer = (*Participant)(nil)
)
