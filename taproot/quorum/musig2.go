package quorum

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr/musig2"
	"github.com/lightningnetwork/lnd/input"

	"github.com/daobank/daobank/taproot"
)

// muSig2Session is BIP-327 by lnd's sessions. A guardian's session aggregates
// the keys; the coordinator, who holds no key, lets the first signer's session
// combine.
type muSig2Session struct {
	quorum  *Quorum
	message [32]byte
	signers []int
	keys    []*btcec.PublicKey
	tweaks  *input.MuSig2Tweaks

	nonces   map[int]*musig2.Nonces
	sessions map[int]input.MuSig2Session
	parts    map[int]*musig2.PartialSignature
}

func newMuSig2Session(q *Quorum, path taproot.Path, out taproot.Output, message [32]byte) *muSig2Session {
	s := &muSig2Session{quorum: q, message: message, signers: path.Signers(), tweaks: &input.MuSig2Tweaks{},
		nonces:   make(map[int]*musig2.Nonces),
		sessions: make(map[int]input.MuSig2Session),
		parts:    make(map[int]*musig2.PartialSignature)}
	for _, signer := range s.signers {
		s.keys = append(s.keys, q.keys[signer].PubKey())
	}
	if path.ByKey() { // the keys of leaves are not derived
		for _, tweak := range out.Tweaks {
			s.tweaks.GenericTweaks = append(s.tweaks.GenericTweaks,
				musig2.KeyTweakDesc{Tweak: tweak.Value, IsXOnly: tweak.XOnly})
		}
	}
	return s
}

func (s *muSig2Session) Commit(signer int) (err error) {
	key := s.quorum.keys[signer]
	s.nonces[signer], err = musig2.GenNonces(musig2.WithPublicKey(key.PubKey()), musig2.WithNonceSecretKeyAux(key))
	return err
}

// Prepare does nothing: lnd's sessions each sum the nonces themselves.
func (s *muSig2Session) Prepare() error { return nil }

func (s *muSig2Session) Enter(signer int) error {
	_, session, err := input.MuSig2CreateContext(input.MuSig2Version100RC2, s.quorum.keys[signer], s.keys,
		s.tweaks, s.nonces[signer])
	if err != nil {
		return err
	}
	for _, other := range s.signers {
		if other == signer {
			continue
		}
		if _, err := session.RegisterPubNonce(s.nonces[other].PubNonce); err != nil {
			return fmt.Errorf("quorum: nonce of guardian %d: %w", other, err)
		}
	}
	s.sessions[signer] = session
	return nil
}

func (s *muSig2Session) Sign(signer int) (err error) {
	s.parts[signer], err = input.MuSig2Sign(s.sessions[signer], s.message, true)
	return err
}

func (s *muSig2Session) Finish() (map[int][]byte, error) {
	combiner := s.sessions[s.signers[0]]
	for _, signer := range s.signers[1:] {
		if _, err := input.MuSig2CombineSig(combiner, s.parts[signer]); err != nil {
			return nil, err
		}
	}
	final := combiner.FinalSig()
	if final == nil {
		return nil, fmt.Errorf("quorum: %d of %d partial signatures", len(s.parts), len(s.signers))
	}
	return map[int][]byte{taproot.Joint: final.Serialize()}, nil
}

// Traffic: each signer sends its nonce and its part, and is sent every other
// nonce and the message.
func (s *muSig2Session) Traffic() int {
	const part, message = 32, 32
	down := len(s.sessions) * ((len(s.signers)-1)*musig2.PubNonceSize + message)
	return len(s.nonces)*musig2.PubNonceSize + down + len(s.parts)*part
}

var _ Session = (*muSig2Session)(nil)
