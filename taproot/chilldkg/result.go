package chilldkg

import (
	"slices"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/internal/curve"
)

// Result is what a run leaves behind. It comes from Finalize or Recover, and all
// parties' results are equal but for the Share.
type Result struct {
	Params Params
	// Group holds the group key and everyone's public share, with ChillDKG's tweak
	// applied. Do not fund the key before all acknowledgements are in.
	Group *frost.Group
	// Share is the participant's secret share, nil for a coordinator.
	Share *frost.Share
	// RecoveryData and the host key give the Share back. It is not confidential;
	// store it before acknowledging it, more than once.
	RecoveryData []byte

	session *session
	agreed  string // RecoveryData as it was verified
}

// secretShare is a participant's share before it becomes a frost.Share.
type secretShare struct {
	id    frost.ID
	value curve.Scalar
}

// newResult assembles a result from verified parts; secret nil is a
// coordinator's. It wipes secret, whatever it returns.
func (s *session) newResult(transcript, certificate []byte, info frost.ThresholdInfo, secret *secretShare) (*Result, error) {
	if secret != nil {
		defer secret.value.Zero()
	}
	group, err := frost.NewGroup(info)
	if err != nil {
		return nil, err
	}
	data := slices.Concat(transcript, certificate)
	r := &Result{
		Params:       Params{Threshold: s.t(), HostKeys: slices.Clone(s.params.HostKeys)},
		Group:        group,
		RecoveryData: data,
		session:      s,
		agreed:       string(data),
	}
	if secret == nil {
		return r, nil
	}
	b := secret.value.Bytes()
	defer clear(b[:])
	if r.Share, err = frost.NewShare(secret.id, b[:]); err != nil {
		return nil, err
	}
	return r, nil
}
