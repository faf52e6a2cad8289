package chilldkg

import (
	"crypto/sha256"
	"encoding/binary"
)

// Tags of the tagged hashes, and prefixes of signed messages.
const (
	tagParams      = "BIP DKG/params_hash"
	tagSeed        = "BIP DKG/encpedpop seed"
	tagAux         = "BIP DKG/simplpedpop aux"
	tagSecretNonce = "BIP DKG/encpedpop secnonce"
	tagECDH        = "BIP DKG/encpedpop ecdh"
	tagSelfPad     = "BIP DKG/encaps_multi self_pad"
	tagCoefficient = "BIP DKG/vss coeffs"
	tagTapTweak    = "TapTweak" // BIP-341

	prefixCertificate     = "BIP DKG/certeq message"
	prefixAcknowledgement = "BIP DKG/recovery acknowledgment"
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
	s, _ = hashScalarChecked(tag, parts...)
	return s
}

// hashScalarChecked is hashScalar that says whether the hash was below the group
// order. No hash that anyone finds is not.
func hashScalarChecked(tag string, parts ...[]byte) (s scalar, ok bool) {
	sum := taggedHash(tag, parts...)
	overflow := s.SetBytes(&sum)
	clear(sum[:])
	return s, overflow == 0
}

func uint32Bytes(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
