package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// ErrAttestation says that the bank shows as attested what its guardians did
// not attest, or not as one history. Keep the answer: it is evidence.
var ErrAttestation = errors.New("the attestation does not hold")

type attestationsForm struct {
	Batch        uint64                 `json:"batch"`
	Attestations []guardian.Attestation `json:"attestations"`
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
	answer := attestationsForm{Batch: batch, Attestations: make([]guardian.Attestation, len(list))}
	for i, a := range list {
		answer.Attestations[i] = guardian.Attestation{Guardian: a.Guardian, Batch: a.Batch, Head: a.Head, Signature: a.Signature}
	}
	return answer, nil
}

// Council are the guardians of one generation of the vault's key.
type Council struct {
	Threshold int
	Guardians []chilldkg.HostPublicKey // by guardian's id
}

// attested is the last batch that enough guardians of one generation have
// attested: of the newest that has attested anything. Who was replaced counts only
// until enough of those after them have come so far.
func (b *bank) attested(ctx context.Context) (uint64, error) {
	for _, c := range slices.Backward(b.Councils()) {
		hosts := make([][33]byte, len(c.Guardians))
		for i, host := range c.Guardians {
			hosts[i] = host
		}
		batch, err := b.Attestations.Attested(ctx, c.Threshold, hosts)
		if err != nil || batch > 0 {
			return batch, err
		}
	}
	return 0, nil
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
// guardian at most one, of that batch or of a later one. Each is verified, and is
// by one of hosts, which are the guardians of a document that the caller trusts.
// Those of others are left out. Error besides: ErrAttestation.
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
	var list []guardian.Attestation
	seen, heads := map[chilldkg.HostPublicKey]bool{}, map[uint64]ledger.Hash{}
	for i := range form.Attestations {
		a := &form.Attestations[i]
		if !slices.Contains(hosts, a.Guardian) {
			continue
		}
		bad := func(reason string) error {
			return fmt.Errorf("%w: guardian %s, batch %d: %s", ErrAttestation, a.Guardian, a.Batch, reason)
		}
		head, known := heads[a.Batch]
		switch {
		case seen[a.Guardian]:
			return nil, bad("the guardian is listed twice")
		case a.Batch < batch:
			return nil, bad(fmt.Sprintf("it does not cover batch %d", batch))
		case !a.Verify(proof.bank):
			return nil, bad("the guardian did not sign it")
		case known && head != a.Head:
			return nil, bad("another guardian saw another history")
		}
		seen[a.Guardian], heads[a.Batch] = true, a.Head
		list = append(list, *a)
	}
	return list, nil
}
