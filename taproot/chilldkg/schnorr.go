package chilldkg

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/daobank/daobank/taproot/frost"
)

// signatureSize is the length of a signature in bytes.
const signatureSize = frost.SignatureSize

type signature = [signatureSize]byte

// scheme is BIP-340 with its own tags, so that a signature of one scheme never
// is one of another.
type scheme struct{ aux, nonce, challenge string }

var (
	// bip340 signs with host keys. Its messages begin with a prefix of 33 bytes.
	bip340 = scheme{aux: "BIP0340/aux", nonce: "BIP0340/nonce", challenge: "BIP0340/challenge"}
	// possession proves that a participant knows the secret it commits to.
	possession = scheme{
		aux:       "BIP DKG/pop message/aux",
		nonce:     "BIP DKG/pop message/nonce",
		challenge: "BIP DKG/pop message/challenge",
	}
)

// sign signs the concatenation of message by BIP-340's default algorithm, and
// verifies before it returns. The error is ErrSelfCheck.
func (s scheme) sign(secret *scalar, aux [32]byte, message ...[]byte) (signature, error) {
	key := mulBase(secret)
	d := *secret
	defer d.Zero()
	if key.Y.IsOdd() {
		d.Negate()
	}
	public := *key.X.Bytes()
	seed := d.Bytes()
	defer clear(seed[:])
	mask := taggedHash(s.aux, aux[:])
	for i := range seed {
		seed[i] ^= mask[i]
	}
	k := hashScalar(s.nonce, append([][]byte{seed[:], public[:]}, message...)...)
	defer k.Zero()
	r := mulBase(&k)
	if r.Y.IsOdd() {
		k.Negate()
	}
	var sig signature
	r.X.PutBytesUnchecked(sig[:32])
	e := hashScalar(s.challenge, append([][]byte{sig[:32], public[:]}, message...)...)
	e.Mul(&d).Add(&k)
	e.PutBytesUnchecked(sig[32:])
	if !s.verify(&key, sig, message...) {
		return signature{}, ErrSelfCheck
	}
	return sig, nil
}

// verify checks a signature of the concatenation of message under the x
// coordinate of key.
func (s scheme) verify(key *point, sig signature, message ...[]byte) bool {
	response, ok := parseScalar(sig[32:])
	if !ok || isInfinity(key) {
		return false
	}
	p := evenY(*key)
	public := *p.X.Bytes()
	e := hashScalar(s.challenge, append([][]byte{sig[:32], public[:]}, message...)...)
	e.Negate()
	// An x in the signature at or above the field size equals no x coordinate.
	r := mul(&e, &p)
	base := mulBase(&response)
	accumulate(&r, &base)
	r = affine(r)
	return !isInfinity(&r) && !r.Y.IsOdd() && *r.X.Bytes() == [32]byte(sig[:32])
}

// draw reads 32 bytes; random nil means crypto/rand.
func draw(random io.Reader) (b [32]byte, err error) {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return [32]byte{}, fmt.Errorf("chilldkg: reading randomness: %w", err)
	}
	return b, nil
}
