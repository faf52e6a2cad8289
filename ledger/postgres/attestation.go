package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
)

// Attestation is a guardian's signature for what it has replayed, as it is
// stored. Package guardian makes it and verifies it; the store does not.
type Attestation struct {
	Guardian  [33]byte // its host key, compressed
	Batch     uint64   // the last one that it has replayed
	Head      ledger.Hash
	Signature ledger.Signature
}

// ErrHead: the head of an attestation is not the hash of that batch here, or
// there is no such batch: its guardian has seen another history.
var ErrHead = errors.New("the attestation is of another history")

// SaveAttestation keeps an attestation that the caller has verified. A second
// one of the same guardian and batch changes nothing. Error: ErrHead.
func (s *Store) SaveAttestation(ctx context.Context, a Attestation) error {
	// Not through the connections of writers: no batch waits for it.
	_, err := s.reads.Exec(ctx, `insert into attestation (shard, guardian, batch, head, signature)
		values ($1, $2, $3, $4, $5) on conflict do nothing`,
		shard, a.Guardian[:], int64(a.Batch), a.Head[:], a.Signature[:])
	if sqlState(err) == stateBroken {
		err = fmt.Errorf("%w: %w", ErrHead, err)
	}
	if err != nil {
		return fmt.Errorf("keep guardian %x's attestation of batch %d: %w", a.Guardian, a.Batch, err)
	}
	return nil
}

// stateBroken is what the schema raises when a row would not fit the chain of
// batches.
const stateBroken = "DAO02"

// attesting lists the guardians that have attested anything. It steps through
// the primary key, one probe for each guardian: the table grows with time, and
// the answer does not.
const attesting = `with recursive attesting(guardian) as (
		(select guardian from attestation where shard = $1 order by guardian limit 1)
		union all
		select (select a.guardian from attestation a where a.shard = $1 and a.guardian > attesting.guardian order by a.guardian limit 1)
		from attesting where attesting.guardian is not null)`

// Attested returns the highest batch that at least threshold of these guardians
// have attested, each by an attestation of that batch or of a later one; 0 for
// none.
func (s *Store) Attested(ctx context.Context, threshold int, guardians [][33]byte) (uint64, error) {
	if threshold < 1 {
		return 0, fmt.Errorf("read what is attested: a threshold of %d guardians is none", threshold)
	}
	keys := make([][]byte, len(guardians))
	for i := range guardians {
		keys[i] = guardians[i][:]
	}
	var batch uint64
	err := s.reads.QueryRow(ctx, `
		select newest.batch from unnest($2::bytea[]) as attesting(guardian) cross join lateral (
			select max(batch) as batch from attestation where shard = $1 and guardian = attesting.guardian) newest
		where newest.batch is not null
		order by newest.batch desc offset $3 limit 1`, shard, keys, threshold-1).Scan(&batch)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read what is attested: %w", err)
	}
	return batch, nil
}

// AttestationsOf returns, by guardian, the attestations that cover a batch: of
// each guardian the first of that batch or of a later one, so that few headers
// lie between. Guardians that have none are left out.
func (s *Store) AttestationsOf(ctx context.Context, batch uint64) ([]Attestation, error) {
	rows, err := s.reads.Query(ctx, attesting+`
		select a.guardian, a.batch, a.head, a.signature from attesting cross join lateral (
			select * from attestation where shard = $1 and guardian = attesting.guardian and batch >= $2
			order by batch limit 1) a
		order by a.guardian`, shard, int64(batch))
	if err != nil {
		return nil, fmt.Errorf("read the attestations of batch %d: %w", batch, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Attestation, err error) {
		var host, head, signature []byte
		err = row.Scan(&host, &a.Batch, &head, &signature)
		copy(a.Guardian[:], host)
		copy(a.Head[:], head)
		copy(a.Signature[:], signature)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the attestations of batch %d: %w", batch, err)
	}
	return list, nil
}
