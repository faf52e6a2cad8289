package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// attestationStore keeps what guardians attest. postgres.Store is one.
type attestationStore interface {
	SaveAttestation(context.Context, postgres.Attestation) error
}

var _ attestationStore = (*postgres.Store)(nil)

// attestations takes what one guardian attests. Nothing of it is believed: the
// signature must be by its host key, and the head must be this bank's.
type attestations struct {
	bank  ledger.BankID
	host  chilldkg.HostPublicKey
	store attestationStore
	log   *slog.Logger

	last guardian.Attestation // that was kept
	is   string               // what take returned last
}

// What a guardian that attests is doing.
const (
	isAttesting = "attesting"
	isUnkept    = "attesting, but the bank cannot write it down"
	isForging   = "attesting falsely: not with its own host key"
	isElsewhere = "attesting another history than the bank's"
)

// take checks an attestation, keeps it if it is new, and returns what the
// guardian is doing. It tells the log once why something is not kept; what
// cannot be written down is tried again with the guardian's next answer.
func (k *attestations) take(ctx context.Context, a *guardian.Attestation) string {
	is, err := k.keep(ctx, a)
	if is != k.is && is != isAttesting {
		level := slog.LevelError // an alarm: people must look
		if is == isUnkept {
			level = slog.LevelWarn
		}
		k.log.Log(ctx, level, "an attestation is not kept", "is", is, "key", k.host,
			"as", a.Guardian, "batch", a.Batch, "head", a.Head, "signature", a.Signature, "error", err)
	}
	k.is = is
	return is
}

func (k *attestations) keep(ctx context.Context, a *guardian.Attestation) (is string, err error) {
	if *a == k.last {
		return isAttesting, nil
	}
	if a.Guardian != k.host || !a.Verify(k.bank) {
		return isForging, nil
	}
	// One that is older than the last is harmless to write, and its head is
	// compared all the same.
	err = k.store.SaveAttestation(ctx, postgres.Attestation{
		Guardian: a.Guardian, Batch: a.Batch, Head: a.Head, Signature: a.Signature})
	switch {
	case errors.Is(err, postgres.ErrHead):
		return isElsewhere, err
	case err != nil:
		return isUnkept, err
	}
	k.last = *a
	return isAttesting, nil
}
