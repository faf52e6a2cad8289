package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/page"
	"github.com/daobank/daobank/guardian"
)

// attestedMost is for how many blocks a page asks what its guardians have attested.
const attestedMost = 100

// attested asks the bank how far its guardians have come, now and at blocks of the
// books, where the journal's source is its API. Nothing of it is in the journal.
func (r *auditRun) attested(ctx context.Context, d *page.Data) error {
	if r.from.api == nil {
		return nil
	}
	bank, err := r.from.api.Bank(ctx)
	if err != nil {
		return err
	}
	d.Attested = &bank.Attested
	for _, b := range sample(d.History.Blocks, attestedMost) {
		covered, known := r.covered[b.Batch]
		if !known {
			list, err := r.from.api.Attestations(ctx, b.Batch, bank.Guardians)
			if err != nil {
				return err
			}
			if covered = coveredBy(list, bank.Policy.Threshold); covered != 0 {
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
