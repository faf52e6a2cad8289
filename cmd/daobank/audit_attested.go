package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/page"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement/netting"
)

// attestedMost is for how many blocks a page asks what its guardians have attested.
const attestedMost = 100

// attesters are the guardians as the bank shows them. Nothing of what they attest is in
// the journal.
type attesters struct {
	threshold int
	newest    uint64 // the last batch that so many have attested; 0 for none
	// of are the attestations that cover a batch, one of each guardian, verified.
	of func(ctx context.Context, batch uint64) ([]guardian.Attestation, error)
}

// attestersOf asks the bank's API, which names the guardians of the newest key.
func attestersOf(client *api.Client) func(context.Context, *netting.Vaults) (*attesters, error) {
	return func(ctx context.Context, _ *netting.Vaults) (*attesters, error) {
		bank, err := client.Bank(ctx)
		return &attesters{threshold: bank.Policy.Threshold, newest: bank.Attested, of: func(ctx context.Context, batch uint64) ([]guardian.Attestation, error) {
			return client.Attestations(ctx, batch, bank.Guardians)
		}}, err
	}
}

// storedAttesters reads the bank's database, which does not say whose key generation a
// guardian is of: nil when there has been more than one.
func storedAttesters(store *postgres.Store, bank ledger.BankID) func(context.Context, *netting.Vaults) (*attesters, error) {
	return func(ctx context.Context, vaults *netting.Vaults) (*attesters, error) {
		newest, generation := vaults.Newest()
		if generation > 0 {
			return nil, nil
		}
		a := &attesters{threshold: newest.Policy().Threshold, of: func(ctx context.Context, batch uint64) ([]guardian.Attestation, error) {
			stored, err := store.AttestationsOf(ctx, batch)
			list := make([]guardian.Attestation, len(stored))
			for i, s := range stored {
				list[i] = guardian.Attestation{Guardian: s.Guardian, Batch: s.Batch, Head: s.Head, Signature: s.Signature}
				if err == nil && !list[i].Verify(bank) {
					err = fmt.Errorf("%w: guardian %s did not sign that of batch %d", api.ErrAttestation, list[i].Guardian, s.Batch)
				}
			}
			return list, err
		}}
		all, err := a.of(ctx, 1)
		if err != nil {
			return nil, err
		}
		hosts := make([][33]byte, len(all))
		for i := range all {
			hosts[i] = all[i].Guardian
		}
		a.newest, err = store.Attested(ctx, a.threshold, hosts)
		return a, err
	}
}

// attested asks how far the guardians have come, now and at blocks of the books, where
// the journal's source says so.
func (r *auditRun) attested(ctx context.Context, d *page.Data) error {
	if r.from.attesters == nil {
		return nil
	}
	guardians, err := r.from.attesters(ctx, r.Vaults())
	if err != nil || guardians == nil {
		return err
	}
	d.Attested = &guardians.newest
	for _, b := range sample(d.History.Blocks, attestedMost) {
		covered, known := r.covered[b.Batch]
		if !known {
			list, err := guardians.of(ctx, b.Batch)
			if err != nil {
				return err
			}
			if covered = coveredBy(list, guardians.threshold); covered != 0 {
				r.covered[b.Batch] = covered
			}
		}
		d.Attesting = append(d.Attesting, page.AttestedPoint{Height: b.Height, Batch: b.Batch, Covered: covered})
	}
	return nil
}

// coveredBy is the batch by which as many guardians as must sign had attested one that
// all of these attestations cover; 0 when they are fewer. Signatures name batches and no
// time.
func coveredBy(list []guardian.Attestation, threshold int) uint64 {
	if threshold < 1 || len(list) < threshold {
		return 0
	}
	slices.SortFunc(list, func(a, b guardian.Attestation) int { return cmp.Compare(a.Batch, b.Batch) })
	return list[threshold-1].Batch
}

// sample takes so many of the blocks, evenly, the last among them.
func sample(blocks []audit.BlockPoint, most int) (list []audit.BlockPoint) {
	stride := max(1, (len(blocks)+most-1)/most)
	for i := len(blocks) - 1; i >= 0; i -= stride {
		list = append(list, blocks[i])
	}
	slices.Reverse(list)
	return list
}
