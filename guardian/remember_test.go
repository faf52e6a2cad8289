package guardian_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

func openMemory(t *testing.T, path string) *guardian.Memory {
	t.Helper()
	m, err := guardian.OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// remembering is a new guardian, with empty books, that has a memory.
func (w *town) remembering(id frost.ID, m *guardian.Memory) seated {
	w.Helper()
	config := w.config(w.Shares[id])
	config.Memory = m
	return w.guardian(config)
}

// inputs are the coins of the settlement in flight.
func (w *town) inputs() (list []ledger.OutPoint) {
	for _, in := range w.built.Tx.TxIn {
		list = append(list, ledger.OutPoint{TxID: ledger.Hash(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index})
	}
	return list
}

// A guardian signs no second transaction that could be mined beside one that it
// signed for the same settlement, also after a restart.
func TestGuardianRemembers(t *testing.T) {
	w := newTown(t)
	other := ledger.OutPoint{TxID: ledger.Hash{7}}
	const beside = "the two could both be mined"
	for _, tt := range []struct {
		name   string
		signed guardian.Signed
		want   string // of the refusal; "" when it signs
	}{
		{"the same transaction", guardian.Signed{Settlement: 1, TxID: ledger.Hash(w.built.TxID), Inputs: w.inputs()}, ""},
		{"another with the same coins", guardian.Signed{Settlement: 1, TxID: ledger.Hash{9}, Inputs: w.inputs()}, ""},
		{"another with some of the coins", guardian.Signed{Settlement: 1, TxID: ledger.Hash{9}, Inputs: w.inputs()[:1]}, ""},
		{"another with another coin", guardian.Signed{Settlement: 1, TxID: ledger.Hash{9}, Inputs: []ledger.OutPoint{other}}, beside},
		{"another with one coin more", guardian.Signed{Settlement: 1, TxID: ledger.Hash{9}, Inputs: append(w.inputs(), other)}, ""},
		{"another of the same version", guardian.Signed{Settlement: 1, Version: 1, TxID: ledger.Hash{9}, Inputs: w.inputs()}, "signed for version 1 of this number"},
		{"another settlement with another coin", guardian.Signed{Settlement: 2, TxID: ledger.Hash{9}, Inputs: []ledger.OutPoint{other}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "signed")
			m := openMemory(t, path)
			if err := m.Remember(tt.signed); err != nil {
				t.Fatal(err)
			}
			for _, g := range []seated{w.remembering(0, m), w.remembering(0, openMemory(t, path))} {
				if tt.want == "" {
					w.checkWilling(t, g)
					continue
				}
				nonces, err := g.Commit(t.Context(), w.proposal(), w.request())
				if nonces != nil {
					t.Errorf("%d nonces were given out", len(nonces))
				}
				checkRefused(t, err, tt.want)
			}
		})
	}
}

// Between the nonces and the signature it looks again.
func TestGuardianRemembersUntilItSigns(t *testing.T) {
	w := newTown(t)
	m := &guardian.Memory{}
	w.guardians[0] = w.remembering(0, m)
	s := w.session()
	if err := m.Remember(guardian.Signed{Settlement: 1, TxID: ledger.Hash{9}, Inputs: []ledger.OutPoint{{TxID: ledger.Hash{7}}}}); err != nil {
		t.Fatal(err)
	}
	a, err := w.guardians[0].Sign(t.Context(), s)
	if a.Signatures != nil {
		t.Errorf("%d signatures were given", len(a.Signatures))
	}
	checkRefused(t, err, "the two could both be mined")
}

// An operator that shows a guardian another history after a restart gets no
// second signature for the same number: both histories are right by themselves
// and by the chain.
func TestGuardianRemembersAnotherHistory(t *testing.T) {
	short := newTown(t) // its cut was made before the last deposit
	long := &town{Bank: audittest.NewOnNode(t, short.Chain, audittest.BirthHeight)}
	long.Chain = short.Chain
	long.ann = long.Open("ann")
	short.Deposit(short.ann.ID, 600_000)
	long.CatchUp()
	long.Withdraw(long.ann, 100_000, 1_000, audittest.Script("ann outside"))
	long.built = long.Cut(2_000)
	long.seat()

	path := filepath.Join(t.TempDir(), "signed")
	m := openMemory(t, path)
	long.guardians[0] = long.remembering(0, m)
	if a, err := long.guardians[0].Sign(t.Context(), long.session()); err != nil || len(a.Signatures) != 4 {
		t.Fatalf("%d signatures, %v", len(a.Signatures), err)
	}
	m.Close()
	short.checkWilling(t, short.remembering(0, nil)) // one that has signed nothing
	_, err := short.remembering(0, openMemory(t, path)).Commit(t.Context(), short.proposal(), short.request())
	checkRefused(t, err, "signed for version 1 of this number")
}

// What is not on disk is not signed.
func TestGuardianWritesBeforeItSigns(t *testing.T) {
	w := newTown(t)
	path := filepath.Join(t.TempDir(), "signed")
	m := openMemory(t, path)
	w.guardians[0] = w.remembering(0, m)
	s := w.session()
	m.Close()
	for range 2 {
		a, err := w.guardians[0].Sign(t.Context(), s)
		checkSilent(t, a, err, os.ErrClosed)
	}
	w.guardians[0] = w.remembering(0, openMemory(t, path))
	s = w.session()
	if written, err := os.ReadFile(path); err != nil || len(written) > 0 {
		t.Errorf("written down before it was asked to sign: %s, %v", written, err)
	}
	for n := range 2 { // the second for nonces that are used
		a, err := w.guardians[0].Sign(t.Context(), s)
		if n == 0 && (err != nil || len(a.Signatures) != len(s.Nonces)) || n == 1 && !errors.Is(err, roast.ErrNoNonces) {
			t.Errorf("%d signatures, %v", len(a.Signatures), err)
		}
		written, err := os.ReadFile(path)
		if lines := strings.Count(string(written), "\n"); err != nil || lines != 1 || !strings.Contains(string(written), `"settlement":1`) {
			t.Errorf("%d lines are written down: %s, %v", lines, written, err)
		}
	}
}

// However right the books are, a day lets out no more than its limit, counted
// from what was signed, whether the guardians restart meanwhile or not.
func TestGuardiansKeepTheLimitOfADay(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarts %t", restarts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t)
				dir := t.TempDir()
				seat := func() {
					for i, share := range w.Shares {
						config := w.config(share)
						config.Limits.PaidDayMax = 150_000 // each settlement takes a little more than 100,000
						config.Memory = openMemory(t, filepath.Join(dir, fmt.Sprint(share.ID())))
						w.guardians[i] = w.guardian(config)
					}
				}
				seat()
				sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
				w.checkSigned(t, sigs, err)
				w.Mine(w.Sign(w.built))
				w.Bury()
				w.Withdraw(w.ann, 100_000, 1_000, audittest.Script("ann outside"))
				w.built = w.Cut(2_000)

				for _, wait := range []time.Duration{0, time.Hour, 23*time.Hour - time.Second} {
					time.Sleep(wait)
					if restarts {
						seat()
					}
					sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
					var none *roast.NoQuorumError
					if sigs != nil || !errors.As(err, &none) {
						t.Fatalf("%d signatures, %v", len(sigs), err)
					}
					for _, refused := range none.Failed { // those that signed the first one
						checkRefused(t, refused, "a day may take 150000 sat")
					}
				}
				time.Sleep(time.Second)
				sigs, err = w.sign(t.Context(), slog.DiscardHandler, w.peers())
				w.checkSigned(t, sigs, err)
			})
		})
	}
}
