package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// oneHistory is a fake of the store, whose batch n has the head {n}.
type oneHistory struct {
	saved []uint64
	fail  error
}

func (h *oneHistory) SaveAttestation(_ context.Context, a postgres.Attestation) error {
	switch {
	case h.fail != nil:
		return h.fail
	case a.Head != ledger.Hash{byte(a.Batch)}:
		return fmt.Errorf("batch %d: %w", a.Batch, postgres.ErrHead)
	}
	h.saved = append(h.saved, a.Batch)
	return nil
}

// The bank keeps only what guardian 2 attests itself of this history, and tells
// people when it attests another.
func TestAttestationsAreChecked(t *testing.T) {
	own, err := chilldkg.NewHostKey(scriptKey("guardian 2").Serialize())
	if err != nil {
		t.Fatal(err)
	}
	other, err := chilldkg.NewHostKey(scriptKey("guardian 3").Serialize())
	if err != nil {
		t.Fatal(err)
	}
	bank, here, elsewhere := ledger.BankID{1}, ledger.Hash{5}, ledger.Hash{6}
	for _, test := range []struct {
		name  string
		bank  ledger.BankID
		host  *chilldkg.HostKey
		head  ledger.Hash
		fail  error
		want  string
		alarm bool
	}{
		{"its own, of this history", bank, own, here, nil, isAttesting, false},
		{"of another history", bank, own, elsewhere, nil, isElsewhere, true},
		{"by another's key, in its own name", bank, other, here, nil, isForging, true},
		{"for another bank", ledger.BankID{2}, own, here, nil, isForging, true},
		{"while the database is away", bank, own, here, errors.New("away"), isUnkept, false},
	} {
		var log strings.Builder
		store := &oneHistory{fail: test.fail}
		keep := &attestations{bank: bank, host: own.Public(), store: store, log: slog.New(slog.NewTextHandler(&log, nil))}
		a, err := guardian.Attest(test.bank, 5, test.head, test.host)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the guardian says it again a second later
			if got := keep.take(t.Context(), &a); got != test.want {
				t.Errorf("%s: the guardian is %q, want %q", test.name, got, test.want)
			}
		}
		if kept := len(store.saved); kept > 1 || (kept == 1) != (test.want == isAttesting) {
			t.Errorf("%s: kept %d times", test.name, kept)
		}
		if alarms := strings.Count(log.String(), "level=ERROR"); alarms > 1 || (alarms == 1) != test.alarm {
			t.Errorf("%s: %d alarms, want one: %v", test.name, alarms, test.alarm)
		}
		// What could not be written down is, as soon as it can.
		if store.fail = nil; test.fail != nil && (keep.take(t.Context(), &a) != isAttesting || len(store.saved) != 1) {
			t.Errorf("%s: it was not kept afterwards", test.name)
		}
	}
}

func TestStateOf(t *testing.T) {
	bank := &api.Bank{Batch: 9, Attested: 7, Anchored: 4}
	for batch, want := range map[uint64]string{1: "anchored", 4: "anchored", 5: "attested", 7: "attested", 8: "accepted", 9: "accepted"} {
		if got := stateOf(batch, bank); got != want {
			t.Errorf("batch %d is %s, want %s", batch, got, want)
		}
	}
}
