package frost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// seeded gives the same bytes at every run, so that a failure can be repeated.
func seeded(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

func deal(t testing.TB, threshold, n int, seed uint64) (*Group, []*Share) {
	t.Helper()
	group, shares, err := TrustedDealer(threshold, n, seeded(seed))
	if err != nil {
		t.Fatal(err)
	}
	return group, shares
}

// round is one signature in progress, both rounds done by its signers.
type round struct {
	session *Session
	nonces  map[ID]PublicNonce
	parts   map[ID]PartialSignature
}

func signAll(t testing.TB, group *Group, shares []*Share, signers []ID, message []byte, tweaks ...Tweak) round {
	t.Helper()
	secrets := make(map[ID]*SecretNonce)
	r := round{nonces: make(map[ID]PublicNonce), parts: make(map[ID]PartialSignature)}
	for _, id := range signers {
		secret, public, err := NonceGen(seeded(uint64(id)), NonceParams{Share: shares[id], Message: message})
		if err != nil {
			t.Fatal(err)
		}
		secrets[id], r.nonces[id] = secret, public
	}
	aggregate, err := NonceAgg(r.nonces)
	if err != nil {
		t.Fatal(err)
	}
	r.session, err = NewSession(group, SessionParams{
		Signers: signers, AggregateNonce: aggregate, Tweaks: tweaks, Message: message,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range signers {
		if r.parts[id], err = r.session.Sign(secrets[id], shares[id]); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestEverySubsetSigns(t *testing.T) {
	message := []byte("thirty-two bytes or any other number")
	random := rand.New(seeded(1))
	for _, size := range []struct{ t, n int }{{1, 1}, {1, 4}, {2, 2}, {2, 3}, {3, 5}, {4, 4}, {5, 9}} {
		group, shares := deal(t, size.t, size.n, uint64(size.n))
		for mask := range 1 << size.n {
			var signers []ID
			for i := range size.n {
				if mask>>i&1 == 1 {
					signers = append(signers, ID(i))
				}
			}
			if len(signers) < size.t || (size.n > 5 && random.IntN(16) > 0) {
				continue
			}
			random.Shuffle(len(signers), func(i, j int) { signers[i], signers[j] = signers[j], signers[i] })
			tweaks := []Tweak{{Value: [32]byte{31: 1}, XOnly: mask%2 == 0}, {Value: [32]byte{1}, XOnly: mask%3 == 0}}
			r := signAll(t, group, shares, signers, message, tweaks[:mask%3]...)
			signature, err := r.session.Aggregate(r.parts, r.nonces)
			if err != nil {
				t.Fatalf("%d of %d, signers %v: %v", size.t, size.n, signers, err)
			}
			key, err := TweakedKey(group.Key(), tweaks[:mask%3])
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifySignature(key, message, signature); err != nil {
				t.Errorf("%d of %d, signers %v: %v", size.t, size.n, signers, err)
			}
		}
	}
}

func TestLargestGroupSigns(t *testing.T) {
	const threshold = 3
	group, shares := deal(t, threshold, MaxParticipants, 128)
	r := signAll(t, group, shares, []ID{127, 0, 63}, nil)
	if _, err := r.session.Aggregate(r.parts, r.nonces); err != nil {
		t.Error(err)
	}
}

func TestAggregateNamesCulprits(t *testing.T) {
	group, shares := deal(t, 3, 5, 5)
	signers := []ID{4, 0, 2}
	other := signAll(t, group, shares, signers, []byte("another message"))
	for _, c := range []struct {
		name         string
		spoil        func(r *round)
		blamed       []ID
		contribution Contribution
		uncertain    bool
	}{
		{name: "one wrong part", blamed: []ID{2}, contribution: ContributionPartialSignature,
			spoil: func(r *round) { r.parts[2] = other.parts[2] }},
		{name: "two wrong parts", blamed: []ID{0, 4}, contribution: ContributionPartialSignature,
			spoil: func(r *round) { r.parts[4], r.parts[0] = other.parts[4], other.parts[0] }},
		{name: "part out of range", blamed: []ID{4}, contribution: ContributionPartialSignature,
			spoil: func(r *round) { r.parts[4] = PartialSignature(fill(0xff)) }},
		{name: "malformed nonce behind a wrong part", blamed: []ID{0}, contribution: ContributionPublicNonce,
			spoil: func(r *round) { r.parts[0] = other.parts[0]; r.nonces[0] = PublicNonce{} }},
		{name: "nonces withheld", uncertain: true,
			spoil: func(r *round) { r.parts[2] = other.parts[2]; r.nonces = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signAll(t, group, shares, signers, []byte("message"))
			c.spoil(&r)
			_, err := r.session.Aggregate(r.parts, r.nonces)
			var culprit *CulpritError
			named := errors.As(err, &culprit)
			if c.uncertain {
				if named || !errors.Is(err, ErrBlameUncertain) || !errors.Is(err, ErrSignature) {
					t.Errorf("error %v, want %v", err, ErrBlameUncertain)
				}
				return
			}
			if !named || !slices.Equal(culprit.IDs, c.blamed) || culprit.Contribution != c.contribution {
				t.Errorf("error %v, want %s of %v", err, c.contribution, c.blamed)
			}
		})
	}
}

// A coordinator that sums nonces wrongly must not get honest signers blamed.
func TestWrongAggregateNonceBlamesNobody(t *testing.T) {
	group, shares := deal(t, 2, 3, 3)
	message := []byte("message")
	r := round{nonces: make(map[ID]PublicNonce), parts: make(map[ID]PartialSignature)}
	secrets := make(map[ID]*SecretNonce)
	for _, id := range []ID{0, 1} {
		secrets[id], r.nonces[id], _ = NonceGen(seeded(uint64(id)), NonceParams{})
	}
	session, err := NewSession(group, SessionParams{
		Signers: []ID{0, 1}, AggregateNonce: AggregateNonce(r.nonces[0]), Message: message,
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, secret := range secrets {
		if r.parts[id], err = session.Sign(secret, shares[id]); err != nil {
			t.Fatal(err)
		}
	}
	_, err = session.Aggregate(r.parts, r.nonces)
	var culprit *CulpritError
	if errors.As(err, &culprit) || !errors.Is(err, ErrBlameUncertain) {
		t.Errorf("error %v, want %v", err, ErrBlameUncertain)
	}
}

func TestKeyOnlyGroupSignsWithoutBlame(t *testing.T) {
	full, shares := deal(t, 2, 3, 3)
	group, err := NewKeyOnlyGroup(2, 3, full.Key())
	if err != nil {
		t.Fatal(err)
	}
	r := signAll(t, group, shares, []ID{0, 2}, []byte("message"))
	if _, err := r.session.Aggregate(r.parts, r.nonces); err != nil {
		t.Error(err)
	}
	if err := r.session.PartialSigVerify(0, r.nonces[0], r.parts[0]); !errors.Is(err, ErrNoPublicShare) {
		t.Errorf("error %v, want %v", err, ErrNoPublicShare)
	}
	r.parts[0] = r.parts[2]
	if _, err := r.session.Aggregate(r.parts, r.nonces); !errors.Is(err, ErrBlameUncertain) {
		t.Errorf("error %v, want %v", err, ErrBlameUncertain)
	}
}

func TestSignRefuses(t *testing.T) {
	group, shares := deal(t, 2, 3, 3)
	_, strangers := deal(t, 2, 3, 4)
	session := signAll(t, group, shares, []ID{0, 1}, []byte("message")).session
	wiped, err := NewShare(0, fill(1))
	if err != nil {
		t.Fatal(err)
	}
	wiped.Wipe()
	for _, c := range []struct {
		name  string
		share *Share
		want  error
	}{
		{"a share outside the signer set", shares[2], ErrNotSigner},
		{"a share of another group", strangers[0], ErrShareMismatch},
		{"a wiped share", wiped, ErrShareWiped},
		{"no share", nil, ErrShareWiped},
	} {
		t.Run(c.name, func(t *testing.T) {
			nonce, _, err := NonceGen(seeded(9), NonceParams{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Sign(nonce, c.share); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, err := session.Sign(nonce, shares[0]); !errors.Is(err, ErrNonceUsed) {
				t.Errorf("the nonce survived a refusal: %v", err)
			}
		})
	}
}

func TestSecretNonceSignsOnce(t *testing.T) {
	group, shares := deal(t, 2, 3, 3)
	session := signAll(t, group, shares, []ID{0, 1}, []byte("message")).session
	nonce, _, err := NonceGen(nil, NonceParams{Share: shares[0]})
	if err != nil {
		t.Fatal(err)
	}
	const attempts = 16
	results := make([]error, attempts)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { _, results[i] = session.Sign(nonce, shares[0]) })
	}
	wg.Wait()
	signed := 0
	for _, err := range results {
		switch {
		case err == nil:
			signed++
		case !errors.Is(err, ErrNonceUsed):
			t.Errorf("error %v, want %v", err, ErrNonceUsed)
		}
	}
	if signed != 1 {
		t.Errorf("%d signatures with one nonce", signed)
	}
	if !nonce.secret.k1.IsZero() || !nonce.secret.k2.IsZero() {
		t.Error("the used nonce is not wiped")
	}
	for _, unusable := range []*SecretNonce{nil, {}} {
		if _, err := session.Sign(unusable, shares[0]); !errors.Is(err, ErrNonceUsed) {
			t.Errorf("error %v, want %v", err, ErrNonceUsed)
		}
	}
	unused, _, err := NonceGen(nil, NonceParams{})
	if err != nil {
		t.Fatal(err)
	}
	unused.Discard()
	if _, err := session.Sign(unused, shares[0]); !errors.Is(err, ErrNonceUsed) {
		t.Errorf("error %v, want %v", err, ErrNonceUsed)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	share, err := NewShare(3, fill(0x5a))
	if err != nil {
		t.Fatal(err)
	}
	nonce, _, err := secretNonce(slices.Concat(fill(0x5a), fill(0x5a)))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []any{share, nonce, struct{ S, N any }{share, nonce}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			text := strings.ToLower(fmt.Sprintf(verb, secret))
			for _, leak := range []string{"5a5a", "9090", "zz"} {
				if strings.Contains(text, leak) {
					t.Errorf("%s shows %s", verb, text)
				}
			}
		}
		if b, err := json.Marshal(secret); !errors.Is(err, ErrSecret) {
			t.Errorf("marshalled as %s, error %v", b, err)
		}
	}
	if b, err := share.Reveal(); err != nil || !slices.Equal(b, fill(0x5a)) {
		t.Errorf("revealed %x, error %v", b, err)
	}
	share.Wipe()
	if _, err := share.Reveal(); !errors.Is(err, ErrShareWiped) {
		t.Errorf("error %v, want %v", err, ErrShareWiped)
	}
}

func TestNewSessionRefuses(t *testing.T) {
	group, shares := deal(t, 2, 3, 3)
	good := SessionParams{Signers: []ID{0, 1}, AggregateNonce: signAll(t, group, shares, []ID{0, 1}, nil).session.nonce}
	for _, c := range []struct {
		name   string
		change func(p *SessionParams)
		want   error
	}{
		{"nobody", func(p *SessionParams) { p.Signers = nil }, ErrSignerSet},
		{"too few", func(p *SessionParams) { p.Signers = []ID{0} }, ErrSignerSet},
		{"too many", func(p *SessionParams) { p.Signers = []ID{0, 1, 2, 0} }, ErrSignerSet},
		{"twice", func(p *SessionParams) { p.Signers = []ID{1, 1} }, ErrSignerSet},
		{"outside", func(p *SessionParams) { p.Signers = []ID{1, 3} }, ErrSignerSet},
		{"far outside", func(p *SessionParams) { p.Signers = []ID{1, 1<<32 - 1} }, ErrSignerSet},
		{"tweak out of range", func(p *SessionParams) { p.Tweaks = []Tweak{{Value: [32]byte(fill(0xff))}} }, ErrTweakRange},
		{"nonce malformed", func(p *SessionParams) { p.AggregateNonce[0] = 4 }, ErrAggregateNonce},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := good
			c.change(&p)
			if _, err := NewSession(group, p); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestDealerRefuses(t *testing.T) {
	for _, c := range []struct {
		t, n int
		want error
	}{{0, 3, ErrThreshold}, {4, 3, ErrThreshold}, {1, 0, ErrThreshold}, {-1, -1, ErrThreshold}, {2, 129, ErrParticipants}} {
		if _, _, err := TrustedDealer(c.t, c.n, seeded(1)); !errors.Is(err, c.want) {
			t.Errorf("%d of %d: error %v, want %v", c.t, c.n, err, c.want)
		}
	}
	if _, _, err := TrustedDealer(2, 3, io.LimitReader(zeros{}, 1<<20)); !errors.Is(err, ErrSecretShare) {
		t.Errorf("randomness of zeros: error %v", err)
	}
	if _, _, err := TrustedDealer(2, 3, strings.NewReader("short")); err == nil {
		t.Error("dealt from a random source that ran dry")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// What a nonce is made of is wiped, whether a nonce comes of it or not.
func TestSecretNonceLeavesNoCopy(t *testing.T) {
	for _, k2 := range []uint32{2, 0} {
		var k [2]curve.Scalar
		k[0].SetInt(1)
		k[1].SetInt(k2)
		nonce, _, err := newSecretNonce(&k)
		if (err == nil) != (k2 != 0) || (nonce != nil) != (k2 != 0) {
			t.Errorf("second scalar %d: %v, %v", k2, nonce, err)
		}
		if !k[0].IsZero() || !k[1].IsZero() {
			t.Errorf("second scalar %d: a copy is left", k2)
		}
	}
}

func TestThresholdInfoSurvivesJSON(t *testing.T) {
	group, _ := deal(t, 2, 4, 2)
	info := group.Info()
	info.PublicShares[1] = nil
	text, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var back ThresholdInfo
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if err := back.Validate(); err != nil {
		t.Error(err)
	}
	if _, known := mustGroup(t, back).PublicShare(1); known {
		t.Error("an unknown share became known")
	}
	if err := json.Unmarshal([]byte(`{"group_key":"02"}`), &back); !errors.Is(err, ErrGroupKey) {
		t.Errorf("error %v, want %v", err, ErrGroupKey)
	}
}

func mustGroup(t *testing.T, info ThresholdInfo) *Group {
	t.Helper()
	group, err := NewGroup(info)
	if err != nil {
		t.Fatal(err)
	}
	return group
}

func fill(b byte) []byte { return slices.Repeat([]byte{b}, 32) }
