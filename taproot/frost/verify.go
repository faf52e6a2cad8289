package frost

import (
	"fmt"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// PartialSigVerify checks one signer's partial signature against its public
// nonce and public share.
//
// The error is a *CulpritError when the participant sent a malformed nonce or a
// wrong signature. It wraps ErrNotSigner or ErrNoPublicShare when the question
// makes no sense in this session, which blames nobody.
func (s *Session) PartialSigVerify(id ID, nonce PublicNonce, signature PartialSignature) error {
	if _, err := s.lambda(id); err != nil {
		return err
	}
	public := s.group.share(id)
	if public == nil {
		return fmt.Errorf("%w: participant %d", ErrNoPublicShare, id)
	}
	return s.verifyPartial(id, public, nonce, signature)
}

// verifyPartial checks s·G = ±(R1 + b·R2) + e·λ·g·gacc·P, the sign by the
// parity of R.
func (s *Session) verifyPartial(id ID, public *curve.Point, nonce PublicNonce, signature PartialSignature) error {
	lambda, err := s.lambda(id)
	if err != nil {
		return err
	}
	r1, r2, ok := nonce.points()
	if !ok {
		return &CulpritError{IDs: []ID{id}, Contribution: ContributionPublicNonce, Err: ErrPublicNonce}
	}
	wrong := &CulpritError{IDs: []ID{id}, Contribution: ContributionPartialSignature, Err: ErrPartialSignature}
	response, ok := curve.ParseScalar(signature[:])
	if !ok {
		return wrong
	}
	right := curve.Mul(&s.b, &r2)
	curve.Accumulate(&right, &r1)
	if curve.IsOdd(&s.r) {
		right = curve.Negate(right)
	}
	var factor curve.Scalar
	factor.Mul2(&s.keyFactor, lambda)
	key := curve.Mul(&factor, public)
	right = curve.Sum(right, key)
	left := curve.MulBase(&response)
	if !curve.Equal(&left, &right) {
		return wrong
	}
	return nil
}

// VerifySignature verifies a BIP-340 signature of a message of any length under
// an x-only key. The error is ErrSignature, for a key that is no point too.
func VerifySignature(key [32]byte, message []byte, signature Signature) error {
	var compressed [PublicKeySize]byte
	compressed[0] = 0x02
	copy(compressed[1:], key[:])
	p, ok := curve.ParsePoint(compressed[:])
	if !ok {
		return ErrSignature
	}
	response, ok := curve.ParseScalar(signature[32:])
	if !ok {
		return ErrSignature
	}
	challenge := curve.HashScalar(tagChallenge, signature[:32], key[:], message)
	challenge.Negate()
	r, eP := curve.MulBase(&response), curve.Mul(&challenge, &p)
	r = curve.Sum(r, eP)
	// An x at or above the field size equals no x coordinate.
	if curve.IsInfinity(&r) || curve.IsOdd(&r) || curve.XBytes(&r) != [32]byte(signature[:32]) {
		return ErrSignature
	}
	return nil
}
