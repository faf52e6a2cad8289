package bip340

import (
	"crypto/sha256"
	"encoding"
	"hash"

	"github.com/daobank/daobank/bip340/internal/secp256k1"
)

// challengeState is the state of SHA-256 after the 64 bytes with which every
// hash tagged "BIP0340/challenge" begins (BIP-340, "Tagged Hashes").
var challengeState = func() []byte {
	tag := sha256.Sum256([]byte("BIP0340/challenge"))
	h := sha256.New()
	h.Write(tag[:])
	h.Write(tag[:])
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // crypto/sha256 promises that there is none
	}
	return state
}()

// A challenger hashes challenges, one after the other, without allocating.
type challenger struct {
	hash hash.Hash
	sum  [32]byte
}

func newChallenger() *challenger { return &challenger{hash: sha256.New()} }

// challenge sets e to the hash of R, P and the message, modulo the order.
func (c *challenger) challenge(e *secp256k1.Scalar, item *Item) {
	if err := c.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(challengeState); err != nil {
		panic(err) // it is a state of the same hash
	}
	c.hash.Write(item.Signature[:32])
	c.hash.Write(item.Key[:])
	c.hash.Write(item.Message)
	e.SetBytes((*[32]byte)(c.hash.Sum(c.sum[:0])))
}
