package chilldkg

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

func TestRunsEndInAGroupThatSigns(t *testing.T) {
	var sizes [][2]int
	for n := 1; n <= 5; n++ {
		for threshold := 1; threshold <= n; threshold++ {
			sizes = append(sizes, [2]int{threshold, n})
		}
	}
	sizes = append(sizes, [2]int{7, 10}, [2]int{10, 15}, [2]int{2, 40})
	for _, size := range sizes {
		threshold, n := size[0], size[1]
		t.Run(fmt.Sprintf("%d of %d", threshold, n), func(t *testing.T) {
			r := finished(t, threshold, n, uint64(100*threshold+n))
			for i, result := range r.results {
				requireSameGroup(t, result, r.hub)
				if result.Share.ID() != frost.ID(i) {
					t.Errorf("share of participant %d says it is of %d", i, result.Share.ID())
				}
				if public, _ := r.hub.Group.PublicShare(frost.ID(i)); public != result.Share.Public() {
					t.Errorf("share %d does not match its public share", i)
				}
			}
			if r.hub.Share != nil {
				t.Error("the coordinator has a share")
			}
			shuffled := rand.New(r.random).Perm(n)
			var signers []frost.ID
			for _, i := range shuffled[:threshold] {
				signers = append(signers, frost.ID(i))
			}
			r.sign(signers)
			r.sign(signers, frost.Tweak{Value: [32]byte{1}}, frost.Tweak{Value: [32]byte{2}, XOnly: true})
		})
	}
}

// requireSameGroup compares all but the share.
func requireSameGroup(t *testing.T, a, b *Result) {
	t.Helper()
	if !reflect.DeepEqual(a.Group.Info(), b.Group.Info()) || !reflect.DeepEqual(a.Params, b.Params) ||
		string(a.RecoveryData) != string(b.RecoveryData) {
		t.Error("two parties of a run have different results")
	}
}

func TestGroupKeyHasAnUnspendableScriptPath(t *testing.T) {
	r := contributed(t, 2, 3, 1).added()
	s, err := newSession(r.params)
	r.must(err)
	m, err := s.decodeCoordinator1(r.cmsg1)
	r.must(err)
	internal := curve.Sum(m.secrets...)
	// BIP-341: Q = lift_x(P) + H(P)·G, where ChillDKG takes P as it is.
	tweak := curve.HashScalar(tagTapTweak, internal.X.Bytes()[:])
	output := curve.Sum(internal, curve.MulBase(&tweak))
	if key := r.certified().hub.Group.Key(); key != curve.EncodePoint(&output) {
		t.Errorf("group key %v, want %x", key, curve.EncodePoint(&output))
	}
}

func TestStepsAreTakenOnceAndInOrder(t *testing.T) {
	r := contributed(t, 2, 3, 2).added()
	if _, err := r.participants[0].Finalize(make([]byte, 192)); !errors.Is(err, ErrState) {
		t.Errorf("finalising before step 2: %v", err)
	}
	r.certified()
	if _, err := r.step2(0, r.cmsg1); !errors.Is(err, ErrState) {
		t.Errorf("step 2 again: %v", err)
	}
	r.finalized()
	if _, err := r.participants[0].Finalize(r.cmsg2); !errors.Is(err, ErrState) {
		t.Errorf("finalising again: %v", err)
	}

	for name, spoil := range map[string]func(*run) error{
		"after a failed step 2":         func(r *run) error { _, err := r.step2(0, nil); return err },
		"after a step with a wrong key": func(r *run) error { _, err := r.participants[0].Step2(r.hosts[1], r.cmsg1, nil); return err },
		"after Wipe":                    func(r *run) error { r.participants[0].Wipe(); return ErrState },
	} {
		r := contributed(t, 2, 3, 3).added()
		if err := spoil(r); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := r.step2(0, r.cmsg1); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, p := range []*Participant{nil, {}} {
		p.Wipe()
		if _, err := p.Step2(r.hosts[0], r.cmsg1, nil); !errors.Is(err, ErrState) {
			t.Errorf("zero participant: %v", err)
		}
	}
}

func TestOneOfManyConcurrentStepsIsTaken(t *testing.T) {
	r := contributed(t, 2, 3, 4).added()
	var wg sync.WaitGroup
	taken := make(chan []byte, 8)
	for range 8 {
		wg.Go(func() {
			if message, err := r.participants[0].Step2(r.hosts[0], r.cmsg1, nil); err == nil {
				taken <- message
			}
		})
	}
	wg.Wait()
	if len(taken) != 1 {
		t.Errorf("step 2 was taken %d times", len(taken))
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	r := contributed(t, 2, 3, 5).added().certified()
	wiped := r.participants[2]
	if wiped.state.share.IsZero() {
		t.Fatal("no share after step 2")
	}
	wiped.Wipe()
	r.participants = r.participants[:2]
	r.finalized()
	for i, p := range append(r.participants, wiped) {
		if !p.state.share.IsZero() {
			t.Errorf("participant %d still holds its share", i)
		}
	}
	r.hosts[0].Wipe()
	if _, err := Recover(r.hosts[0], r.hub.RecoveryData); !errors.Is(err, ErrHostKeyWiped) {
		t.Errorf("recovery with a wiped key: %v", err)
	}
	if _, err := r.hosts[0].Reveal(); !errors.Is(err, ErrHostKeyWiped) {
		t.Errorf("revealing a wiped key: %v", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	r := contributed(t, 2, 3, 6).added()
	host := r.hosts[0]
	secret, err := host.Reveal()
	r.must(err)
	unknown := r.victim(0)
	r.certifiedBut(0)
	for _, c := range []struct {
		value  any
		secret []byte
	}{
		{host, secret},
		{r.participants[1], scalarBytes(r.participants[1].state.share)},
		{unknown, scalarBytes(unknown.evidence.pads[1])},
	} {
		wrapped := struct{ Value any }{c.value}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			for _, v := range []any{c.value, wrapped, &wrapped} {
				text := fmt.Sprintf(verb, v)
				if strings.Contains(strings.ToLower(text), hex.EncodeToString(c.secret)) || strings.Contains(text, "evidence") {
					t.Errorf("%s prints %s", verb, text)
				}
			}
		}
		if text, err := json.Marshal(wrapped); !errors.Is(err, ErrSecret) {
			t.Errorf("%T marshals as %s (%v)", c.value, text, err)
		}
	}
}

// victim makes step 2 of a participant fail for a wrong share.
func (r *run) victim(id int) *UnknownFaultyError {
	r.t.Helper()
	message := append([]byte{}, r.cmsg1...)
	message[len(message)-32*(len(r.hosts)-id)+31] ^= 1
	_, err := r.step2(id, message)
	var unknown *UnknownFaultyError
	if !errors.As(err, &unknown) {
		r.t.Fatalf("step 2 with a wrong share: %v", err)
	}
	return unknown
}

// certifiedBut takes step 2 for all but one.
func (r *run) certifiedBut(id int) {
	r.t.Helper()
	for i := range r.participants {
		if i != id {
			_, err := r.step2(i, r.cmsg1)
			r.must(err)
		}
	}
}

func scalarBytes(s curve.Scalar) []byte { b := s.Bytes(); return b[:] }

func TestSameInputsSameMessages(t *testing.T) {
	a, b := finished(t, 2, 3, 7), finished(t, 2, 3, 7)
	requireSameGroup(t, a.hub, b.hub)
	if c := finished(t, 2, 3, 8); c.hub.Group.Key() == a.hub.Group.Key() {
		t.Error("other randomness, same key")
	}
}

func TestParamsAreCopied(t *testing.T) {
	r := contributed(t, 2, 3, 9)
	keys := r.params.HostKeys
	r.params.HostKeys = append([]HostPublicKey{}, keys...)
	r.added()
	keys[0] = HostPublicKey{}
	r.certified()
}

func TestTooManyParticipants(t *testing.T) {
	_, public := newHosts(t, frost.MaxParticipants+1, 10)
	var count *ThresholdOrCountError
	if err := (Params{Threshold: 1, HostKeys: public}).Validate(); !errors.As(err, &count) {
		t.Errorf("error %v", err)
	}
	if err := (Params{Threshold: 1, HostKeys: public[1:]}).Validate(); err != nil {
		t.Error(err)
	}
}
