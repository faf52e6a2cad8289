package quorum

import (
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// frostSession is BIP-445.
type frostSession struct {
	quorum  *Quorum
	out     taproot.Output
	message [32]byte
	signers []frost.ID

	secrets   map[frost.ID]*frost.SecretNonce
	nonces    map[frost.ID]frost.PublicNonce
	aggregate frost.AggregateNonce
	sessions  map[frost.ID]*frost.Session
	session   *frost.Session // the coordinator's
	parts     map[frost.ID]frost.PartialSignature
}

func newFrostSession(q *Quorum, path taproot.Path, out taproot.Output, message [32]byte) *frostSession {
	s := &frostSession{quorum: q, out: out, message: message,
		secrets:  make(map[frost.ID]*frost.SecretNonce),
		nonces:   make(map[frost.ID]frost.PublicNonce),
		sessions: make(map[frost.ID]*frost.Session),
		parts:    make(map[frost.ID]frost.PartialSignature)}
	for _, signer := range path.Signers() {
		s.signers = append(s.signers, frost.ID(signer))
	}
	return s
}

func (s *frostSession) Commit(signer int) error {
	secret, public, err := frost.NonceGen(nil, frost.NonceParams{
		Share: s.quorum.shares[signer], Key: &s.out.OutputKey, Message: s.message[:]})
	if err != nil {
		return err
	}
	s.secrets[frost.ID(signer)], s.nonces[frost.ID(signer)] = secret, public
	return nil
}

func (s *frostSession) Prepare() (err error) {
	if s.aggregate, err = frost.NonceAgg(s.nonces); err != nil {
		return err
	}
	s.session, err = s.newSession()
	return err
}

func (s *frostSession) Enter(signer int) (err error) {
	s.sessions[frost.ID(signer)], err = s.newSession()
	return err
}

func (s *frostSession) newSession() (*frost.Session, error) {
	return frost.NewSession(s.quorum.group, frost.SessionParams{
		Signers: s.signers, AggregateNonce: s.aggregate, Tweaks: s.out.Tweaks, Message: s.message[:]})
}

func (s *frostSession) Sign(signer int) error {
	id := frost.ID(signer)
	part, err := s.sessions[id].Sign(s.secrets[id], s.quorum.shares[signer])
	if err != nil {
		return err
	}
	s.parts[id] = part
	return nil
}

func (s *frostSession) Finish() (map[int][]byte, error) {
	signature, err := s.session.Aggregate(s.parts, s.nonces)
	if err != nil {
		return nil, err
	}
	return map[int][]byte{taproot.Joint: signature[:]}, nil
}

// Traffic: each signer sends its nonce and its part; the coordinator sends each
// the aggregate nonce, the signer set (four bytes each) and the message.
func (s *frostSession) Traffic() int {
	const part, message = frost.PartialSignatureSize, 32
	down := len(s.sessions) * (frost.PublicNonceSize + 4*len(s.signers) + message)
	return len(s.nonces)*frost.PublicNonceSize + down + len(s.parts)*part
}

var _ Session = (*frostSession)(nil)
