package roast

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daobank/daobank/taproot/frost"
)

// A run is the state of one call of Coordinator.Sign: a machine that takes what
// signers answer and says whom to ask what. It has no goroutine, no clock and no
// network.
type run struct {
	group    *frost.Group
	need     int // t
	request  RequestID
	messages []Message
	keys     []*frost.Tweaked // for which the messages are signed
	options  Options

	members  map[frost.ID]*member
	ready    []*member  // in the order in which they became so
	sessions []*session // that somebody still has to answer, or whose answers are unchecked
	begun    int        // sessions so far
	progress time.Time  // when a session began or an answer last came in one

	signed     *session // the session that succeeded
	signatures []frost.Signature
}

// A member is one signer in a run. The states and what leads from one to the
// other are drawn in doc.go.
type member struct {
	id       frost.ID
	signer   Signer
	state    state
	failures int
	err      error // why it is parked or out; *Blame for a liar

	nonces  []frost.PublicNonce // while ready: unused
	offered int                 // the session with whose answer nonces came, 0 without
	session *session            // while signing; while ready: in which its answer is unchecked
}

type state int

const (
	idle    state = iota // to be asked for nonces
	asked                // nonces are awaited
	ready                // it has given nonces that are in no session
	signing              // an answer is awaited
	parked               // it failed, and may be asked again
	out                  // it lied, refused, or failed too often
)

// An order is something to ask of a member: to sign, or for nonces if session is
// nil.
type order struct {
	member  *member
	session *session
	pause   time.Duration // before asking
}

func newRun(group *frost.Group, options Options, messages []Message, signers []Signer) (*run, error) {
	request, err := NewRequestID(group, messages)
	if err != nil {
		return nil, err
	}
	keys, err := tweakAll(group, messages)
	if err != nil {
		return nil, fmt.Errorf("roast: %w", err)
	}
	r := &run{group: group, keys: keys, need: group.Threshold(), request: request, messages: messages,
		options: options, members: make(map[frost.ID]*member, len(signers))}
	for _, s := range signers {
		id := s.ID()
		if int64(id) >= int64(group.Participants()) || r.members[id] != nil {
			return nil, fmt.Errorf("%w: signer %d is there twice or not in the group of %d", ErrSigners, id, group.Participants())
		}
		if _, known := group.PublicShare(id); !known {
			return nil, fmt.Errorf("roast: signer %d: %w", id, frost.ErrNoPublicShare)
		}
		r.members[id] = &member{id: id, signer: s}
	}
	return r, nil
}

// over says that the run has succeeded or cannot any more.
func (r *run) over() bool {
	return r.signed != nil || r.count(func(m *member) bool { return m.state != out }) < r.need
}

func (r *run) count(which func(*member) bool) (n int) {
	for _, m := range r.members {
		if which(m) {
			n++
		}
	}
	return n
}

// next says whom to ask what at this moment, and after what time to call it again
// if nothing happens before; zero is never.
func (r *run) next(now time.Time) (orders []order, wait time.Duration, err error) {
	r.sessions = slices.DeleteFunc(r.sessions, func(s *session) bool {
		return r.count(func(m *member) bool { return m.session == s }) == 0
	})
	if r.over() {
		return nil, 0, nil
	}
	for len(r.ready) >= r.need {
		if wait = r.headStart(now); wait > 0 {
			break
		}
		s, err := r.begin(now)
		if err != nil {
			return nil, 0, err
		}
		if s == nil {
			continue // somebody was found out; fewer are ready
		}
		for _, id := range s.signers {
			orders = append(orders, order{member: r.members[id], session: s})
		}
	}
	return append(orders, r.invite()...), wait, nil
}

// headStart is how much longer to wait for a session that may still end well
// before another is begun beside it.
func (r *run) headStart(now time.Time) time.Duration {
	hopeful := slices.ContainsFunc(r.sessions, func(s *session) bool { return !s.lost })
	if !hopeful {
		return 0
	}
	return max(0, r.options.Stall-now.Sub(r.progress))
}

// invite asks for nonces: everyone at first, and those who failed only when fewer
// than t are left who never did. Until then the bound of n−t+1 sessions holds, and
// who has failed once cannot make it worse.
func (r *run) invite() (orders []order) {
	steady := r.count(func(m *member) bool { return m.failures == 0 && m.state != out })
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		m := r.members[id]
		switch {
		case m.state == idle:
			orders = append(orders, order{member: m})
		case m.state == parked && steady < r.need:
			orders = append(orders, order{member: m, pause: r.options.Pause})
		default:
			continue
		}
		m.state = asked
	}
	return orders
}

// begin starts a session with the first t that are ready. It is nil when one of
// them turned out to have lied and fewer than t were left.
func (r *run) begin(now time.Time) (*session, error) {
	chosen, err := r.choose()
	if err != nil || chosen == nil {
		return nil, err
	}
	s := &session{number: r.begun + 1,
		given:   make(map[frost.ID][]frost.PublicNonce, r.need),
		parts:   make(map[frost.ID][]frost.PartialSignature, r.need),
		checked: make(map[frost.ID]bool, r.need)}
	for _, m := range chosen {
		s.given[m.id] = m.nonces
	}
	s.signers = slices.Sorted(maps.Keys(s.given))
	liars, err := s.addNonces(len(r.messages))
	if err != nil {
		return nil, err
	}
	if len(liars) > 0 {
		for id, message := range liars {
			r.blameNonce(r.members[id], message)
		}
		return nil, nil
	}
	for _, m := range chosen {
		m.state, m.session, m.nonces = signing, s, nil
	}
	r.ready = slices.DeleteFunc(r.ready, func(m *member) bool { return m.state != ready })
	r.sessions, r.begun, r.progress = append(r.sessions, s), s.number, now
	return s, nil
}

// choose takes the first t that are ready and have not lied in the session that
// they answered last. This is the latest moment to look: whoever is in a session
// has then answered rightly in all earlier ones, so each session that does not end
// well has a culprit of its own, and there are at most n−t culprits.
func (r *run) choose() ([]*member, error) {
	var chosen []*member
	for _, m := range slices.Clone(r.ready) {
		if err := r.check(m); err != nil {
			return nil, err
		}
		if m.state == ready {
			chosen = append(chosen, m)
		}
		if len(chosen) == r.need {
			return chosen, nil
		}
	}
	return nil, nil
}

// check verifies the last answer of a member that is ready.
func (r *run) check(m *member) error {
	s := m.session
	if s == nil {
		return nil
	}
	if err := s.prepare(r.group, r.messages, r.keys); err != nil {
		return err
	}
	message, err := s.check(m.id)
	if err != nil {
		return err
	}
	if message >= 0 {
		r.blameSignature(m, s, message)
	}
	m.session = nil
	return nil
}

// prepare computes the values of the sessions that are being signed.
func (r *run) prepare() error {
	for _, s := range r.sessions {
		if s.lost {
			continue
		}
		if err := s.prepare(r.group, r.messages, r.keys); err != nil {
			return err
		}
	}
	return nil
}

// committed takes the answer to a request for nonces. An answer that nobody waits
// for changes nothing, here and in answered: a network may deliver twice.
func (r *run) committed(m *member, nonces []frost.PublicNonce) {
	if m.state != asked {
		return
	}
	r.offer(m, nonces, 0)
}

// offer makes a member ready with the nonces that it offers for its next session.
func (r *run) offer(m *member, nonces []frost.PublicNonce, session int) {
	nonces = atMost(nonces, len(r.messages))
	if len(nonces) != len(r.messages) {
		r.blame(m, &Blame{Lie: LieNonceCount, Session: session, Message: -1, Nonces: nonces})
		return
	}
	m.state, m.nonces, m.offered = ready, nonces, session
	r.ready = append(r.ready, m)
}

// answered takes the answer of a member in a session.
func (r *run) answered(m *member, s *session, a Answer, now time.Time) error {
	if m.state != signing || m.session != s {
		return nil
	}
	if !s.lost {
		r.progress = now
	}
	parts := atMost(a.Signatures, len(r.messages))
	if len(parts) != len(r.messages) {
		r.blame(m, &Blame{Lie: LieSignatureCount, Session: s.number, Message: -1, Signatures: parts})
		s.lost = true
		return nil
	}
	s.parts[m.id] = parts
	r.offer(m, a.Next, s.number)
	if len(s.parts) < len(s.signers) || s.lost {
		return nil
	}
	return r.finish(s)
}

// finish ends a session that all have answered: with the signatures, or with the
// culprits' names.
func (r *run) finish(s *session) error {
	if err := s.prepare(r.group, r.messages, r.keys); err != nil {
		return err
	}
	o, err := s.aggregate()
	if err != nil {
		return err
	}
	if o.good() {
		r.signed, r.signatures = s, o.signatures
	}
	for _, id := range s.signers {
		m := r.members[id]
		message, lied := o.culprits[id]
		switch {
		case lied:
			r.blameSignature(m, s, message)
		case m.session != s: // it is in a newer one already
		case o.cancel:
			r.putOut(m, fmt.Errorf("%w in session %d", ErrNoncesCancel, s.number))
			s.lost = true
		default:
			m.session = nil
		}
	}
	return nil
}

// failed takes the error of a call to a member.
func (r *run) failed(m *member, s *session, err error) {
	if m.state != asked && m.state != signing {
		return
	}
	var malformed *MalformedError
	if errors.As(err, &malformed) {
		number := 0
		if s != nil {
			number = s.number
		}
		r.blame(m, &Blame{Lie: LieMalformed, Session: number, Message: -1, Malformed: slices.Clone(cut(malformed.Sent))})
	} else {
		m.failures++
		m.state, m.err = parked, err
		var refusal *RefusalError
		if errors.As(err, &refusal) || m.failures > r.options.Retries {
			m.state = out
		}
	}
	m.session = nil
	if s != nil {
		s.lost = true
	}
}

func (r *run) blameSignature(m *member, s *session, message int) {
	r.blame(m, &Blame{Lie: LieSignature, Session: s.number, Message: message, Nonces: s.given[m.id],
		Signatures: s.parts[m.id], Signers: s.signers, Aggregates: s.aggregates})
	s.lost = true
}

// blameNonce blames a member that is ready with a nonce that is none.
func (r *run) blameNonce(m *member, message int) {
	r.blame(m, &Blame{Lie: LieNonce, Session: m.offered, Message: message, Nonces: m.nonces})
}

// blame puts a liar out for good. Its first lie is the one that is kept.
func (r *run) blame(m *member, b *Blame) {
	var earlier *Blame
	if !errors.As(m.err, &earlier) {
		b.ID = m.id
		m.err = b
	}
	r.putOut(m, m.err)
}

// putOut leaves a member out for good.
func (r *run) putOut(m *member, err error) {
	m.state, m.err, m.nonces, m.session = out, err, nil, nil
	r.ready = slices.DeleteFunc(r.ready, func(o *member) bool { return o == m })
}

// result is what a run that succeeded gives.
func (r *run) result() *Result {
	failed, _ := r.account()
	return &Result{Signatures: r.signatures, Signers: r.signed.signers, Sessions: r.begun,
		Failed: failed, Blamed: blamed(failed)}
}

// noQuorum is what a run that ended without signatures gives.
func (r *run) noQuorum(cause error) *NoQuorumError {
	failed, willing := r.account()
	var awaited []frost.ID
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		switch m := r.members[id]; {
		case m.state != asked && m.state != signing:
		case m.err != nil:
			failed[id] = m.err
		case cause == nil:
			awaited = append(awaited, id)
		case m.state == asked:
			failed[id] = fmt.Errorf("%w to the request for nonces", ErrSilent)
		default:
			failed[id] = fmt.Errorf("%w in session %d", ErrSilent, m.session.number)
		}
	}
	return &NoQuorumError{Need: r.need, Failed: failed, Willing: willing, Awaited: awaited, Sessions: r.begun, Cause: cause}
}

// account checks every answer that was not looked at yet, so that nobody who lied
// goes unnamed because the run ended first, and says who failed and who did not.
func (r *run) account() (failed map[frost.ID]error, willing []frost.ID) {
	for _, m := range slices.Clone(r.ready) {
		if r.check(m) != nil || m.state != ready {
			continue // what cannot be checked blames nobody
		}
		invalid := func(n frost.PublicNonce) bool { return !validNonce(n) }
		if message := slices.IndexFunc(m.nonces, invalid); message >= 0 {
			r.blameNonce(m, message)
		}
	}
	failed = make(map[frost.ID]error)
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		switch m := r.members[id]; m.state {
		case parked, out:
			failed[id] = m.err
		case ready:
			willing = append(willing, id)
		}
	}
	return failed, willing
}
