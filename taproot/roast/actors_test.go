package roast_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// A behaviour is how a signer of the tests answers.
type behaviour string

const (
	honest         behaviour = "honest"
	slow           behaviour = "honest, a second late"
	silent         behaviour = "silent from the start"
	silentLater    behaviour = "silent when asked to sign"
	dead           behaviour = "connection refused"
	deadLater      behaviour = "connection broken when asked to sign, each time"
	crash          behaviour = "crashes in its first session and returns"
	refuse         behaviour = "refuses nonces"
	refuseLater    behaviour = "refuses to sign"
	fewNonces      behaviour = "a nonce too few"
	manyNonces     behaviour = "thousands of nonces"
	rubbishNonce   behaviour = "a nonce that is no point"
	foreignNonce   behaviour = "the nonces of another signer"
	wrongOne       behaviour = "a wrong partial signature for one message"
	outOfRange     behaviour = "a partial signature above the group order"
	fewParts       behaviour = "a partial signature too few"
	otherSession   behaviour = "the right answer to another session"
	malformed      behaviour = "bytes that are no answer"
	fewNext        behaviour = "right parts, a next nonce too few"
	rubbishNext    behaviour = "right parts, a next nonce that is no point"
	replayParts    behaviour = "the partial signatures of its first session again"
	answerTwice    behaviour = "its first answer a second time"
	liesThenSilent behaviour = "a wrong partial signature, then silence"
)

// What a signer of each kind may be found out to be. Those that lie later answer
// rightly at first, so they help where one session is enough.
var (
	good   = []behaviour{honest, slow}
	absent = []behaviour{silent, silentLater, dead, deadLater, refuse, refuseLater}
	liars  = []behaviour{fewNonces, manyNonces, rubbishNonce, foreignNonce, wrongOne, outOfRange, fewParts, otherSession, malformed, liesThenSilent}
	later  = []behaviour{fewNext, rubbishNext, replayParts, answerTwice, crash}
	bad    = slices.Concat(absent, liars, later)
)

func (b behaviour) mayLie() bool {
	return slices.Contains(liars, b) || b != crash && slices.Contains(later, b)
}

// An actor is a signer that behaves as it is told. What it sends and receives goes
// through JSON, as over a network.
type actor struct {
	as        behaviour
	latency   time.Duration
	responder *roast.Responder
	messages  []roast.Message
	cast      *cast

	signed []roast.Answer // its own, in order
}

// A cast is all actors of one test.
type cast struct {
	t        *testing.T
	group    *frost.Group
	shares   []*frost.Share
	messages []roast.Message
	actors   []*actor
	calls    atomic.Int64 // under way

	mu     sync.Mutex
	posted []frost.PublicNonce // by the first honest signer, for others to copy
}

func newCast(t *testing.T, threshold, inputs int, as []behaviour) *cast {
	t.Helper()
	group, shares := deal(t, threshold, len(as))
	c := &cast{t: t, group: group, shares: shares, messages: newMessages(inputs)}
	for i, b := range as {
		a := &actor{as: b, messages: c.messages, cast: c, responder: newResponder(t, group, shares[i])}
		if b == slow {
			a.latency = time.Second
		}
		c.actors = append(c.actors, a)
	}
	return c
}

func (c *cast) signers() []roast.Signer {
	var list []roast.Signer
	for _, a := range c.actors {
		list = append(list, a)
	}
	return list
}

// sign runs one Sign in whatever bubble the caller is in.
func (c *cast) sign(options roast.Options, limit time.Duration) (*roast.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	result, err := roast.NewCoordinator(c.group, options).Sign(ctx, c.messages, c.signers())
	if n := c.calls.Load(); n != 0 {
		c.t.Errorf("%d calls are under way after Sign returned", n)
	}
	for _, a := range c.actors {
		a.responder.Close()
	}
	return result, err
}

func (a *actor) ID() frost.ID { return a.responder.ID() }

var errBroken = errors.New("connection broken")

func (a *actor) Commit(ctx context.Context, request roast.CommitRequest) ([]frost.PublicNonce, error) {
	a.cast.calls.Add(1)
	defer a.cast.calls.Add(-1)
	if err := pause(ctx, a.latency); err != nil {
		return nil, err
	}
	switch a.as {
	case silent:
		<-ctx.Done()
		return nil, ctx.Err()
	case dead:
		return nil, errBroken
	case refuse:
		return nil, &roast.RefusalError{Reason: "the fee is too high"}
	case malformed:
		return nil, &roast.MalformedError{Sent: []byte("GET / HTTP/1.1"), Err: errors.New("no JSON")}
	}
	nonces, err := a.responder.Commit(overWire(a.cast.t, request), a.messages)
	if err != nil {
		return nil, err
	}
	switch a.as {
	case fewNonces:
		nonces = nonces[1:]
	case manyNonces:
		return slices.Repeat(nonces, 5000), nil // decoding them takes long
	case rubbishNonce:
		nonces[len(nonces)-1] = frost.PublicNonce{2, 3, 4}
		return nonces, nil // JSON would not let it through
	case foreignNonce:
		a.cast.mu.Lock()
		defer a.cast.mu.Unlock()
		if a.cast.posted != nil {
			return a.cast.posted, nil
		}
		return randomNonces(a.cast.t, len(nonces)), nil
	case honest:
		a.cast.mu.Lock()
		defer a.cast.mu.Unlock()
		a.cast.posted = slices.Clone(nonces)
	}
	return overWire(a.cast.t, nonces), nil
}

func (a *actor) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	a.cast.calls.Add(1)
	defer a.cast.calls.Add(-1)
	if err := pause(ctx, a.latency); err != nil {
		return roast.Answer{}, err
	}
	switch {
	case a.as == silentLater, a.as == liesThenSilent && len(a.signed) > 0:
		<-ctx.Done()
		return roast.Answer{}, ctx.Err()
	case a.as == deadLater:
		return roast.Answer{}, errBroken
	case a.as == refuseLater:
		return roast.Answer{}, &roast.RefusalError{Reason: "signed another one meanwhile"}
	case a.as == crash:
		a.restart()
		a.as = honest
		return roast.Answer{}, errBroken
	case a.as == otherSession:
		request.Nonces[0] = frost.AggregateNonce(randomNonces(a.cast.t, 1)[0])
	}
	if a.as == foreignNonce {
		// It cannot know the secret of what it showed; it signs with what it has.
		own, err := a.responder.Commit(roast.CommitRequest{Request: request.Request, Messages: len(a.messages)}, a.messages)
		if err != nil {
			return roast.Answer{}, err
		}
		request.Commitment = roast.NewCommitmentID(own)
	}
	answer, err := a.responder.Sign(overWire(a.cast.t, request))
	if err != nil {
		return roast.Answer{}, fmt.Errorf("signer %d: %w", a.ID(), err)
	}
	answer = overWire(a.cast.t, answer)
	a.signed = append(a.signed, answer)
	return a.spoil(answer), nil
}

// spoil is what the actor sends in place of its right answer.
func (a *actor) spoil(answer roast.Answer) roast.Answer {
	parts, next := slices.Clone(answer.Signatures), slices.Clone(answer.Next)
	last := len(parts) - 1
	switch a.as {
	case wrongOne, liesThenSilent:
		// Not off by one: two such lies could cancel each other.
		parts[last] = frost.PartialSignature{1, byte(a.ID()), 3}
	case outOfRange:
		parts[last] = frost.PartialSignature(slices.Repeat([]byte{0xff}, 32))
	case fewParts:
		parts = parts[:last]
	case fewNext:
		next = next[:last]
	case rubbishNext:
		next[0] = frost.PublicNonce{}
	case replayParts:
		parts = a.signed[0].Signatures
	case answerTwice:
		return a.signed[0]
	}
	return roast.Answer{Signatures: parts, Next: next}
}

// restart is what a new process has: the share and no nonces.
func (a *actor) restart() {
	a.responder.Close()
	a.responder = newResponder(a.cast.t, a.cast.group, a.cast.shares[a.ID()])
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// overWire is v as its receiver sees it.
func overWire[T any](t *testing.T, v T) (received T) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &received)
	}
	if err != nil {
		t.Errorf("%T over the wire: %v", v, err)
	}
	return received
}

var dealt sync.Map // of [2]int to a group and its shares; dealing is slow

type hand struct {
	group  *frost.Group
	shares []*frost.Share
}

func deal(t testing.TB, threshold, n int) (*frost.Group, []*frost.Share) {
	t.Helper()
	if h, ok := dealt.Load([2]int{threshold, n}); ok {
		return h.(hand).group, h.(hand).shares
	}
	group, shares, err := frost.TrustedDealer(threshold, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	dealt.Store([2]int{threshold, n}, hand{group, shares})
	return group, shares
}

// newMessages are as different as the inputs of a settlement: no tweak, a plain
// one, a Taproot one, both.
func newMessages(n int) []roast.Message {
	list := make([]roast.Message, n)
	for i := range list {
		list[i].Digest = [32]byte{byte(i), byte(i >> 8), 7}
		if i%2 == 1 {
			list[i].Tweaks = append(list[i].Tweaks, frost.Tweak{Value: [32]byte{1, byte(i)}})
		}
		if i%4 >= 2 {
			list[i].Tweaks = append(list[i].Tweaks, frost.Tweak{Value: [32]byte{2, byte(i)}, XOnly: true})
		}
	}
	return list
}

func newResponder(t testing.TB, group *frost.Group, share *frost.Share) *roast.Responder {
	t.Helper()
	r, err := roast.NewResponder(group, share, roast.ResponderOptions{Lifetime: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func randomNonces(t testing.TB, n int) []frost.PublicNonce {
	list := make([]frost.PublicNonce, n)
	for i := range list {
		_, nonce, err := frost.NonceGen(nil, frost.NonceParams{})
		if err != nil {
			t.Error(err)
		}
		list[i] = nonce
	}
	return list
}
