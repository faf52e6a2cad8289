package frost

import (
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// SessionParams fix one signature: who signs, with which nonces, for which key,
// what. Every signer must be given the same.
type SessionParams struct {
	Signers        []ID // any order, t … n of them
	AggregateNonce AggregateNonce
	Tweaks         []Tweak // applied to the group key in this order
	// Tweaked is what Group.Tweak has made of the tweaks; nil lets NewSession do it.
	Tweaked *Tweaked
	Message []byte // any length; 32 bytes for a Bitcoin sighash
}

// Session holds what the rest of a signature needs, computed once: the tweaked
// key, the final nonce, the challenge and the Lagrange coefficients. It is
// immutable and safe for concurrent use.
type Session struct {
	group   *Group
	signers []ID           // ascending
	lambdas []curve.Scalar // by position in signers
	tweak   *tweakContext
	message []byte

	nonce AggregateNonce
	b     curve.Scalar // nonce coefficient
	r     curve.Point  // final nonce, G where the sum is infinity
	e     curve.Scalar // challenge

	// keyFactor is e·g·gacc, what a signer's λ·P is multiplied with.
	keyFactor curve.Scalar
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
	tweaked := p.Tweaked
	if tweaked == nil || tweaked.group != g {
		if tweaked, err = g.Tweak(p.Tweaks); err != nil {
			return nil, err
		}
	}
	r1, r2, ok := p.AggregateNonce.points()
	if !ok {
		return nil, ErrAggregateNonce
	}
	s := &Session{
		group:   g,
		signers: signers,
		lambdas: newBasis(signers).at(secretAt),
		tweak:   tweaked.ctx,
		message: slices.Clone(p.Message),
		nonce:   p.AggregateNonce,
	}
	s.setNonce(&r1, &r2)
	s.setChallenge()
	return s, nil
}

// Key is the x-only key that the session signs for, after all tweaks.
func (s *Session) Key() [32]byte { return curve.XBytes(&s.tweak.q) }

// Signers are the participants of the session, ascending.
func (s *Session) Signers() []ID { return slices.Clone(s.signers) }

// Message is what the session signs.
func (s *Session) Message() []byte { return slices.Clone(s.message) }

// setNonce computes b, and R = R1 + b·R2, or G where that is infinity. The
// signer count inside b dates from revision 0.8.0.
func (s *Session) setNonce(r1, r2 *curve.Point) {
	q := curve.XBytes(&s.tweak.q)
	s.b = curve.HashScalar(tagNonceCoefficient,
		curve.Uint32Bytes(uint32(len(s.signers))), idBytes(s.signers), s.nonce[:], q[:], s.message)
	bR2 := curve.Mul(&s.b, r2)
	s.r = curve.Sum(*r1, bR2)
	if curve.IsInfinity(&s.r) {
		btcec.GeneratorJacobian(&s.r)
		s.r = curve.Affine(s.r)
	}
}

func (s *Session) setChallenge() {
	r, q := curve.XBytes(&s.r), curve.XBytes(&s.tweak.q)
	s.e = curve.HashScalar(tagChallenge, r[:], q[:], s.message)
	g := s.tweak.sign()
	s.keyFactor = s.e
	s.keyFactor.Mul(&g).Mul(&s.tweak.gacc)
}

// lambda is the Lagrange coefficient of a signer at the secret.
func (s *Session) lambda(id ID) (*curve.Scalar, error) {
	i, found := slices.BinarySearch(s.signers, id)
	if !found {
		return nil, fmt.Errorf("%w: participant %d, signers %v", ErrNotSigner, id, s.signers)
	}
	return &s.lambdas[i], nil
}
