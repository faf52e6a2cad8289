package chilldkg

import (
	"bytes"
	"errors"
	"testing"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Each receiver takes any bytes without a panic, and what it accepts has exactly
// one encoding.

func FuzzParticipantMessage1(f *testing.F) {
	r := contributed(f, 2, 3, 51)
	s, err := newSession(r.params)
	r.must(err)
	f.Add(r.pmsgs1[1])
	f.Add(r.pmsgs1[0])
	f.Add(make([]byte, len(r.pmsgs1[1])))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, message, err := NewCoordinator(r.params, [][]byte{r.pmsgs1[0], b, r.pmsgs1[2]})
		if err != nil {
			var faulty *FaultyParticipantError
			if errors.As(err, &faulty) && faulty.ID != 1 && !errors.Is(err, ErrProof) {
				t.Fatalf("blames %d: %v", faulty.ID, err)
			}
			return
		}
		if m, err := s.decode1(b); err != nil || !bytes.Equal(m.encode(), b) {
			t.Fatalf("%x has two encodings (%v)", b, err)
		}
		if m, err := s.decodeCoordinator1(message); err != nil || !bytes.Equal(m.encode(), message) {
			t.Fatalf("made %x, which does not read back (%v)", message, err)
		}
		if _, err := Investigations(r.params, [][]byte{r.pmsgs1[0], b, r.pmsgs1[2]}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParticipantMessage2(f *testing.F) {
	r := contributed(f, 2, 3, 52).added().certified()
	f.Add(r.pmsgs2[1])
	f.Add(make([]byte, 64))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, err := r.coordinator.Finalize([][]byte{r.pmsgs2[0], b, r.pmsgs2[2]})
		if err == nil && !bytes.Equal(b, r.pmsgs2[1]) {
			t.Fatalf("forged %x", b)
		}
	})
}

func FuzzCoordinatorMessage1(f *testing.F) {
	honest := contributed(f, 2, 3, 53).added()
	f.Add(honest.cmsg1)
	f.Add(make([]byte, len(honest.cmsg1)))
	f.Add(bytes.Repeat([]byte{0xff}, len(honest.cmsg1)))
	s, err := newSession(honest.params)
	honest.must(err)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := NewParticipant(honest.hosts[0], honest.params, seeded(54))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Step2(honest.hosts[0], b, nil); err != nil {
			return
		}
		m, err := s.decodeCoordinator1(b)
		if err != nil || !bytes.Equal(m.encode(), b) {
			t.Fatalf("%x has two encodings (%v)", b, err)
		}
		if _, err := p.Finalize(make([]byte, 192)); !errors.Is(err, ErrCertificate) {
			t.Fatalf("finalises without signatures: %v", err)
		}
	})
}

func FuzzCertificate(f *testing.F) {
	honest := contributed(f, 2, 3, 55).added().certified()
	f.Add(honest.cmsg2)
	f.Add([]byte{})
	f.Add(make([]byte, len(honest.cmsg2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _, err := NewParticipant(honest.hosts[0], honest.params, seeded(56))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Step2(honest.hosts[0], honest.cmsg1, nil); err != nil {
			t.Fatal(err)
		}
		_, err = p.Finalize(b)
		if err == nil && !bytes.Equal(b, honest.cmsg2) {
			t.Fatalf("forged %x", b)
		}
		if err != nil && !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatal(err)
		}
	})
}

func FuzzInvestigation(f *testing.F) {
	r := contributed(f, 2, 3, 57).added()
	unknown := r.victim(0)
	answers, err := Investigations(r.params, r.pmsgs1)
	r.must(err)
	f.Add(answers[0])
	f.Add(answers[1])
	f.Add(make([]byte, len(answers[0])))
	f.Fuzz(func(t *testing.T, b []byte) {
		var length *LengthError
		var hub *FaultyCoordinatorError
		var either *FaultyParticipantOrCoordinatorError
		if err := unknown.Investigate(b); !errors.As(err, &length) && !errors.As(err, &hub) && !errors.As(err, &either) {
			t.Fatal(err)
		}
	})
}

func FuzzRecoveryData(f *testing.F) {
	r := finished(f, 2, 3, 58)
	f.Add(r.hub.RecoveryData)
	f.Add([]byte{0, 0, 0, 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0})
	f.Add(append([]byte{0, 0, 0, 1}, make([]byte, 33+162*200)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		result, err := Recover(r.hosts[0], b)
		if err != nil {
			return
		}
		if !bytes.Equal(result.RecoveryData, b) || result.Group.Key() != r.hub.Group.Key() {
			t.Fatalf("recovers from %x", b)
		}
	})
}

func FuzzAcknowledgement(f *testing.F) {
	r := finished(f, 2, 3, 59)
	good, err := r.results[1].Acknowledge(r.hosts[1], seeded(1))
	r.must(err)
	f.Add(good)
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		acks, err := NewAcknowledgements(r.hub)
		if err != nil {
			t.Fatal(err)
		}
		if err := acks.Add(1, b); (err == nil) != bytes.Equal(b, good) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func FuzzHostPublicKey(f *testing.F) {
	_, public := newHosts(f, 1, 60)
	f.Add(public[0][:])
	f.Add(make([]byte, 33))
	f.Add(append([]byte{4}, make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParseHostPublicKey(b)
		if err != nil {
			return
		}
		if p, ok := curve.ParsePoint(key[:]); !ok || curve.EncodePoint(&p) != key {
			t.Fatalf("%x has two encodings", b)
		}
		text, err := key.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again HostPublicKey
		if err := again.UnmarshalText(text); err != nil || again != key {
			t.Fatalf("%s reads back as %v: %v", text, again, err)
		}
	})
}
