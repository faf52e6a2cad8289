package frost

import (
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
)

// SessionParams fix one signature: who signs, with which nonces, for which key,
// what. Every signer must be given the same.
type SessionParams struct {
	Signers        []ID // any order, t … n of them
	AggregateNonce AggregateNonce
	Tweaks         []Tweak // applied to the group key in this order
	Message        []byte  // any length; 32 bytes for a Bitcoin sighash
}

// Session holds what the rest of a signature needs, computed once: the tweaked
// key, the final nonce, the challenge and the Lagrange coefficients. It is
// immutable and safe for concurrent use.
type Session struct {
	group   *Group
	signers []ID     // ascending
	lambdas []scalar // by position in signers
	tweak   *tweakContext
	message []byte

	nonce AggregateNonce
	b     scalar // nonce coefficient
	r     point  // final nonce, G where the sum is infinity
	e     scalar // challenge

	// keyFactor is e·g·gacc, what a signer's λ·P is multiplied with.
	keyFactor scalar
}

// NewSession is ValidateSessionParams and GetSessionValues of BIP-445. The
// error wraps ErrSignerSet, ErrTweakRange, ErrTweakInfinity or
// ErrAggregateNonce; a bad aggregate nonce is its sender's fault, the
// coordinator's.
func NewSession(g *Group, p SessionParams) (*Session, error) {
	signers, err := g.sortedSigners(p.Signers)
	if err != nil {
		return nil, err
	}
	tweak, err := newTweakContext(g.key, p.Tweaks)
	if err != nil {
		return nil, err
	}
	r1, r2, ok := p.AggregateNonce.points()
	if !ok {
		return nil, ErrAggregateNonce
	}
	s := &Session{
		group:   g,
		signers: signers,
		lambdas: newBasis(signers).at(secretAt),
		tweak:   tweak,
		message: slices.Clone(p.Message),
		nonce:   p.AggregateNonce,
	}
	s.setNonce(&r1, &r2)
	s.setChallenge()
	return s, nil
}

// Key is the x-only key that the session signs for, after all tweaks.
func (s *Session) Key() [32]byte { return xBytes(&s.tweak.q) }

// Signers are the participants of the session, ascending.
func (s *Session) Signers() []ID { return slices.Clone(s.signers) }

// Message is what the session signs.
func (s *Session) Message() []byte { return slices.Clone(s.message) }

// setNonce computes b, and R = R1 + b·R2, or G where that is infinity. The
// signer count inside b dates from revision 0.8.0.
func (s *Session) setNonce(r1, r2 *point) {
	q := xBytes(&s.tweak.q)
	s.b = hashScalar(tagNonceCoefficient,
		uint32Bytes(uint32(len(s.signers))), idBytes(s.signers), s.nonce[:], q[:], s.message)
	bR2 := mul(&s.b, r2)
	s.r = add(r1, &bR2)
	if isInfinity(&s.r) {
		btcec.GeneratorJacobian(&s.r)
		s.r = affine(s.r)
	}
}

func (s *Session) setChallenge() {
	r, q := xBytes(&s.r), xBytes(&s.tweak.q)
	s.e = hashScalar(tagChallenge, r[:], q[:], s.message)
	g := s.tweak.sign()
	s.keyFactor = s.e
	s.keyFactor.Mul(&g).Mul(&s.tweak.gacc)
}

// lambda is the Lagrange coefficient of a signer at the secret.
func (s *Session) lambda(id ID) (*scalar, error) {
	i, found := slices.BinarySearch(s.signers, id)
	if !found {
		return nil, fmt.Errorf("%w: participant %d, signers %v", ErrNotSigner, id, s.signers)
	}
	return &s.lambdas[i], nil
}
