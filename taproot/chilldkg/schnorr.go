package chilldkg

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
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
func (s scheme) sign(secret *curve.Scalar, aux [32]byte, message ...[]byte) (signature, error) {
	key := curve.MulBase(secret)
	d := *secret
	defer d.Zero()
	if curve.IsOdd(&key) {
		d.Negate()
	}
	public := curve.XBytes(&key)
	seed := d.Bytes()
	defer clear(seed[:])
	mask := curve.TaggedHash(s.aux, aux[:])
	for i := range seed {
		seed[i] ^= mask[i]
	}
	k := curve.HashScalar(s.nonce, append([][]byte{seed[:], public[:]}, message...)...)
	defer k.Zero()
	r := curve.MulBase(&k)
	if curve.IsOdd(&r) {
		k.Negate()
	}
	var sig signature
	r.X.PutBytesUnchecked(sig[:32])
	e := curve.HashScalar(s.challenge, append([][]byte{sig[:32], public[:]}, message...)...)
	e.Mul(&d).Add(&k)
	e.PutBytesUnchecked(sig[32:])
	if !s.verify(&key, sig, message...) {
		return signature{}, ErrSelfCheck
	}
	return sig, nil
}

// verify checks a signature of the concatenation of message under the x
// coordinate of key.
func (s scheme) verify(key *curve.Point, sig signature, message ...[]byte) bool {
	response, ok := curve.ParseScalar(sig[32:])
	if !ok || curve.IsInfinity(key) {
		return false
	}
	p := evenY(*key)
	public := curve.XBytes(&p)
	e := curve.HashScalar(s.challenge, append([][]byte{sig[:32], public[:]}, message...)...)
	e.Negate()
	// An x in the signature at or above the field size equals no x coordinate.
	r := curve.Mul(&e, &p)
	base := curve.MulBase(&response)
	curve.Accumulate(&r, &base)
	r = curve.Affine(r)
	return !curve.IsInfinity(&r) && !curve.IsOdd(&r) && curve.XBytes(&r) == [32]byte(sig[:32])
}

// evenY is p or −p, whichever has an even y: the point that BIP-340 takes the x
// coordinate to mean.
func evenY(p curve.Point) curve.Point {
	if curve.IsOdd(&p) {
		return curve.Negate(p)
	}
	return p
}

// draw fills b, which the caller wipes, and wipes it itself on failure; random nil
// means crypto/rand. It reads into the caller's memory so that no copy is left.
func draw(random io.Reader, b *[32]byte) error {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, b[:]); err != nil {
		clear(b[:])
		return fmt.Errorf("chilldkg: reading randomness: %w", err)
	}
	return nil
}
