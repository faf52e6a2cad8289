package roast

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daobank/daobank/taproot/frost"
)

// A round is a responder that has given out nonces for two messages, and a request
// to sign with them: a group of 2 of 2, where the other's nonces are made up.
type round struct {
	responder *Responder
	messages  []Message
	commit    CommitRequest
	nonces    []frost.PublicNonce
	sign      SignRequest
}

func newRound(t testing.TB, options ResponderOptions) *round {
	t.Helper()
	group, shares, err := frost.TrustedDealer(2, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &round{messages: []Message{{Digest: [32]byte{1}}, {Digest: [32]byte{2}, Tweaks: []frost.Tweak{{Value: [32]byte{3}, XOnly: true}}}}}
	if r.responder, err = NewResponder(group, shares[1], options); err != nil {
		t.Fatal(err)
	}
	id, err := NewRequestID(group, r.messages)
	if err != nil {
		t.Fatal(err)
	}
	r.commit = CommitRequest{Request: id, Messages: 2}
	if r.nonces, err = r.responder.Commit(r.commit, r.messages); err != nil {
		t.Fatal(err)
	}
	r.sign = r.session(t, r.nonces, 1)
	return r
}

// session is a request to sign with the nonces given and fresh ones of another.
func (r *round) session(t testing.TB, nonces []frost.PublicNonce, number int) SignRequest {
	t.Helper()
	request := SignRequest{Request: r.commit.Request, Session: number, Commitment: NewCommitmentID(nonces), Signers: []frost.ID{0, 1}}
	for _, n := range nonces {
		_, other, err := frost.NonceGen(nil, frost.NonceParams{})
		if err != nil {
			t.Fatal(err)
		}
		sum, err := frost.NonceAgg(map[frost.ID]frost.PublicNonce{0: other, 1: n})
		if err != nil {
			t.Fatal(err)
		}
		request.Nonces = append(request.Nonces, sum)
	}
	return request
}

// promise is what the responder holds for the round.
func (r *round) promise() *promise {
	r.responder.mu.Lock()
	defer r.responder.mu.Unlock()
	return r.responder.outstanding[0]
}

func TestResponderSignsOnceWithEachNonce(t *testing.T) {
	r := newRound(t, ResponderOptions{})
	answer, err := r.responder.Sign(r.sign)
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []SignRequest{r.sign, r.session(t, r.nonces, 2)} {
		if _, err := r.responder.Sign(again); !errors.Is(err, ErrNoNonces) {
			t.Errorf("session %d with used nonces: error %v", again.Session, err)
		}
	}
	if slices.ContainsFunc(answer.Next, func(n frost.PublicNonce) bool { return slices.Contains(r.nonces, n) }) {
		t.Error("a nonce was given out again")
	}
	if _, err := r.responder.Sign(r.session(t, answer.Next, 3)); err != nil {
		t.Errorf("with the next nonces: %v", err)
	}
}

// Of many calls at once for the same nonces, in different sessions, one signs.
func TestResponderSignsOnceAmongMany(t *testing.T) {
	r := newRound(t, ResponderOptions{})
	const callers = 16
	errs := make([]error, callers)
	var calls sync.WaitGroup
	for i := range callers {
		request := r.session(t, r.nonces, i)
		calls.Go(func() { _, errs[i] = r.responder.Sign(request) })
	}
	calls.Wait()
	signed := 0
	for _, err := range errs {
		if err == nil {
			signed++
		} else if !errors.Is(err, ErrNoNonces) {
			t.Error(err)
		}
	}
	if signed != 1 {
		t.Errorf("%d of %d calls signed with one nonce", signed, callers)
	}
}

// A copy of a responder's whole state, as a snapshot restored beside the original
// in one process would be, shares what a nonce is used up in.
func TestCopiedResponderCannotSignAgain(t *testing.T) {
	for _, first := range []string{"original", "copy"} {
		t.Run("the "+first+" signs first", func(t *testing.T) {
			r := newRound(t, ResponderOptions{})
			p := r.promise()
			copied := &Responder{group: r.responder.group, share: r.responder.share, options: r.responder.options,
				made: r.responder.made, outstanding: []*promise{{request: p.request, commitment: p.commitment,
					messages: p.messages, keys: p.keys, nonces: slices.Clone(p.nonces), expires: p.expires}}}
			pair := []*Responder{r.responder, copied}
			if first == "copy" {
				slices.Reverse(pair)
			}
			if _, err := pair[0].Sign(r.sign); err != nil {
				t.Fatal(err)
			}
			if _, err := pair[1].Sign(r.session(t, r.nonces, 2)); !errors.Is(err, frost.ErrNonceUsed) {
				t.Errorf("the second signed or failed otherwise: %v", err)
			}
		})
	}
}

func TestResponderRefusesWhatDoesNotFit(t *testing.T) {
	infinite := frost.AggregateNonce{5}
	tests := []struct {
		name  string
		spoil func(q *SignRequest)
		want  error
	}{
		{"another request", func(q *SignRequest) { q.Request[0] ^= 1 }, ErrNoNonces},
		{"another commitment", func(q *SignRequest) { q.Commitment[0] ^= 1 }, ErrNoNonces},
		{"a sum too few", func(q *SignRequest) { q.Nonces = q.Nonces[1:] }, frost.ErrAggregateNonce},
		{"a sum too many", func(q *SignRequest) { q.Nonces = append(q.Nonces, q.Nonces[0]) }, frost.ErrAggregateNonce},
		{"a sum that is no point", func(q *SignRequest) { q.Nonces[1] = infinite }, frost.ErrAggregateNonce},
		{"without this signer", func(q *SignRequest) { q.Signers = []frost.ID{0} }, frost.ErrNotSigner},
		{"too few signers", func(q *SignRequest) { q.Signers = []frost.ID{1} }, frost.ErrSignerSet},
		{"a signer twice", func(q *SignRequest) { q.Signers = []frost.ID{1, 1} }, frost.ErrSignerSet},
		{"a signer from outside", func(q *SignRequest) { q.Signers = []frost.ID{1, 2} }, frost.ErrSignerSet},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRound(t, ResponderOptions{})
			q := r.sign
			q.Signers, q.Nonces = slices.Clone(q.Signers), slices.Clone(q.Nonces)
			test.spoil(&q)
			_, err := r.responder.Sign(q)
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			// What a stranger gets wrong for 1,024 messages is said once.
			if _, listed := errors.Unwrap(err).(interface{ Unwrap() []error }); listed {
				t.Errorf("an error for each message: %v", err)
			}
			if _, err := r.responder.Sign(r.sign); err != nil {
				t.Errorf("the right request afterwards: %v", err)
			}
		})
	}
}

func TestResponderCommitsOnlyToItsOwnMessages(t *testing.T) {
	r := newRound(t, ResponderOptions{})
	var refusal *RefusalError
	for name, messages := range map[string][]Message{
		"a digest":       {{Digest: [32]byte{9}}, r.messages[1]},
		"a tweak":        {r.messages[0], {Digest: r.messages[1].Digest}},
		"the order":      {r.messages[1], r.messages[0]},
		"one message":    r.messages[:1],
		"a kind of sum ": {r.messages[0], {Digest: r.messages[1].Digest, Tweaks: []frost.Tweak{{Value: [32]byte{3}}}}},
	} {
		if _, err := r.responder.Commit(r.commit, messages); !errors.As(err, &refusal) {
			t.Errorf("%s differs: error %v", name, err)
		}
	}
	if _, err := r.responder.Commit(r.commit, nil); !errors.Is(err, ErrMessages) {
		t.Errorf("no messages: error %v", err)
	}
}

// Nonces go when newer ones are given out for the request, when there are too many
// requests, with Forget and with Close.
func TestNoncesThatGiveWayAreWiped(t *testing.T) {
	commit := func(t *testing.T, r *round, digest byte) {
		messages := []Message{{Digest: [32]byte{digest, 1}}}
		id, err := NewRequestID(r.responder.group, messages)
		if err == nil {
			_, err = r.responder.Commit(CommitRequest{Request: id, Messages: 1}, messages)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		act  func(t *testing.T, r *round)
		want error
	}{
		{"two requests are not too many", func(t *testing.T, r *round) { commit(t, r, 1) }, nil},
		{"three are", func(t *testing.T, r *round) { commit(t, r, 1); commit(t, r, 2) }, ErrNoNonces},
		{"committed again", func(t *testing.T, r *round) {
			if _, err := r.responder.Commit(r.commit, r.messages); err != nil {
				t.Fatal(err)
			}
		}, ErrNoNonces},
		{"forgotten", func(t *testing.T, r *round) { r.responder.Forget(r.commit.Request) }, ErrNoNonces},
		{"closed", func(t *testing.T, r *round) { r.responder.Close() }, ErrClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRound(t, ResponderOptions{Requests: 2})
			defer r.responder.Close()
			kept := r.promise()
			test.act(t, r)
			if _, err := r.responder.Sign(r.sign); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if !wiped(t, r, kept) {
				t.Error("the nonces still sign")
			}
		})
	}
}

// Of many commitments to one request at once, one is outstanding, and those to
// other requests do not give way.
func TestOneCommitmentOfARequestIsOutstanding(t *testing.T) {
	r := newRound(t, ResponderOptions{})
	defer r.responder.Close()
	other := []Message{{Digest: [32]byte{9}}}
	id, err := NewRequestID(r.responder.group, other)
	if err == nil {
		_, err = r.responder.Commit(CommitRequest{Request: id, Messages: 1}, other)
	}
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20000 {
		start := make(chan struct{})
		var calls sync.WaitGroup
		for range 8 {
			p := &promise{request: r.commit.Request}
			calls.Go(func() {
				<-start
				if err := r.responder.keep(p); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		calls.Wait()
		if n := len(r.responder.outstanding); n != 2 {
			t.Fatalf("round %d: %d commitments to two requests are outstanding", round, n)
		}
	}
}

func TestNoncesExpire(t *testing.T) {
	for _, test := range []struct {
		after time.Duration
		want  error
	}{{time.Minute - time.Nanosecond, nil}, {time.Minute, ErrNoNonces}} {
		t.Run(test.after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRound(t, ResponderOptions{Lifetime: time.Minute})
				defer r.responder.Close()
				kept := r.promise()
				time.Sleep(test.after)
				synctest.Wait()
				if _, err := r.responder.Sign(r.sign); !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if !wiped(t, r, kept) {
					t.Error("the nonces still sign")
				}
			})
		})
	}
}

// A machine that was suspended past the lifetime has timers that have not fired
// when it signs first: the wall clock counts.
func TestNoncesExpireByTheWallClock(t *testing.T) {
	r := newRound(t, ResponderOptions{})
	r.promise().expires = time.Now().Round(0)
	if _, err := r.responder.Sign(r.sign); !errors.Is(err, ErrNoNonces) {
		t.Errorf("error %v", err)
	}
	// Or it was suspended when the call had found them and not signed yet.
	if r.responder.take(r.promise()) {
		t.Error("expired nonces were taken")
	}
}

// wiped tries the nonces themselves.
func wiped(t *testing.T, r *round, p *promise) bool {
	t.Helper()
	for i, n := range p.nonces {
		s, err := frost.NewSession(r.responder.group, frost.SessionParams{Signers: r.sign.Signers,
			AggregateNonce: r.sign.Nonces[i], Tweaks: r.messages[i].Tweaks, Message: r.messages[i].Digest[:]})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(n, r.responder.share); !errors.Is(err, frost.ErrNonceUsed) {
			return false
		}
	}
	return true
}

// A source of randomness that repeats itself does not repeat nonces.
func TestNoncesDifferWithoutRandomness(t *testing.T) {
	r := newRound(t, ResponderOptions{Random: zeros{}})
	again, err := r.responder.Commit(r.commit, r.messages)
	if err != nil {
		t.Fatal(err)
	}
	if r.nonces[0] == again[0] || r.nonces[1] == again[1] {
		t.Error("a nonce was made twice")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestNewResponderWantsAShareOfTheGroup(t *testing.T) {
	group, _, err := frost.TrustedDealer(2, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, strangers, err := frost.TrustedDealer(2, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewResponder(group, strangers[0], ResponderOptions{}); !errors.Is(err, frost.ErrShareMismatch) {
		t.Errorf("a share of another group: %v", err)
	}
	if _, err := NewResponder(group, strangers[2], ResponderOptions{}); !errors.Is(err, frost.ErrNotSigner) {
		t.Errorf("a share beyond the group: %v", err)
	}
}
