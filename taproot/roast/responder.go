package roast

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/daobank/daobank/taproot/frost"
)

// Errors of a Responder. Neither blames anybody.
var (
	// ErrNoNonces: the nonces that a session names are not there. They were used,
	// have expired, gave way to newer ones, or went with an earlier process. Begin
	// again with Commit.
	ErrNoNonces = errors.New("roast: no such nonces are outstanding")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("roast: the responder is closed")
)

// ResponderOptions bound what a responder holds. Zero fields mean the defaults.
type ResponderOptions struct {
	// Lifetime is how long nonces wait for their session; 10 minutes by default.
	Lifetime time.Duration
	// Requests is for how many requests there may be nonces at a time; 4 by
	// default. The oldest gives way.
	Requests int
	// Random is for nonces; nil means crypto/rand.
	Random io.Reader
}

// Responder is the signer's side: it holds the share and the nonces that were
// given out, and signs each with one session or none. Its caller decides what to
// sign, by what it hands to Commit, and must not hand over a digest that it did
// not compute itself. A Responder is safe for concurrent use and must not be
// copied.
type Responder struct {
	group   *frost.Group
	share   *frost.Share
	options ResponderOptions

	mu          sync.Mutex
	closed      bool
	made        uint64     // commitments so far, mixed into nonces
	outstanding []*promise // oldest first, one for each request
}

// A promise is a set of nonces that was given out and has signed nothing.
type promise struct {
	request    RequestID
	commitment CommitmentID
	messages   []Message
	keys       []*frost.Tweaked // for which each message is signed
	nonces     []*frost.SecretNonce
	expires    time.Time // wall clock: it goes on while a machine is suspended
	timer      *time.Timer
}

// NewResponder makes the responder of a share. The error wraps
// frost.ErrNotSigner or frost.ErrShareMismatch if the share is not of the group.
func NewResponder(group *frost.Group, share *frost.Share, options ResponderOptions) (*Responder, error) {
	public, known := group.PublicShare(share.ID())
	if !known {
		return nil, fmt.Errorf("roast: share %d: %w", share.ID(), frost.ErrNotSigner)
	}
	if public != share.Public() {
		return nil, fmt.Errorf("roast: share %d: %w", share.ID(), frost.ErrShareMismatch)
	}
	if options.Lifetime <= 0 {
		options.Lifetime = 10 * time.Minute
	}
	if options.Requests <= 0 {
		options.Requests = 4
	}
	if options.Random == nil {
		options.Random = rand.Reader
	}
	return &Responder{group: group, share: share, options: options}, nil
}

// ID is the participant whose share it is.
func (r *Responder) ID() frost.ID { return r.share.ID() }

// Commit answers a request for nonces. messages is what the signer itself holds to
// be right to sign; the request must be for exactly that. Nonces given out earlier
// for the same request are wiped.
//
// The error is a *RefusalError when the request is for something else, wraps
// ErrMessages, ErrClosed, frost.ErrShareWiped or an error of frost.Group.Tweak, or
// says that randomness failed.
func (r *Responder) Commit(request CommitRequest, messages []Message) ([]frost.PublicNonce, error) {
	own, err := NewRequestID(r.group, messages)
	if err != nil {
		return nil, err
	}
	if own != request.Request || len(messages) != request.Messages {
		return nil, &RefusalError{Reason: fmt.Sprintf("request %v of %d messages is not what this signer would sign: %v of %d",
			request.Request, request.Messages, own, len(messages))}
	}
	kept := make([]Message, len(messages))
	for i, m := range messages {
		kept[i] = Message{Digest: m.Digest, Tweaks: slices.Clone(m.Tweaks)}
	}
	keys, err := tweakAll(r.group, kept)
	if err != nil {
		return nil, fmt.Errorf("roast: %w", err)
	}
	return r.promise(&promise{request: own, messages: kept, keys: keys})
}

// Sign answers in a session, with the nonces that it names, which are then gone,
// and gives out the next. Whoever has to remember durably what was signed does so
// before calling it.
//
// The error wraps ErrNoNonces, ErrClosed, or an error of frost.NewSession or
// Session.Sign. A request that does not fit uses no nonce up.
func (r *Responder) Sign(request SignRequest) (Answer, error) {
	p, err := r.find(request)
	if err != nil {
		return Answer{}, err
	}
	if len(request.Nonces) != len(p.messages) {
		return Answer{}, fmt.Errorf("roast: %w: %d sums for %d messages", frost.ErrAggregateNonce, len(request.Nonces), len(p.messages))
	}
	if !slices.Contains(request.Signers, r.ID()) {
		return Answer{}, fmt.Errorf("roast: %w: %d", frost.ErrNotSigner, r.ID())
	}
	sessions := make([]*frost.Session, len(p.messages))
	err = tryInParallel(len(p.messages), func(i int) (err error) {
		sessions[i], err = frost.NewSession(r.group, frost.SessionParams{Signers: request.Signers,
			AggregateNonce: request.Nonces[i], Tweaked: p.keys[i], Message: p.messages[i].Digest[:]})
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("roast: session %d: %w", request.Session, err)
	}
	if !r.take(p) {
		return Answer{}, ErrNoNonces // another call was faster, or they just expired
	}
	defer p.wipe()
	answer := Answer{Signatures: make([]frost.PartialSignature, len(p.messages))}
	parts := min(runtime.GOMAXPROCS(0), len(p.messages))
	err = tryInParallel(parts, func(part int) error {
		from, to := len(p.messages)*part/parts, len(p.messages)*(part+1)/parts
		signed, err := frost.SignAll(sessions[from:to], p.nonces[from:to], r.share)
		copy(answer.Signatures[from:], signed)
		return err
	})
	if err != nil {
		return Answer{}, fmt.Errorf("roast: session %d: %w", request.Session, err)
	}
	if answer.Next, err = r.promise(&promise{request: p.request, messages: p.messages, keys: p.keys}); err != nil {
		return Answer{}, err
	}
	return answer, nil
}

// Forget wipes the nonces of a request.
func (r *Responder) Forget(request RequestID) {
	r.drop(func(p *promise) bool { return p.request == request })
}

// Close wipes all nonces. The share stays its owner's to wipe.
func (r *Responder) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.drop(func(*promise) bool { return true })
}

// Signer is the responder as a coordinator in the same process asks it, for
// messages that the caller has found right to sign.
func (r *Responder) Signer(messages []Message) Signer {
	return &local{responder: r, messages: messages}
}

// promise makes the nonces of p and keeps the secret halves.
func (r *Responder) promise(p *promise) ([]frost.PublicNonce, error) {
	n := len(p.messages)
	random := make([]byte, 32*n)
	defer clear(random)
	made, err := r.read(random)
	if err != nil {
		return nil, fmt.Errorf("roast: reading randomness: %w", err)
	}
	p.nonces = make([]*frost.SecretNonce, n)
	public := make([]frost.PublicNonce, n)
	err = tryInParallel(n, func(i int) (err error) {
		p.nonces[i], public[i], err = r.generate(bytes.NewReader(random[32*i:]), p, i, made)
		return err
	})
	if err != nil {
		p.wipe()
		return nil, fmt.Errorf("roast: making nonces: %w", err)
	}
	p.commitment = NewCommitmentID(public)
	p.expires = time.Now().Add(r.options.Lifetime).Round(0)
	return public, r.keep(p)
}

// read fills b with randomness and counts the commitment that it is for.
func (r *Responder) read(b []byte) (made uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made++
	_, err = io.ReadFull(r.options.Random, b)
	return r.made, err
}

// generate makes one nonce. What the randomness is mixed with would keep nonces
// apart should a random source repeat itself, as that of a machine started twice
// from one image may.
func (r *Responder) generate(random io.Reader, p *promise, message int, made uint64) (*frost.SecretNonce, frost.PublicNonce, error) {
	extra := binary.BigEndian.AppendUint64(p.request[:], made)
	extra = binary.BigEndian.AppendUint32(extra, uint32(message))
	extra = binary.BigEndian.AppendUint64(extra, uint64(time.Now().UnixNano()))
	key := p.keys[message].Key()
	return frost.NonceGen(random, frost.NonceParams{Share: r.share, Key: &key,
		Message: p.messages[message].Digest[:], Extra: extra})
}

// keep stores a promise in place of what it makes void, in one step.
func (r *Responder) keep(p *promise) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		p.wipe()
		return ErrClosed
	}
	r.dropLocked(func(o *promise) bool { return o.request == p.request })
	r.outstanding = append(r.outstanding, p)
	for len(r.outstanding) > r.options.Requests {
		r.outstanding[0].wipe()
		r.outstanding = slices.Delete(r.outstanding, 0, 1)
	}
	p.timer = time.AfterFunc(r.options.Lifetime, func() {
		r.drop(func(o *promise) bool { return o == p })
	})
	return nil
}

// find is the promise that a session asks to keep, if it has not expired.
func (r *Responder) find(request SignRequest) (*promise, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	for _, p := range r.outstanding {
		if p.request == request.Request && p.commitment == request.Commitment && !p.expired() {
			return p, nil
		}
	}
	return nil, ErrNoNonces
}

// take takes a promise out, to sign with it. It is true for one caller only, and
// for none once the promise has expired, also while find's caller was at work.
func (r *Responder) take(p *promise) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.outstanding, p)
	if i < 0 || p.expired() {
		return false
	}
	r.outstanding = slices.Delete(r.outstanding, i, i+1)
	return true
}

// drop wipes all promises of a kind.
func (r *Responder) drop(which func(*promise) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(which)
}

func (r *Responder) dropLocked(which func(*promise) bool) {
	r.outstanding = slices.DeleteFunc(r.outstanding, func(p *promise) bool {
		gone := which(p)
		if gone {
			p.wipe()
		}
		return gone
	})
}

// expired goes by the wall clock.
func (p *promise) expired() bool { return !time.Now().Round(0).Before(p.expires) }

// wipe makes the nonces unusable, those that were used as well as the others.
func (p *promise) wipe() {
	for _, n := range p.nonces {
		n.Discard()
	}
	if p.timer != nil {
		p.timer.Stop()
	}
}

// local is a Signer without a network.
type local struct {
	responder *Responder
	messages  []Message
}

func (l *local) ID() frost.ID { return l.responder.ID() }

func (l *local) Commit(ctx context.Context, request CommitRequest) ([]frost.PublicNonce, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.responder.Commit(request, l.messages)
}

func (l *local) Sign(ctx context.Context, request SignRequest) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	return l.responder.Sign(request)
}

var _ Signer = (*local)(nil)
