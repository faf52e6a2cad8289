package chilldkg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Nothing is left but the backups: the bytes of the host key and the recovery
// data, from whomever.
func TestABlankMachineRecovers(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {2, 3}, {7, 10}} {
		r := finished(t, size[0], size[1], 31)
		for i, original := range r.results {
			stored, err := r.hosts[i].Reveal()
			r.must(err)
			host, err := NewHostKey(stored)
			r.must(err)
			result, err := Recover(host, bytes.Clone(r.results[0].RecoveryData))
			r.must(err)
			requireSameGroup(t, result, original)
			before, err := original.Share.Reveal()
			r.must(err)
			after, err := result.Share.Reveal()
			r.must(err)
			if !bytes.Equal(before, after) || result.Share.ID() != original.Share.ID() {
				t.Errorf("%v: share %d changed", size, i)
			}
			r.results[i] = result
		}
		hub, err := RecoverCoordinator(r.hub.RecoveryData)
		r.must(err)
		requireSameGroup(t, hub, r.hub)
		if hub.Share != nil {
			t.Error("the coordinator has a share")
		}
		var signers []frost.ID
		for i := range size[0] {
			signers = append(signers, frost.ID(i))
		}
		r.sign(signers)
	}
}

func TestResultWipesTheShareThatItIsMadeOf(t *testing.T) {
	r := finished(t, 2, 3, 40)
	s, err := newSession(r.params)
	r.must(err)
	for name, info := range map[string]frost.ThresholdInfo{"a group": r.hub.Group.Info(), "no group": {}} {
		secret := &secretShare{value: *new(curve.Scalar).SetInt(7)}
		if _, err := s.newResult(nil, nil, info, secret); (err == nil) != (name == "a group") {
			t.Errorf("%s: %v", name, err)
		}
		if !secret.value.IsZero() {
			t.Errorf("%s: the share is still there", name)
		}
	}
}

func TestEveryChangeInRecoveryDataIsRefused(t *testing.T) {
	r := finished(t, 2, 3, 32)
	data := r.hub.RecoveryData
	check := func(change string, changed []byte) {
		t.Helper()
		var bad *RecoveryDataError
		if _, err := Recover(r.hosts[0], changed); !errors.As(err, &bad) {
			t.Errorf("%s: %v", change, err)
		}
	}
	eachByte(len(data), func(bit int) { check(fmt.Sprintf("bit %d", bit), flip(data, bit)) })
	for size := range data {
		check(fmt.Sprintf("cut at %d", size), data[:size])
	}
	check("one byte more", append(bytes.Clone(data), 0))
	check("huge threshold", append([]byte{0xff, 0xff, 0xff, 0xff}, data[4:]...))

	// Two participants in another order are another run.
	swapped := bytes.Clone(data)
	first, second := 4+33*2, 4+33*3
	copy(swapped[first:], data[second:second+33])
	copy(swapped[second:], data[first:first+33])
	check("host keys swapped", swapped)
}

// A certificate proves that everyone has signed, not that it made sense. That
// takes all n host keys; the data is refused all the same.
func TestRecoveryDataThatEveryoneSignedAndIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*transcript)
		want  error
	}{
		{"nothing wrong", func(*transcript) {}, nil},
		{"a share", func(tr *transcript) { tr.shares[0].Add(new(curve.Scalar).SetInt(1)) }, ErrShare},
		{"a nonce", func(tr *transcript) { tr.nonces[1] = [33]byte{} }, ErrNonce},
		{"a key of infinity", func(tr *transcript) { tr.commitment[0] = curve.Point{} }, ErrDegenerate},
	} {
		r := finished(t, 2, 3, 39)
		params, tr, _, err := decodeRecoveryData(r.hub.RecoveryData)
		r.must(err)
		c.spoil(&tr)
		s, err := newSession(params)
		r.must(err)
		data := s.encodeTranscript(tr)
		signed := bytes.Clone(data)
		for i, host := range r.hosts {
			secret, err := host.read()
			r.must(err)
			sig, err := certify(&secret, frost.ID(i), [32]byte{}, signed)
			r.must(err)
			data = append(data, sig[:]...)
		}
		_, err = Recover(r.hosts[0], data)
		var bad *RecoveryDataError
		if !errors.Is(err, c.want) || errors.As(err, &bad) != (c.want != nil) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}
}

func TestRecoverWithAStrangersKey(t *testing.T) {
	r := finished(t, 2, 3, 33)
	strangers, _ := newHosts(t, 1, 34)
	if _, err := Recover(strangers[0], r.hub.RecoveryData); !errors.Is(err, ErrHostKeyUnknown) {
		t.Errorf("error %v", err)
	}
	if _, err := Recover(nil, r.hub.RecoveryData); !errors.Is(err, ErrHostKey) {
		t.Errorf("no key: %v", err)
	}
}

func TestOneHostKeyServesManyRuns(t *testing.T) {
	hosts, public := newHosts(t, 3, 35)
	var keys []frost.PublicKey
	for range 2 {
		r := contributedBy(t, hosts, Params{Threshold: 2, HostKeys: public}, uint64(len(keys)))
		r.added().certified().finalized()
		keys = append(keys, r.hub.Group.Key())
		result, err := Recover(hosts[1], r.hub.RecoveryData)
		r.must(err)
		requireSameGroup(t, result, r.hub)
	}
	if keys[0] == keys[1] {
		t.Error("two runs have one key")
	}
}

func TestTheGroupIsFundedWhenAllHaveAcknowledged(t *testing.T) {
	r := finished(t, 2, 3, 36)
	acks, err := NewAcknowledgements(r.hub)
	r.must(err)
	sigs := make([][]byte, 3)
	for i, result := range r.results {
		sigs[i], err = result.Acknowledge(r.hosts[i], r.random)
		r.must(err)
	}

	order := []frost.ID{2, 0, 1}
	missing := []frost.ID{0, 1, 2}
	for _, id := range order {
		var incomplete *MissingAcknowledgementsError
		group, err := acks.Group()
		if group != nil || !errors.As(err, &incomplete) || !slices.Equal(incomplete.IDs, missing) {
			t.Fatalf("missing %v: group %v, error %v", missing, group, err)
		}
		other := (id + 1) % 3
		for lie, sig := range map[string][]byte{
			"another's":         sigs[other],
			"one bit":           flip(sigs[id], 100),
			"the certificate's": r.pmsgs2[id],
			"zeros":             make([]byte, 64),
			"ones":              bytes.Repeat([]byte{0xff}, 64),
		} {
			var faulty *FaultyParticipantError
			if err := acks.Add(id, sig); !errors.As(err, &faulty) || faulty.ID != id || !errors.Is(err, ErrAcknowledgement) {
				t.Errorf("%s: %v", lie, err)
			}
		}
		for range 2 {
			r.must(acks.Add(id, sigs[id]))
		}
		missing = slices.DeleteFunc(missing, func(m frost.ID) bool { return m == id })
	}
	group, err := acks.Group()
	r.must(err)
	if group.Key() != r.hub.Group.Key() {
		t.Error("another group")
	}
	if err := acks.Add(3, sigs[0]); !errors.Is(err, ErrParams) {
		t.Errorf("an acknowledgement of nobody: %v", err)
	}
}

func TestAcknowledgementsAreOfOneRun(t *testing.T) {
	r := finished(t, 2, 3, 37)
	again := contributedBy(t, r.hosts, r.params, 99).added().certified().finalized()
	acks, err := NewAcknowledgements(again.hub)
	r.must(err)
	sig, err := r.results[0].Acknowledge(r.hosts[0], nil)
	r.must(err)
	if err := acks.Add(0, sig); !errors.Is(err, ErrAcknowledgement) {
		t.Errorf("the acknowledgement of another run: %v", err)
	}
	strangers, _ := newHosts(t, 1, 38)
	if _, err := r.results[0].Acknowledge(strangers[0], nil); !errors.Is(err, ErrHostKeyUnknown) {
		t.Errorf("a stranger acknowledges: %v", err)
	}
	forged := &Result{RecoveryData: r.hub.RecoveryData}
	if _, err := forged.Acknowledge(r.hosts[0], nil); !errors.Is(err, ErrState) {
		t.Errorf("a result from nowhere is acknowledged: %v", err)
	}
	if _, err := NewAcknowledgements(forged); !errors.Is(err, ErrState) {
		t.Errorf("a result from nowhere is collected for: %v", err)
	}
}
