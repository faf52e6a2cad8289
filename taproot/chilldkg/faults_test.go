package chilldkg

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// flip is message with one bit changed.
func flip(message []byte, bit int) []byte {
	b := bytes.Clone(message)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// eachByte runs f with one bit of each byte of a message flipped.
func eachByte(size int, f func(bit int)) {
	random := rand.New(seeded(1))
	for i := range size {
		f(8*i + random.IntN(8))
	}
}

// suspect is the participant that an error of step 2 names, after the
// investigation by an honest coordinator where one is needed; Nobody if it
// names the coordinator.
func (r *run) suspect(id int, err error) int {
	r.t.Helper()
	var unknown *UnknownFaultyError
	if errors.As(err, &unknown) {
		answers, ierr := Investigations(r.params, r.pmsgs1)
		r.must(ierr)
		err = unknown.Investigate(answers[id])
	}
	var either *FaultyParticipantOrCoordinatorError
	var hub *FaultyCoordinatorError
	switch {
	case errors.As(err, &either):
		return int(either.ID)
	case !errors.As(err, &hub):
		r.t.Fatalf("participant %d: error %v blames nobody", id, err)
	}
	return Nobody
}

// judged runs step 1 and 2 with a liar among honest parties, the coordinator
// included: whoever is blamed must be the liar, and the lie must not pass.
func (r *run) judged(liar int, lie string) {
	r.t.Helper()
	coordinator, cmsg1, err := NewCoordinator(r.params, r.pmsgs1)
	if err != nil {
		var faulty *FaultyParticipantError
		if !errors.As(err, &faulty) || faulty.ID != frost.ID(liar) {
			r.t.Fatalf("%s: the coordinator says %v", lie, err)
		}
		return
	}
	r.coordinator = coordinator
	noticed := false
	for i := range r.participants {
		_, err := r.step2(i, cmsg1)
		noticed = noticed || err != nil
		if err == nil || i == liar {
			continue
		}
		if id := r.suspect(i, err); id != liar {
			r.t.Fatalf("%s: participant %d blames %d for %v", lie, i, id, err)
		}
	}
	if !noticed {
		r.t.Fatalf("%s: not noticed", lie)
	}
}

func TestEveryLieInMessage1NamesTheLiar(t *testing.T) {
	const liar = 1
	honest := contributed(t, 2, 3, 11)
	eachByte(len(honest.pmsgs1[liar]), func(bit int) {
		r := contributed(t, 2, 3, 11)
		r.pmsgs1[liar] = flip(r.pmsgs1[liar], bit)
		r.judged(liar, fmt.Sprintf("bit %d of message 1", bit))
	})
	other := contributed(t, 2, 3, 12)
	for lie, message := range map[string][]byte{
		"another participant's message": honest.pmsgs1[0],
		"a message of another run":      other.pmsgs1[liar],
		"zeros":                         make([]byte, len(honest.pmsgs1[liar])),
		"ones":                          bytes.Repeat([]byte{0xff}, len(honest.pmsgs1[liar])),
	} {
		r := contributed(t, 2, 3, 11)
		r.pmsgs1[liar] = message
		r.judged(liar, lie)
	}
}

func TestEveryLieInMessage2NamesTheLiar(t *testing.T) {
	const liar = 2
	r := contributed(t, 2, 3, 13).added().certified()
	honest := r.pmsgs2[liar]
	check := func(lie string, message []byte) {
		r.pmsgs2[liar] = message
		_, _, err := r.coordinator.Finalize(r.pmsgs2)
		var faulty *FaultyParticipantError
		if !errors.As(err, &faulty) || faulty.ID != liar {
			t.Errorf("%s: %v", lie, err)
		}
	}
	eachByte(len(honest), func(bit int) { check(fmt.Sprintf("bit %d", bit), flip(honest, bit)) })
	check("another's signature", r.pmsgs2[0])
	check("zeros", make([]byte, len(honest)))

	r.pmsgs2[liar] = honest
	if _, _, err := r.coordinator.Finalize(r.pmsgs2); err != nil {
		t.Errorf("the coordinator cannot go on with the right message: %v", err)
	}
}

func TestEveryChangeInCoordinatorsMessage1IsNoticed(t *testing.T) {
	honest := contributed(t, 2, 3, 14).added()
	s, err := newSession(honest.params)
	honest.must(err)
	proofs := (33*3 + 33) * 8 // the first bit of the own proof, which proves nothing to oneself
	eachByte(len(honest.cmsg1), func(bit int) {
		r := contributed(t, 2, 3, 14).added()
		message, err := r.step2(0, flip(r.cmsg1, bit))
		if err != nil {
			var one *FaultyParticipantError
			if errors.As(err, &one) {
				t.Fatalf("bit %d: %v is certain of a participant", bit, err)
			}
			return
		}
		valid := bip340.verify(&s.keys[0], signature(message), signedHeader(prefixCertificate, 0), r.coordinator.transcript)
		if own := bit >= proofs && bit < proofs+8*64; valid != own {
			t.Fatalf("bit %d: changed without notice", bit)
		}
	})
}

func TestEveryChangeInTheCertificateIsRefused(t *testing.T) {
	honest := contributed(t, 2, 3, 15).added().certified()
	eachByte(len(honest.cmsg2), func(bit int) {
		if bit%3 != 0 { // each takes a whole run
			return
		}
		r := contributed(t, 2, 3, 15).added().certified()
		_, err := r.participants[1].Finalize(flip(r.cmsg2, bit))
		var hub *FaultyCoordinatorError
		if !errors.As(err, &hub) || !errors.Is(err, ErrCertificate) || !errors.Is(err, ErrOutcomeUnknown) {
			t.Fatalf("bit %d: %v", bit, err)
		}
		result, err := Recover(r.hosts[1], r.hub.RecoveryData)
		r.must(err)
		requireSameGroup(t, result, r.hub)
	})
}

func TestEveryLengthIsChecked(t *testing.T) {
	r := finished(t, 2, 3, 16)
	fresh := func() *run { return contributed(t, 2, 3, 16).added() }
	victim := fresh().victim(0)
	answers, err := Investigations(r.params, r.pmsgs1)
	r.must(err)
	acks, err := NewAcknowledgements(r.hub)
	r.must(err)
	replaced := func(list [][]byte, b []byte) [][]byte { return [][]byte{list[0], b, list[2]} }
	for _, c := range []struct {
		name    string
		message []byte
		whose   int
		receive func([]byte) error
	}{
		{"message 1", r.pmsgs1[1], 1, func(b []byte) error { _, _, err := NewCoordinator(r.params, replaced(r.pmsgs1, b)); return err }},
		{"message 1, investigated", r.pmsgs1[1], 1, func(b []byte) error { _, err := Investigations(r.params, replaced(r.pmsgs1, b)); return err }},
		{"coordinator's message 1", r.cmsg1, Nobody, func(b []byte) error { _, err := fresh().step2(1, b); return err }},
		{"message 2", r.pmsgs2[1], 1, func(b []byte) error { _, _, err := r.coordinator.Finalize(replaced(r.pmsgs2, b)); return err }},
		{"certificate", r.cmsg2, Nobody, func(b []byte) error { _, err := fresh().certified().participants[0].Finalize(b); return err }},
		{"investigation", answers[0], Nobody, victim.Investigate},
		{"acknowledgement", make([]byte, 64), 1, func(b []byte) error { return acks.Add(1, b) }},
		{"host key", make([]byte, 32), Nobody, func(b []byte) error { _, err := NewHostKey(b); return err }},
	} {
		for _, b := range [][]byte{nil, {}, c.message[:1], c.message[:len(c.message)-1], append(bytes.Clone(c.message), 0)} {
			var length *LengthError
			if err := c.receive(b); !errors.As(err, &length) || length.Participant != c.whose || length.Got != len(b) || length.Want != len(c.message) {
				t.Errorf("%s of %d bytes: %v", c.name, len(b), err)
			}
		}
	}
	if err := victim.Investigate(answers[0]); err == nil {
		t.Error("no investigation after a message of a wrong length")
	}
}

func TestAWrongShareForOneVictimIsInvestigated(t *testing.T) {
	const liar, victim = 2, 0
	for _, size := range [][2]int{{1, 3}, {2, 3}, {4, 5}} {
		r := contributed(t, size[0], size[1], 17)
		m := r.pmsgs1[liar]
		m[len(m)-32*size[1]+32*victim+31] ^= 1
		r.added()
		for i := range r.participants {
			_, err := r.step2(i, r.cmsg1)
			if (err != nil) != (i == victim) {
				t.Errorf("%v: participant %d: %v", size, i, err)
			}
			if i == victim {
				if id := r.suspect(i, err); id != liar {
					t.Errorf("%v: %d is blamed", size, id)
				}
			}
		}
	}
}

func TestInvestigationEndsWithWipe(t *testing.T) {
	r := contributed(t, 2, 3, 18).added()
	unknown := r.victim(1)
	answers, err := Investigations(r.params, r.pmsgs1)
	r.must(err)
	var hub *FaultyCoordinatorError
	if err := unknown.Investigate(answers[1]); !errors.As(err, &hub) || !errors.Is(err, ErrShareSum) {
		t.Errorf("the coordinator changed the sum: %v", err)
	}
	unknown.Wipe()
	if err := unknown.Investigate(answers[1]); !errors.Is(err, ErrState) {
		t.Errorf("after Wipe: %v", err)
	}
	for _, pad := range unknown.evidence.pads {
		if !pad.IsZero() {
			t.Error("Wipe leaves a pad")
		}
	}
}

// A coordinator that is one of the participants as well makes two contributions
// and shows each honest participant another one. Both accept, neither gets a
// certificate, whatever signatures the coordinator puts together.
func TestEquivocationNeverFinalises(t *testing.T) {
	const traitor = 2
	r := contributed(t, 2, 3, 19)
	double, second, err := NewParticipant(r.hosts[traitor], r.params, r.random)
	r.must(err)
	other := *r
	other.pmsgs1 = [][]byte{r.pmsgs1[0], r.pmsgs1[1], second}
	other.participants = []*Participant{r.participants[0], r.participants[1], double}
	r.added()
	other.added()
	views := []*run{r, &other}

	var own, traitors [2][]byte
	for i, view := range views { // participant i sees view i, the traitor both
		own[i], err = view.step2(i, view.cmsg1)
		r.must(err)
		traitors[i], err = view.step2(traitor, view.cmsg1)
		r.must(err)
	}
	if _, _, err := r.coordinator.Finalize([][]byte{own[0], own[1], traitors[0]}); err == nil {
		t.Fatal("a certificate of two transcripts")
	}
	for i := range views {
		certificate := bytes.Join([][]byte{own[0], own[1], traitors[i]}, nil)
		if _, err := r.participants[i].Finalize(certificate); !errors.Is(err, ErrCertificate) {
			t.Errorf("participant %d finalises: %v", i, err)
		}
		data := append(bytes.Clone(views[i].coordinator.transcript), certificate...)
		if _, err := Recover(r.hosts[i], data); !errors.Is(err, ErrCertificate) {
			t.Errorf("participant %d recovers: %v", i, err)
		}
	}
}

// The last participant to speak chooses its commitment so that the sum is a key
// of its own.
func TestRogueKeyFailsTheProof(t *testing.T) {
	const rogue = 2
	r := contributed(t, 2, 3, 20)
	s, err := newSession(r.params)
	r.must(err)
	m, err := s.decode1(r.pmsgs1[rogue])
	r.must(err)
	var target curve.Scalar
	target.SetInt(7)
	for i := range rogue {
		honest, err := s.decode1(r.pmsgs1[i])
		r.must(err)
		m.commitment[0] = curve.Sum(curve.MulBase(&target), curve.Negate(honest.commitment[0]))
	}
	m.proof, err = possession.sign(&target, [32]byte{}, proofMessage(rogue))
	r.must(err)
	r.pmsgs1[rogue] = m.encode()
	r.added()
	for i := range rogue {
		_, err := r.step2(i, r.cmsg1)
		if !errors.Is(err, ErrProof) || r.suspect(i, err) != rogue {
			t.Errorf("participant %d: %v", i, err)
		}
	}
}

func TestCommitmentsThatCancelOut(t *testing.T) {
	const rogue = 1
	r := contributed(t, 2, 2, 21)
	s, err := newSession(r.params)
	r.must(err)
	honest, err := s.decode1(r.pmsgs1[0])
	r.must(err)
	m, err := s.decode1(r.pmsgs1[rogue])
	r.must(err)
	m.commitment[0] = curve.Negate(honest.commitment[0])
	r.pmsgs1[rogue] = m.encode()
	_, _, err = NewCoordinator(r.params, r.pmsgs1)
	var faulty *FaultyParticipantError
	if !errors.As(err, &faulty) || faulty.ID != rogue {
		t.Errorf("a key of infinity: %v", err)
	}

	// A share of infinity: f(2)·G for f = 2 − x.
	var one, two curve.Scalar
	one.SetInt(1)
	two.SetInt(2)
	c := commitment{curve.MulBase(&two), curve.Negate(curve.MulBase(&one))}
	if p := c.publicShare(1); !curve.IsInfinity(&p) {
		t.Fatal("f(2) is not 0")
	}
	if _, err := c.info(3); !errors.Is(err, ErrDegenerate) {
		t.Errorf("a share of infinity: %v", err)
	}
}
