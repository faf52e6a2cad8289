package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// ErrAttestation says that the bank shows as attested what its guardians did
// not attest, or not as one history. Keep the answer: it is evidence.
var ErrAttestation = errors.New("the attestation does not hold")

type attestationForm struct {
	guardian.Attestation
	HostKey chilldkg.HostPublicKey `json:"host_key"`
}

type attestationsForm struct {
	Batch        uint64            `json:"batch"`
	Attestations []attestationForm `json:"attestations"`
}

func (b *bank) getAttestations(req *http.Request) (any, error) {
	batch, err := number(req.PathValue("batch"), "the batch", 63)
	if err != nil {
		return nil, err
	}
	list, err := b.Attestations.AttestationsOf(req.Context(), batch)
	if err != nil {
		return nil, err
	}
	answer := attestationsForm{Batch: batch, Attestations: make([]attestationForm, len(list))}
	for i, a := range list {
		if int(a.Guardian) >= len(b.Guardians) {
			return nil, fmt.Errorf("guardian %d, whose attestation is stored, is not in the founding document", a.Guardian)
		}
		answer.Attestations[i] = attestationForm{HostKey: b.Guardians[a.Guardian], Attestation: guardian.Attestation{
			Guardian: frost.ID(a.Guardian), Batch: a.Batch, Head: a.Head, Signature: a.Signature}}
	}
	return answer, nil
}

// anchored is the last batch whose books a posted settlement anchors, 0 for
// none. One settlement is in flight at a time, so of all up to the last it is
// the last or the one before.
func (b *bank) anchored(ctx context.Context, last uint32) (batch uint64, err error) {
	if last == 0 {
		return 0, nil
	}
	list, err := b.Desk.Settlements(ctx, max(last, 2)-1, 2)
	for _, s := range list {
		if s.Stage == string(settlement.StagePosted) {
			batch = max(batch, s.Batch)
		}
	}
	return batch, err
}

// Attestations returns the guardians' attestations that cover a batch: of each
// guardian at most one, of that batch or of a later one. Each is verified under
// the guardian's host key in hosts, which is the list of the founding document,
// by guardian's id. Error besides: ErrAttestation.
//
// An attestation of a later batch covers this one through the headers between:
// each names the hash of the one before it (Batches), and the last is Head.
func (c *Client) Attestations(ctx context.Context, batch uint64, hosts []chilldkg.HostPublicKey) ([]guardian.Attestation, error) {
	proof, err := c.known(ctx)
	if err != nil {
		return nil, err
	}
	var form attestationsForm
	if err := c.get(ctx, "/v1/attestations/"+strconv.FormatUint(batch, 10), nil, &form); err != nil {
		return nil, err
	}
	list := make([]guardian.Attestation, len(form.Attestations))
	seen, heads := map[frost.ID]bool{}, map[uint64]ledger.Hash{}
	for i := range form.Attestations {
		a := &form.Attestations[i].Attestation
		bad := func(reason string) error {
			return fmt.Errorf("%w: guardian %d, batch %d: %s", ErrAttestation, a.Guardian, a.Batch, reason)
		}
		head, known := heads[a.Batch]
		switch {
		case int(a.Guardian) >= len(hosts):
			return nil, bad("there is no such guardian")
		case seen[a.Guardian]:
			return nil, bad("the guardian is listed twice")
		case a.Batch < batch:
			return nil, bad(fmt.Sprintf("it does not cover batch %d", batch))
		case !a.Verify(proof.bank, hosts[a.Guardian]):
			return nil, bad("the guardian did not sign it")
		case known && head != a.Head:
			return nil, bad("another guardian saw another history")
		}
		seen[a.Guardian], heads[a.Batch], list[i] = true, a.Head, *a
	}
	return list, nil
}
