package quorum

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/taproot"
)

// separateSession: each guardian signs for itself, in one round.
type separateSession struct {
	quorum     *Quorum
	message    [32]byte
	signers    []int
	signatures map[int][]byte
}

func newSeparateSession(q *Quorum, path taproot.Path, message [32]byte) *separateSession {
	return &separateSession{quorum: q, message: message, signers: path.Signers(), signatures: make(map[int][]byte)}
}

func (s *separateSession) Commit(int) error { return nil }
func (s *separateSession) Prepare() error   { return nil }
func (s *separateSession) Enter(int) error  { return nil }

// Sign verifies the signature before it is released, as frost's Sign does.
func (s *separateSession) Sign(signer int) error {
	signature, err := schnorr.Sign(s.quorum.keys[signer], s.message[:])
	if err != nil {
		return err
	}
	s.signatures[signer] = signature.Serialize()
	return nil
}

// Finish verifies every signature: each is one that the chain will see.
func (s *separateSession) Finish() (map[int][]byte, error) {
	if len(s.signatures) != len(s.signers) {
		return nil, fmt.Errorf("quorum: %d of %d signatures", len(s.signatures), len(s.signers))
	}
	for signer, b := range s.signatures {
		signature, err := schnorr.ParseSignature(b)
		if err != nil {
			return nil, fmt.Errorf("quorum: signature of guardian %d: %w", signer, err)
		}
		if !signature.Verify(s.message[:], s.quorum.keys[signer].PubKey()) {
			return nil, fmt.Errorf("quorum: signature of guardian %d does not verify", signer)
		}
	}
	return s.signatures, nil
}

// Traffic: each signer is sent the message and answers with a signature.
func (s *separateSession) Traffic() int {
	return len(s.signatures) * (32 + schnorr.SignatureSize)
}

var _ Session = (*separateSession)(nil)
