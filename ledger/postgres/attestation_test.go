package postgres_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// heads makes three batches and returns the hash of each; heads[0] is unused.
func (b *bank) heads() []ledger.Hash {
	b.t.Helper()
	heads := []ledger.Hash{{}}
	for _, c := range []postgres.Commit{b.commit(b.open(2)), b.commit(b.open(3)), b.commit(b.open(4))} {
		heads = append(heads, c.Batch.Header.Hash())
	}
	return heads
}

// attested is an attestation whose signature names who made it. The store does
// not verify one: package guardian does.
func attested(guardian uint32, batch uint64, head ledger.Hash) postgres.Attestation {
	return postgres.Attestation{Guardian: host(guardian), Batch: batch, Head: head, Signature: ledger.Signature{byte(guardian), byte(batch)}}
}

// host is a guardian's host key.
func host(guardian uint32) [33]byte { return [33]byte{2, 32: byte(guardian)} }

// A batch is attested as soon as enough guardians have replayed it, whichever
// they are and however far each of them is ahead.
func TestAttested(t *testing.T) {
	b := openBank(t)
	heads := b.heads()
	steps := []struct {
		guardian uint32
		batch    uint64
		want     [4]uint64 // for thresholds 1 to 4
	}{
		{0, 1, [4]uint64{1, 0, 0, 0}},
		{4, 2, [4]uint64{2, 1, 0, 0}},
		{2, 1, [4]uint64{2, 1, 1, 0}},
		{2, 1, [4]uint64{2, 1, 1, 0}}, // once more is harmless
		{0, 3, [4]uint64{3, 2, 1, 0}},
		{2, 3, [4]uint64{3, 3, 2, 0}},
		{4, 1, [4]uint64{3, 3, 2, 0}}, // one that comes late takes nothing back
	}
	var hosts [][33]byte
	for id := range uint32(5) {
		hosts = append(hosts, host(id))
	}
	check := func(want [4]uint64) {
		t.Helper()
		for i, want := range want {
			if got, err := b.store.Attested(t.Context(), i+1, hosts); err != nil || got != want {
				t.Errorf("%d guardians attest batch %d, want %d (%v)", i+1, got, want, err)
			}
		}
	}
	check([4]uint64{})
	for _, s := range steps {
		if err := b.store.SaveAttestation(t.Context(), attested(s.guardian, s.batch, heads[s.batch])); err != nil {
			t.Fatal(err)
		}
		check(s.want)
	}
	if got, err := b.store.Attested(t.Context(), 1, [][33]byte{host(1), host(3)}); err != nil || got != 0 {
		t.Errorf("guardians of another group attest batch %d, %v", got, err)
	}
	if _, err := b.store.Attested(t.Context(), 0, hosts); err == nil {
		t.Error("no guardian attests everything")
	}
}

// What covers a batch is each guardian's first attestation of it or of a later one.
func TestAttestationsOf(t *testing.T) {
	b := openBank(t)
	heads := b.heads()
	first, late, third := attested(0, 1, heads[1]), attested(3, 2, heads[2]), attested(0, 3, heads[3])
	for _, a := range []postgres.Attestation{first, third, late} {
		if err := b.store.SaveAttestation(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for batch, want := range [][]postgres.Attestation{
		{first, late}, {first, late}, {third, late}, {third}, nil,
	} {
		got, err := b.store.AttestationsOf(t.Context(), uint64(batch))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("batch %d is covered by %+v, want %+v (%v)", batch, got, want, err)
		}
	}
}

// Who saw another history attests nothing of this one.
func TestAttestationOfAnotherHistory(t *testing.T) {
	b := openBank(t)
	heads := b.heads()
	for name, a := range map[string]postgres.Attestation{
		"another head":     attested(0, 1, ledger.Hash{1}),
		"another batch's":  attested(0, 1, heads[2]),
		"a batch to come":  attested(0, 4, heads[3]),
		"before the first": attested(0, 0, b.state.Bank()),
	} {
		if err := b.store.SaveAttestation(t.Context(), a); !errors.Is(err, postgres.ErrHead) {
			t.Errorf("%s: %v, want ErrHead", name, err)
		}
	}
	if got, err := b.store.Attested(t.Context(), 1, [][33]byte{host(0)}); err != nil || got != 0 {
		t.Errorf("attested is batch %d, %v", got, err)
	}
}

// PostgreSQL itself refuses these, whatever a program does.
func TestDatabaseRefusesAttestations(t *testing.T) {
	b := openBank(t)
	heads := b.heads()
	if err := b.store.SaveAttestation(t.Context(), attested(0, 1, heads[1])); err != nil {
		t.Fatal(err)
	}
	const columns = `insert into attestation (shard, guardian, batch, head, signature) select shard, `
	b.refuses([]refusal{
		{"nothing, when the head is the batch's", statement(columns + `'\x020000000000000000000000000000000000000000000000000000000000000001', number, hash, sha512('x') from batch where number = 2`), ""},
		{"a head that is not the batch's", statement(columns + `'\x020000000000000000000000000000000000000000000000000000000000000001', number, previous, sha512('x') from batch where number = 2`), broken},
		{"a batch that is not in the journal", statement(columns + `'\x020000000000000000000000000000000000000000000000000000000000000001', number + 1, hash, sha512('x') from batch where number = 3`), broken},
		{"a short signature", statement(columns + `'\x020000000000000000000000000000000000000000000000000000000000000001', number, hash, sha256('x') from batch where number = 2`), check},
		{"a guardian that is no key", statement(columns + `'\x02', number, hash, sha512('x') from batch where number = 2`), check},
		{"a second signature for one batch", statement(columns + `'\x020000000000000000000000000000000000000000000000000000000000000000', number, hash, sha512('x') from batch where number = 1`), unique},
		{"an attestation changed", statement(`update attestation set signature = sha512('x')`), history},
		{"an attestation deleted", statement(`delete from attestation`), history},
		{"attestations truncated", statement(`truncate attestation`), history},
	})
}
