package frost

import (
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
	k1, k2, public, err := nonce.take()
	if err != nil {
		return PartialSignature{}, err
	}
	defer k1.Zero()
	defer k2.Zero()
	secret, err := share.read()
	if err != nil {
		return PartialSignature{}, err
	}
	defer secret.Zero()
	lambda, err := s.lambda(share.id)
	if err != nil {
		return PartialSignature{}, err
	}
	if known := s.group.share(share.id); known != nil && !curve.Equal(known, &share.public) {
		return PartialSignature{}, fmt.Errorf("%w: participant %d", ErrShareMismatch, share.id)
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

	signature := PartialSignature(response.Bytes())
	if err := s.verifyPartial(share.id, &share.public, public, signature); err != nil {
		return PartialSignature{}, fmt.Errorf("%w: %w", ErrSelfCheck, err)
	}
	return signature, nil
}
