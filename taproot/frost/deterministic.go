package frost

import (
	"fmt"
	"slices"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// DeterministicParams fix a deterministic signature. The signer that uses it
// answers last, when the others' nonces are known.
type DeterministicParams struct {
	Signers []ID
	// OtherNonces is the sum of all other signers' public nonces; nil exactly
	// when the signer is alone.
	OtherNonces *AggregateNonce
	Tweaks      []Tweak
	Message     []byte
	// Aux is fresh randomness where there is any; nil is not the same as zeros.
	Aux *[32]byte
}

// DeterministicSign makes nonce and partial signature in one stateless step.
// One signer of a session may do so; all others use NonceGen.
//
// The error is as of NewSession and Sign.
func (g *Group) DeterministicSign(share *Share, p DeterministicParams) (PublicNonce, PartialSignature, error) {
	fail := func(err error) (PublicNonce, PartialSignature, error) {
		return PublicNonce{}, PartialSignature{}, err
	}
	signers, err := g.sortedSigners(p.Signers)
	if err != nil {
		return fail(err)
	}
	if (p.OtherNonces != nil) != (len(signers) > 1) {
		return fail(fmt.Errorf("%w: the others' nonce must be given exactly when there are others", ErrAggregateNonce))
	}
	tweak, err := newTweakContext(g.key, p.Tweaks)
	if err != nil {
		return fail(err)
	}
	secret, err := share.read()
	if err != nil {
		return fail(err)
	}
	defer secret.Zero()
	nonce, public, err := deterministicNonce(&secret, share.id, signers, tweak, p)
	if err != nil {
		return fail(err)
	}
	defer nonce.Discard()
	aggregate, err := addOwnNonce(public, p.OtherNonces)
	if err != nil {
		return fail(err)
	}
	session, err := NewSession(g, SessionParams{
		Signers: signers, AggregateNonce: aggregate, Tweaks: p.Tweaks, Message: p.Message,
	})
	if err != nil {
		return fail(err)
	}
	signature, err := session.Sign(nonce, share)
	if err != nil {
		return fail(err)
	}
	return public, signature, nil
}

// deterministicNonce hashes the tweaked share d = g·gacc·d' with everything
// that the signature depends on (revision 0.11.0).
func deterministicNonce(
	secret *curve.Scalar, id ID, signers []ID, tweak *tweakContext, p DeterministicParams,
) (*SecretNonce, PublicNonce, error) {
	d := tweak.sign()
	d.Mul(&tweak.gacc).Mul(secret)
	seed := d.Bytes()
	d.Zero()
	defer clear(seed[:])
	if p.Aux != nil {
		mask := curve.TaggedHash(tagAux, p.Aux[:])
		for i := range seed {
			seed[i] ^= mask[i]
		}
	}
	var others []byte
	if p.OtherNonces != nil {
		others = p.OtherNonces[:]
	}
	q := curve.XBytes(&tweak.q)
	context := slices.Concat(curve.Uint32Bytes(uint32(id)), curve.Uint32Bytes(uint32(len(signers))), idBytes(signers),
		withLength1(others), q[:], uint64Bytes(uint64(len(p.Message))), p.Message)
	var k [2]curve.Scalar // newSecretNonce wipes it
	for j := range k {
		k[j] = curve.HashScalar(tagDeterministicNonce, seed[:], context, []byte{byte(j)})
	}
	return newSecretNonce(&k)
}

// addOwnNonce is NonceAgg of two. Like there, infinity is refused in the
// others' nonce: honest nonces do not cancel.
func addOwnNonce(own PublicNonce, others *AggregateNonce) (AggregateNonce, error) {
	if others == nil {
		return AggregateNonce(own), nil
	}
	a1, a2, ok := own.points()
	b1, b2, otherOK := PublicNonce(*others).points()
	if !ok || !otherOK {
		return AggregateNonce{}, ErrAggregateNonce
	}
	r1, r2 := curve.Sum(a1, b1), curve.Sum(a2, b2)
	return joinPoints(&r1, &r2), nil
}
