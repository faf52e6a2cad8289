package frost

import (
	"errors"
	"fmt"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// Aggregate adds the partial signatures of all signers to one signature and
// returns it only if it verifies. Checking one sum is cheaper than checking
// each part, so the parts are checked only when the sum is wrong: then the
// *CulpritError names exactly those whose part does not verify.
//
// nonces are the signers' public nonces of round one; without them, or without
// public shares in the group, the error wraps ErrSignature and
// ErrBlameUncertain. The same two come back when every part is right: then the
// aggregate nonce is not the sum of the nonces, or that sum is infinity. ErrSignerSet says that a
// signature is missing or comes from outside the signer set.
func (s *Session) Aggregate(signatures map[ID]PartialSignature, nonces map[ID]PublicNonce) (Signature, error) {
	signature, err := s.PartialSigAgg(signatures)
	if err != nil {
		return Signature{}, err
	}
	if err := VerifySignature(s.Key(), s.message, signature); err != nil {
		return Signature{}, s.blame(signatures, nonces)
	}
	return signature, nil
}

// PartialSigAgg is the sum alone, as BIP-445 has it, not verified: it blames
// only a partial signature that is out of range. Most callers want Aggregate.
func (s *Session) PartialSigAgg(signatures map[ID]PartialSignature) (Signature, error) {
	if len(signatures) != len(s.signers) {
		return Signature{}, fmt.Errorf("%w: %d partial signatures of %d signers", ErrSignerSet, len(signatures), len(s.signers))
	}
	var culprits []ID
	g := s.tweak.sign()
	var sum curve.Scalar
	sum.Mul2(&s.e, &g).Mul(&s.tweak.tacc)
	for _, id := range s.signers {
		part, found := signatures[id]
		if !found {
			return Signature{}, fmt.Errorf("%w: no partial signature of participant %d", ErrSignerSet, id)
		}
		response, ok := curve.ParseScalar(part[:])
		if !ok {
			culprits = append(culprits, id)
			continue
		}
		sum.Add(&response)
	}
	if culprits != nil {
		return Signature{}, &CulpritError{IDs: culprits, Contribution: ContributionPartialSignature, Err: ErrPartialSignature}
	}
	var signature Signature
	r := curve.XBytes(&s.r)
	copy(signature[:32], r[:])
	sum.PutBytesUnchecked(signature[32:])
	return signature, nil
}

// blame finds who made the sum wrong. A malformed nonce is named before a wrong
// signature: it was sent first.
func (s *Session) blame(signatures map[ID]PartialSignature, nonces map[ID]PublicNonce) error {
	var badNonce, badSignature []ID
	uncertain := fmt.Errorf("%w, %w", ErrSignature, ErrBlameUncertain)
	for _, id := range s.signers {
		nonce, found := nonces[id]
		if !found {
			return fmt.Errorf("%w: no public nonce of participant %d given", uncertain, id)
		}
		err := s.PartialSigVerify(id, nonce, signatures[id])
		var culprit *CulpritError
		switch {
		case err == nil:
		case !errors.As(err, &culprit):
			return fmt.Errorf("%w: %w", uncertain, err)
		case culprit.Contribution == ContributionPublicNonce:
			badNonce = append(badNonce, id)
		default:
			badSignature = append(badSignature, id)
		}
	}
	switch {
	case badNonce != nil:
		return &CulpritError{IDs: badNonce, Contribution: ContributionPublicNonce, Err: ErrPublicNonce}
	case badSignature != nil:
		return &CulpritError{IDs: badSignature, Contribution: ContributionPartialSignature, Err: ErrPartialSignature}
	}
	return fmt.Errorf("%w: the aggregate nonce is not the sum of the public nonces, or is infinity", uncertain)
}
