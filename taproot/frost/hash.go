package frost

import (
	"crypto/sha256"
	"encoding/binary"
)

// Tags of the tagged hashes (BIP-340, BIP-445 0.12.1).
const (
	tagAux                = "BIP0445/aux"
	tagNonce              = "BIP0445/nonce"
	tagNonceCoefficient   = "BIP0445/noncecoef"
	tagDeterministicNonce = "BIP0445/deterministic/nonce"
	tagChallenge          = "BIP0340/challenge"

	// tagShareCheck is this package's own and never leaves it.
	tagShareCheck = "daobank/frost/shares"
)

// taggedHash is H_tag of BIP-340 over the concatenation of parts.
func taggedHash(tag string, parts ...[]byte) (sum [32]byte) {
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

// hashScalar is taggedHash reduced modulo the group order.
func hashScalar(tag string, parts ...[]byte) (s scalar) {
	sum := taggedHash(tag, parts...)
	s.SetBytes(&sum)
	clear(sum[:])
	return s
}

func uint32Bytes(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

func uint64Bytes(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// withLength1 prefixes b with its length in one byte; b is at most 66 bytes
// long in every use.
func withLength1(b []byte) []byte {
	return append([]byte{byte(len(b))}, b...)
}

// idBytes is the identifiers in ascending order, four bytes big endian each.
func idBytes(sorted []ID) []byte {
	b := make([]byte, 0, 4*len(sorted))
	for _, id := range sorted {
		b = binary.BigEndian.AppendUint32(b, uint32(id))
	}
	return b
}
