package frost

import "encoding/binary"

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
