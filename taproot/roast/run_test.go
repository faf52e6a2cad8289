package roast

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/daobank/daobank/taproot/frost"
)

// Each transition that doc.go draws, made by the event that it names, and no other
// transition drawn.
func TestStatesAreThoseOfTheDocument(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var drawn []string
	for _, line := range regexp.MustCompile(`(?m)^//\t(\w+) +→ (\w+) +\S`).FindAllStringSubmatch(string(source), -1) {
		drawn = append(drawn, line[1]+" → "+line[2])
	}
	names := map[state]string{idle: "idle", asked: "asked", ready: "ready", signing: "signing", parked: "parked", out: "out"}
	broken, refusal := errors.New("connection broken"), &RefusalError{}
	tests := []struct {
		transition string
		event      func(s *stage, m *member)
	}{
		{"idle → asked", func(s *stage, m *member) { s.next() }},
		{"asked → ready", func(s *stage, m *member) { s.commit(m) }},
		{"asked → parked", func(s *stage, m *member) { s.failed(m, nil, broken) }},
		{"asked → out", func(s *stage, m *member) { s.failed(m, nil, refusal) }},
		{"ready → signing", func(s *stage, m *member) { s.commit(s.members[1]); s.next() }},
		{"ready → out", func(s *stage, m *member) { m.nonces = make([]frost.PublicNonce, 1); s.commit(s.members[1]); s.next() }},
		{"signing → ready", func(s *stage, m *member) { s.answer(m) }},
		{"signing → parked", func(s *stage, m *member) { s.failed(m, m.session, broken) }},
		{"signing → out", func(s *stage, m *member) { s.failed(m, m.session, refusal) }},
		{"parked → asked", func(s *stage, m *member) { s.next() }},
	}
	var driven []string
	for _, test := range tests {
		t.Run(test.transition, func(t *testing.T) {
			s := newStage(t)
			m := s.members[0]
			switch test.transition[:4] {
			case "aske":
				s.next()
			case "read":
				s.next()
				s.commit(m)
			case "sign":
				s.next()
				s.commit(m)
				s.commit(s.members[1])
				s.next()
			case "park":
				s.next()
				s.failed(m, nil, broken)
			}
			from := m.state
			test.event(s, m)
			if got := names[from] + " → " + names[m.state]; got != test.transition {
				t.Errorf("the event led %s", got)
			}
		})
		driven = append(driven, test.transition)
	}
	if !slices.Equal(drawn, driven) {
		t.Errorf("doc.go draws\n%q, the table has\n%q", drawn, driven)
	}
}

// What a network delivers twice, or after the time for it, changes nothing and
// blames nobody.
func TestUnawaitedAnswersChangeNothing(t *testing.T) {
	s := newStage(t)
	m, other := s.members[0], s.members[1]
	s.next()
	s.commit(m)
	s.committed(m, nil)
	if m.state != ready || len(s.ready) != 1 {
		t.Fatalf("a second commitment: state %d, %d ready", m.state, len(s.ready))
	}
	s.commit(other)
	s.next()
	session := m.session
	s.answer(m)
	for range 2 {
		if err := s.answered(m, session, Answer{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		s.failed(m, session, errors.New("late"))
		s.failed(m, session, &MalformedError{})
	}
	if m.state != ready || m.err != nil || m.failures != 0 || session.lost {
		t.Errorf("after second answers: state %d, error %v, lost %v", m.state, m.err, session.lost)
	}
	s.answer(other)
	if s.signed != session {
		t.Error("the session did not end well")
	}
}

// Sessions that nobody has to answer any more are not kept.
func TestEndedSessionsAreNotKept(t *testing.T) {
	s := newStage(t)
	s.options.Retries = 50
	s.next()
	for _, m := range s.members {
		s.commit(m)
	}
	for i := range 40 {
		s.next()
		s.failed(s.members[0], s.members[0].session, errors.New("connection broken"))
		s.failed(s.members[1], s.members[1].session, errors.New("connection broken"))
		s.next()
		s.commit(s.members[0])
		s.commit(s.members[1])
		if len(s.sessions) > 1 || s.begun != i+1 {
			t.Fatalf("%d sessions are kept of %d", len(s.sessions), s.begun)
		}
	}
}

// A stage is a run of 2 of 2 and the responders to drive it with.
type stage struct {
	*run
	t          *testing.T
	responders []*Responder
}

func newStage(t *testing.T) *stage {
	t.Helper()
	group, shares, err := frost.TrustedDealer(2, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t}
	messages := []Message{{Digest: [32]byte{7}}}
	var signers []Signer
	for _, share := range shares {
		r, err := NewResponder(group, share, ResponderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		s.responders = append(s.responders, r)
		signers = append(signers, r.Signer(messages))
	}
	if s.run, err = newRun(group, Options{Retries: 1}, messages, signers); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) next() {
	s.t.Helper()
	if _, _, err := s.run.next(time.Time{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) commit(m *member) {
	s.t.Helper()
	nonces, err := m.signer.Commit(s.t.Context(), CommitRequest{Request: s.request, Messages: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	s.committed(m, nonces)
}

func (s *stage) answer(m *member) {
	s.t.Helper()
	a, err := m.signer.Sign(s.t.Context(), s.signRequest(m, m.session))
	if err == nil {
		err = s.answered(m, m.session, a, time.Time{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
