package chilldkg

import (
	"math/rand/v2"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
)

// seeded gives the same bytes at every run, so that a failure can be repeated.
func seeded(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

func newHosts(t testing.TB, n int, seed uint64) ([]*HostKey, []HostPublicKey) {
	t.Helper()
	random := seeded(seed)
	hosts, public := make([]*HostKey, n), make([]HostPublicKey, n)
	for i := range hosts {
		var err error
		if hosts[i], err = GenerateHostKey(random); err != nil {
			t.Fatal(err)
		}
		public[i] = hosts[i].Public()
	}
	return hosts, public
}

// run is one run with all its parties, so far as it has come.
type run struct {
	t      testing.TB
	params Params
	hosts  []*HostKey
	random *rand.ChaCha8

	participants []*Participant
	pmsgs1       [][]byte
	coordinator  *Coordinator
	cmsg1        []byte
	pmsgs2       [][]byte
	cmsg2        []byte
	hub          *Result // the coordinator's
	results      []*Result
}

// contributed is a run in which all have taken step 1.
func contributed(t testing.TB, threshold, n int, seed uint64) *run {
	t.Helper()
	hosts, public := newHosts(t, n, seed)
	return contributedBy(t, hosts, Params{Threshold: threshold, HostKeys: public}, seed+1)
}

func contributedBy(t testing.TB, hosts []*HostKey, params Params, seed uint64) *run {
	t.Helper()
	r := &run{t: t, params: params, hosts: hosts, random: seeded(seed)}
	for _, host := range hosts {
		p, message, err := NewParticipant(host, r.params, r.random)
		r.must(err)
		r.participants, r.pmsgs1 = append(r.participants, p), append(r.pmsgs1, message)
	}
	return r
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// added is contributed with the coordinator's step 1.
func (r *run) added() *run {
	r.t.Helper()
	var err error
	r.coordinator, r.cmsg1, err = NewCoordinator(r.params, r.pmsgs1)
	r.must(err)
	return r
}

func (r *run) step2(id int, message []byte) ([]byte, error) {
	return r.participants[id].Step2(r.hosts[id], message, r.random)
}

// certified is added with everyone's step 2 and the certificate.
func (r *run) certified() *run {
	r.t.Helper()
	for i := range r.participants {
		message, err := r.step2(i, r.cmsg1)
		r.must(err)
		r.pmsgs2 = append(r.pmsgs2, message)
	}
	var err error
	r.hub, r.cmsg2, err = r.coordinator.Finalize(r.pmsgs2)
	r.must(err)
	return r
}

func (r *run) finalized() *run {
	r.t.Helper()
	for _, p := range r.participants {
		result, err := p.Finalize(r.cmsg2)
		r.must(err)
		r.results = append(r.results, result)
	}
	return r
}

// finished is a whole run of honest parties.
func finished(t testing.TB, threshold, n int, seed uint64) *run {
	t.Helper()
	return contributed(t, threshold, n, seed).added().certified().finalized()
}

// sign signs with some of the shares and verifies.
func (r *run) sign(signers []frost.ID, tweaks ...frost.Tweak) {
	r.t.Helper()
	message := []byte("what is signed")
	secrets, nonces := make(map[frost.ID]*frost.SecretNonce), make(map[frost.ID]frost.PublicNonce)
	for _, id := range signers {
		var err error
		secrets[id], nonces[id], err = frost.NonceGen(r.random, frost.NonceParams{Share: r.results[id].Share})
		r.must(err)
	}
	aggregate, err := frost.NonceAgg(nonces)
	r.must(err)
	session, err := frost.NewSession(r.hub.Group, frost.SessionParams{
		Signers: signers, AggregateNonce: aggregate, Tweaks: tweaks, Message: message,
	})
	r.must(err)
	parts := make(map[frost.ID]frost.PartialSignature)
	for _, id := range signers {
		parts[id], err = session.Sign(secrets[id], r.results[id].Share)
		r.must(err)
	}
	signature, err := session.Aggregate(parts, nonces)
	r.must(err)
	key, err := frost.TweakedKey(r.hub.Group.Key(), tweaks)
	r.must(err)
	r.must(frost.VerifySignature(key, message, signature))
}
