package frost

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Sign is round two: it consumes the secret nonce and returns the partial
// signature of share's participant, which it has verified. The nonce is gone
// even when an error is returned.
//
// The error wraps ErrNonceUsed, ErrShareWiped, ErrNotSigner, ErrShareMismatch
// or ErrSelfCheck.
func (s *Session) Sign(nonce *SecretNonce, share *Share) (PartialSignature, error) {
	signature, public, err := s.sign(nonce, share)
	if err != nil {
		return PartialSignature{}, err
	}
	if err := s.verifyPartial(share.id, &share.public, public, signature); err != nil {
		return PartialSignature{}, fmt.Errorf("%w: %w", ErrSelfCheck, err)
	}
	return signature, nil
}

// SignAll is Sign in several sessions, in each with a nonce of its own. It verifies
// what it has made by one equation, which takes a third of the time. All nonces are
// gone even when an error is returned.
func SignAll(sessions []*Session, nonces []*SecretNonce, share *Share) ([]PartialSignature, error) {
	signatures, public := make([]PartialSignature, len(sessions)), make([]PublicNonce, len(sessions))
	var failed error
	for i, s := range sessions {
		var err error
		if signatures[i], public[i], err = s.sign(nonces[i], share); err != nil && failed == nil {
			failed = fmt.Errorf("session %d: %w", i, err)
		}
	}
	if failed != nil {
		return nil, failed
	}
	if verifyTogether(sessions, share, public, signatures) {
		return signatures, nil
	}
	for i, s := range sessions {
		if err := s.verifyPartial(share.id, &share.public, public[i], signatures[i]); err != nil {
			return nil, fmt.Errorf("session %d: %w: %w", i, ErrSelfCheck, err)
		}
	}
	return nil, ErrSelfCheck // the equation itself was computed wrongly
}

// sign makes a partial signature and does not verify it.
func (s *Session) sign(nonce *SecretNonce, share *Share) (PartialSignature, PublicNonce, error) {
	fail := func(err error) (PartialSignature, PublicNonce, error) { return PartialSignature{}, PublicNonce{}, err }
	k1, k2, public, err := nonce.take()
	if err != nil {
		return fail(err)
	}
	defer k1.Zero()
	defer k2.Zero()
	secret, err := share.read()
	if err != nil {
		return fail(err)
	}
	defer secret.Zero()
	lambda, err := s.lambda(share.id)
	if err != nil {
		return fail(err)
	}
	if known := s.group.share(share.id); known != nil && !curve.Equal(known, &share.public) {
		return fail(fmt.Errorf("%w: participant %d", ErrShareMismatch, share.id))
	}

	// s = k1 + b·k2 + e·λ·g·gacc·d', with both nonces negated for an odd R.
	var response, key curve.Scalar
	response.Mul2(&s.b, &k2).Add(&k1)
	if curve.IsOdd(&s.r) {
		response.Negate()
	}
	key.Mul2(&s.keyFactor, lambda).Mul(&secret)
	response.Add(&key)
	key.Zero()

	return PartialSignature(response.Bytes()), public, nil
}

// verifyTogether is verifyPartial for all of a signer's parts at once: the equations,
// each times a factor of 128 bits that the parts themselves choose, added up. A part
// that went wrong by accident, which is what this is for, does not choose well.
func verifyTogether(sessions []*Session, share *Share, nonces []PublicNonce, signatures []PartialSignature) bool {
	all := sha256.New()
	for _, signature := range signatures {
		all.Write(signature[:])
	}
	seed := all.Sum(nil)
	var left, key curve.Scalar // of the base point, and of the signer's public share
	scalars, points := make([]curve.Scalar, 0, 2*len(sessions)), make([]curve.Point, 0, 2*len(sessions))
	for i, s := range sessions {
		r1, r2, ok := nonces[i].points()
		response, inRange := curve.ParseScalar(signatures[i][:])
		lambda, err := s.lambda(share.id)
		if !ok || !inRange || err != nil {
			return false
		}
		factor := sha256.Sum256(binary.BigEndian.AppendUint32(seed, uint32(i)))
		clear(factor[:16])
		var z, term curve.Scalar
		z.SetBytes(&factor)
		left.Add(response.Mul(&z))
		term.Mul2(&s.keyFactor, lambda).Mul(&z)
		key.Add(&term)
		if curve.IsOdd(&s.r) { // negated points, so that the factor stays short
			r1, r2 = curve.Negate(r1), curve.Negate(r2)
		}
		term.Mul2(&z, &s.b)
		scalars, points = append(scalars, z, term), append(points, r1, r2)
	}
	right := multiExp(append(scalars, key), append(points, share.public))
	want := curve.MulBase(&left)
	return curve.Equal(&want, &right)
}
