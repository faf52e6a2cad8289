package curve

import (
	"crypto/sha256"
	"encoding/binary"
)

// TaggedHash is H_tag of BIP-340 over the concatenation of parts. Unlike btcd's it
// leaves no copy of the hash on the heap: some hashes are secret.
func TaggedHash(tag string, parts ...[]byte) (sum [32]byte) {
	prefix := sha256.Sum256([]byte(tag))
	h := sha256.New()
	h.Write(prefix[:])
	h.Write(prefix[:])
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// HashScalar is TaggedHash reduced modulo the group order.
func HashScalar(tag string, parts ...[]byte) (s Scalar) {
	s, _ = HashScalarChecked(tag, parts...)
	return s
}

// HashScalarChecked is HashScalar that says whether the hash was below the group
// order. No hash that anyone finds is not.
func HashScalarChecked(tag string, parts ...[]byte) (s Scalar, ok bool) {
	sum := TaggedHash(tag, parts...)
	overflow := s.SetBytes(&sum)
	clear(sum[:])
	return s, overflow == 0
}

// Uint32Bytes is v as all hashes here take it: four bytes, big endian.
func Uint32Bytes(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
