package chilldkg

import (
	"fmt"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Recover gives a participant's result again, from its host key and the recovery
// data of a successful run: on a blank machine, or after Finalize failed and
// somebody else has the recovery data, who need not be trusted. Compare
// Result.Params with what was agreed: the data says which run it is of.
//
// The error is a *RecoveryDataError or wraps ErrHostKey.
func Recover(host *HostKey, data []byte) (*Result, error) {
	v, err := verifyRecoveryData(data)
	if err != nil {
		return nil, err
	}
	id, secret, err := v.session.own(host)
	if err != nil {
		return nil, err
	}
	defer secret.Zero()
	share, err := v.share(id, &secret)
	if err != nil {
		return nil, &RecoveryDataError{Err: err}
	}
	defer share.Zero()
	return v.result(&secretShare{id: id, value: share})
}

// RecoverCoordinator gives the coordinator's result again. The error is a
// *RecoveryDataError.
func RecoverCoordinator(data []byte) (*Result, error) {
	v, err := verifyRecoveryData(data)
	if err != nil {
		return nil, err
	}
	return v.result(nil)
}

// verified is recovery data that everyone has signed.
type verified struct {
	session    *session
	data       []byte
	transcript transcript
	tweak      curve.Scalar
	info       frost.ThresholdInfo
}

func verifyRecoveryData(data []byte) (*verified, error) {
	params, transcript, certificate, err := decodeRecoveryData(data)
	if err != nil {
		return nil, &RecoveryDataError{Err: err}
	}
	v := &verified{data: data, transcript: transcript}
	if v.session, err = newSession(params); err != nil {
		return nil, &RecoveryDataError{Err: err}
	}
	if id, ok := v.session.verifyCertificate(data[:transcriptSize(params)], certificate); !ok {
		return nil, &RecoveryDataError{Err: fmt.Errorf("%w: that of participant %d", ErrCertificate, id)}
	}
	tweaked, tweak, err := transcript.commitment.withUnspendableScriptPath()
	if err != nil {
		return nil, &RecoveryDataError{Err: err}
	}
	v.tweak = tweak
	if v.info, err = tweaked.info(v.session.n()); err != nil {
		return nil, &RecoveryDataError{Err: err}
	}
	return v, nil
}

// share decrypts the share of participant id. It matches the public share unless
// all n signers of the certificate, id included, have signed for a wrong one.
func (v *verified) share(id frost.ID, host *curve.Scalar) (curve.Scalar, error) {
	pads, err := v.session.receivingPads(id, host, v.transcript.nonces)
	if err != nil {
		return curve.Scalar{}, err
	}
	defer clear(pads)
	share := sumScalars(pads)
	share.Negate().Add(&v.transcript.shares[id]).Add(&v.tweak)
	public := curve.MulBase(&share)
	if curve.EncodePoint(&public) != *v.info.PublicShares[id] {
		share.Zero()
		return curve.Scalar{}, ErrShare
	}
	return share, nil
}

func (v *verified) result(secret *secretShare) (*Result, error) {
	split := transcriptSize(v.session.params)
	result, err := v.session.newResult(v.data[:split], v.data[split:], v.info, secret)
	if err != nil {
		return nil, &RecoveryDataError{Err: err}
	}
	return result, nil
}
