package frost

import "fmt"

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
func (s *Session) verifyPartial(id ID, public *point, nonce PublicNonce, signature PartialSignature) error {
	lambda, err := s.lambda(id)
	if err != nil {
		return err
	}
	r1, r2, ok := nonce.points()
	if !ok {
		return &CulpritError{IDs: []ID{id}, Contribution: ContributionPublicNonce, Err: ErrPublicNonce}
	}
	wrong := &CulpritError{IDs: []ID{id}, Contribution: ContributionPartialSignature, Err: ErrPartialSignature}
	response, ok := parseScalar(signature[:])
	if !ok {
		return wrong
	}
	right := mul(&s.b, &r2)
	right = add(&right, &r1)
	if isOdd(&s.r) {
		right = negate(&right)
	}
	var factor scalar
	factor.Mul2(&s.keyFactor, lambda)
	key := mul(&factor, public)
	right = add(&right, &key)
	left := mulBase(&response)
	if !equal(&left, &right) {
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
	p, ok := parsePoint(compressed[:])
	if !ok {
		return ErrSignature
	}
	response, ok := parseScalar(signature[32:])
	if !ok {
		return ErrSignature
	}
	challenge := hashScalar(tagChallenge, signature[:32], key[:], message)
	challenge.Negate()
	r, eP := mulBase(&response), mul(&challenge, &p)
	r = add(&r, &eP)
	// An x at or above the field size equals no x coordinate.
	if isInfinity(&r) || isOdd(&r) || xBytes(&r) != [32]byte(signature[:32]) {
		return ErrSignature
	}
	return nil
}
