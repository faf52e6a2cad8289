package audittest

import (
	"math/rand/v2"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/frost"
)

// NextKey makes a group of new guardians and the entry that gives the vault its
// key, signed by the guardians before. Nothing is in the books yet.
func (b *Bank) NextKey(threshold, guardians int) (*ledger.Rekey, *frost.Group, []*frost.Share) {
	b.Helper()
	newest, generation := b.Vaults.Newest()
	group, shares, err := frost.TrustedDealer(threshold, guardians, rand.NewChaCha8([32]byte{byte(generation + 2)}))
	must(b, err)
	policy := newest.Policy()
	policy.Threshold, policy.Guardians, policy.GroupKey = threshold, guardians, group.Key()
	e := &ledger.Rekey{Generation: generation + 1}
	e.Policy, err = netting.EncodePolicy(policy)
	must(b, err)
	b.SignRekey(e)
	return e, group, shares
}

// SignRekey signs the entry by the guardians of the newest generation.
func (b *Bank) SignRekey(e *ledger.Rekey) {
	b.Helper()
	newest := b.groups[len(b.groups)-1]
	digest := e.Digest(b.Charter.ID())
	e.Signature = ledger.Signature(b.sign(newest, digest, newest.group.Key().XOnly(), nil))
}

// Rekey gives the vault a new key, in a batch of its own.
func (b *Bank) Rekey(threshold, guardians int) {
	b.Helper()
	e, group, shares := b.NextKey(threshold, guardians)
	b.Apply(ledger.Entry{Event: e})
	b.Seal()
	must(b, b.Vaults.Follow(b.Books))
	b.groups = append(b.groups, groupKey{group, shares})
}
