package chilldkg

import (
	"github.com/daobank/daobank/taproot/frost"

	"github.com/daobank/daobank/taproot/internal/curve"
)

// A certificate is everyone's signature of the transcript. Who holds one knows
// that all have the same transcript, and can convince any of them.

// signedHeader is the beginning of a message that a host key signs: the purpose,
// padded to 33 bytes as BIP-340 advises, and the signer. The transcript holds all
// host keys in full, so their parity is signed too.
func signedHeader(prefix string, id frost.ID) []byte {
	b := make([]byte, 33, 37)
	copy(b, prefix)
	return append(b, curve.Uint32Bytes(uint32(id))...)
}

// certify signs the transcript as participant id. The error is ErrSelfCheck.
func certify(host *curve.Scalar, id frost.ID, aux [32]byte, transcript []byte) (signature, error) {
	return bip340.sign(host, aux, signedHeader(prefixCertificate, id), transcript)
}

// verifyCertificate gives the first participant whose signature is invalid.
func (s *session) verifyCertificate(transcript []byte, certificate []signature) (faulty frost.ID, ok bool) {
	for i := range certificate {
		id := frost.ID(i)
		if !bip340.verify(&s.keys[i], certificate[i], signedHeader(prefixCertificate, id), transcript) {
			return id, false
		}
	}
	return 0, true
}
