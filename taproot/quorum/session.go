package quorum

import (
	"github.com/daobank/daobank/taproot"
)

// Session is one signature of one message, step by step as between guardians on
// several machines. Commit comes first, once for each signer; then Prepare; then
// Sign, once for each signer; then Finish.
type Session interface {
	// Commit is round one of a guardian: its nonces. Schemes without rounds do
	// nothing here.
	Commit(signer int) error
	// Prepare is what the coordinator does between the rounds.
	Prepare() error
	// Enter is what a guardian computes of a session once, before it signs: the
	// session values of BIP-445, the key aggregation of BIP-327.
	Enter(signer int) error
	// Sign is round two of a guardian: its signature or its part of one.
	Sign(signer int) error
	// Finish gives the signatures as taproot.Path.Witness takes them, verified.
	Finish() (map[int][]byte, error)
	// Traffic is what coordinator and guardians have sent one another so far, in
	// bytes, each message counted for each receiver and without framing.
	Traffic() int
}

// NewSession begins a signature of message for one output of the vault.
func (q *Quorum) NewSession(path taproot.Path, out taproot.Output, message [32]byte) Session {
	switch {
	case path.Separate():
		return newSeparateSession(q, path, message)
	case q.group != nil:
		return newFrostSession(q, path, out, message)
	}
	return newMuSig2Session(q, path, out, message)
}

// Run takes a session through all its steps.
func Run(s Session, signers []int) (map[int][]byte, error) {
	for _, signer := range signers {
		if err := s.Commit(signer); err != nil {
			return nil, err
		}
	}
	if err := s.Prepare(); err != nil {
		return nil, err
	}
	for _, signer := range signers {
		if err := s.Enter(signer); err != nil {
			return nil, err
		}
		if err := s.Sign(signer); err != nil {
			return nil, err
		}
	}
	return s.Finish()
}
