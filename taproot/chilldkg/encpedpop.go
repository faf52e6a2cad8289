package chilldkg

import (
	"crypto/sha256"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// contribute makes a participant's first message. Everything in it is a function
// of the host key, the randomness and the parameters; nothing secret remains.
// The error is ErrSelfCheck or, never by chance, errUnlucky.
func (s *session) contribute(id frost.ID, host *curve.Scalar, random [32]byte) (*participantMessage1, error) {
	secret := host.Bytes()
	defer clear(secret[:])
	// Nonce and shares come from one seed, so that no two sets of shares are
	// ever encrypted with the same pads.
	seed := curve.TaggedHash(tagSeed, secret[:], random[:], s.context)
	defer clear(seed[:])
	f, err := newPolynomial(seed[:], s.t())
	if err != nil {
		return nil, err
	}
	defer f.wipe()
	nonce, ok := curve.HashScalarChecked(tagSecretNonce, seed[:])
	defer nonce.Zero()
	if !ok || nonce.IsZero() {
		return nil, errUnlucky
	}
	publicNonce := curve.MulBase(&nonce)

	m := &participantMessage1{commitment: f.commit(), nonce: curve.EncodePoint(&publicNonce)}
	m.proof, err = possession.sign(&f[0], curve.TaggedHash(tagAux, seed[:]), proofMessage(id))
	if err != nil {
		return nil, err
	}
	m.shares = s.sendingPads(id, host, &nonce, m.nonce)
	for i := range m.shares {
		share := f.share(frost.ID(i))
		m.shares[i].Add(&share)
		share.Zero()
	}
	return m, nil
}

// proofMessage binds a proof of possession to its participant.
func proofMessage(id frost.ID) []byte { return curve.Uint32Bytes(uint32(id)) }

// sendingPads encrypt the shares from participant id to all.
func (s *session) sendingPads(id frost.ID, host, nonce *curve.Scalar, public [curve.PointSize]byte) []curve.Scalar {
	pads := make([]curve.Scalar, s.n())
	for i := range pads {
		to := frost.ID(i)
		if to == id {
			pads[i] = s.selfPad(id, host, public)
			continue
		}
		pads[i] = s.pad(nonce, &s.keys[i], public, to)
	}
	return pads
}

// receivingPads decrypt the shares from all to participant id. The error is
// *FaultyParticipantOrCoordinatorError.
func (s *session) receivingPads(id frost.ID, host *curve.Scalar, nonces [][curve.PointSize]byte) ([]curve.Scalar, error) {
	pads := make([]curve.Scalar, s.n())
	for i, nonce := range nonces {
		from := frost.ID(i)
		if from == id {
			pads[i] = s.selfPad(id, host, nonce)
			continue
		}
		p, ok := curve.ParsePoint(nonce[:])
		if !ok {
			clear(pads)
			return nil, &FaultyParticipantOrCoordinatorError{ID: from, Err: ErrNonce}
		}
		pads[i] = s.pad(host, &p, nonce, id)
	}
	return pads, nil
}

// pad is the key that sender and receiver share, a hash of the Diffie-Hellman
// point secret·public and of all that it is for.
func (s *session) pad(secret *curve.Scalar, public *curve.Point, nonce [curve.PointSize]byte, to frost.ID) curve.Scalar {
	product := curve.Affine(curve.Mul(secret, public))
	defer curve.Wipe(&product)
	encoded := curve.EncodePoint(&product)
	shared := sha256.Sum256(encoded[:])
	defer clear(encoded[:])
	defer clear(shared[:])
	receiver := s.params.HostKeys[to]
	return curve.HashScalar(tagECDH, shared[:], nonce[:], receiver[:], curve.Uint32Bytes(uint32(to)), s.context)
}

// selfPad hides a participant's share to itself, at the price of a hash.
func (s *session) selfPad(id frost.ID, host *curve.Scalar, nonce [curve.PointSize]byte) curve.Scalar {
	secret := host.Bytes()
	defer clear(secret[:])
	return curve.HashScalar(tagSelfPad, secret[:], nonce[:], curve.Uint32Bytes(uint32(id)), s.context)
}

// verifyProofs checks that the participants know the secrets that they have
// committed to, except one that needs not be asked: without it a participant
// could choose its commitment to cancel the others'. faulty is the first that
// fails.
func (s *session) verifyProofs(secrets []curve.Point, proofs []signature, except func(frost.ID) bool) (faulty frost.ID, err error) {
	for i := range secrets {
		id := frost.ID(i)
		if except(id) {
			continue
		}
		if curve.IsInfinity(&secrets[i]) {
			return id, ErrCommitment
		}
		if !possession.verify(&secrets[i], proofs[i], proofMessage(id)) {
			return id, ErrProof
		}
	}
	return 0, nil
}

// sumScalars adds modulo the group order, in constant time.
func sumScalars(values []curve.Scalar) (total curve.Scalar) {
	for i := range values {
		total.Add(&values[i])
	}
	return total
}
