package guardian_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot/roast"
)

// stuck is a journal that gives some batches and then answers no more.
type stuck struct {
	guardian.Journal
	after int
}

func (s stuck) Batches(ctx context.Context, from uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) {
		n := 0
		for batch, err := range s.Journal.Batches(ctx, from) {
			if n == s.after {
				break
			}
			if n++; !yield(batch, err) {
				return
			}
		}
		<-ctx.Done()
		yield(nil, ctx.Err())
	}
}

// A guardian whose journal does not answer says where it stands all the same,
// keeps nobody waiting for longer than he wants, and gives the journal up after
// a while. What it has replayed stays.
func TestJournalStalls(t *testing.T) {
	w := newTown(t)
	synctest.Test(t, func(t *testing.T) {
		config := w.config(w.Shares[0])
		config.Journal = stuck{Journal: w.Journal, after: 2}
		g, err := guardian.New(config)
		if err != nil {
			t.Fatal(err)
		}
		began, synced := time.Now(), make(chan error)
		go func() { synced <- g.Sync(t.Context()) }()
		synctest.Wait()
		if batch, _ := g.Head(); batch != 0 || g.Halted() != nil {
			t.Errorf("during Sync it is at batch %d, halted %v", batch, g.Halted())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for name, ask := range map[string]func() error{
			"Commit": func() error { _, err := g.Commit(ctx, w.proposal(), roast.CommitRequest{}); return err },
			"Sign":   func() error { _, err := g.Sign(ctx, roast.SignRequest{}); return err },
		} {
			if err := ask(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
				t.Errorf("%s during Sync: %v after %v", name, err, time.Since(began))
			}
		}
		if err := <-synced; !errors.Is(err, guardian.ErrStalled) || time.Since(began) > 2*time.Minute {
			t.Errorf("Sync ends after %v with: %v", time.Since(began), err)
		}
		if batch, _ := g.Head(); batch != 2 {
			t.Errorf("after Sync it is at batch %d, want 2", batch)
		}
	})
}

// Nonces that were given out sign nothing once the books have moved on, or the
// node contradicts them.
func TestNoncesAreOfTheirTime(t *testing.T) {
	t.Run("the settlement is posted", func(t *testing.T) {
		w := newTown(t)
		s := w.session()
		w.Mine(w.Sign(w.built))
		w.Bury()
		if err := w.guardians[0].Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		a, err := w.guardians[0].Sign(t.Context(), s)
		checkRefused(t, err, "is not in flight any more")
		if a.Signatures != nil {
			t.Error("it signed")
		}
	})
	t.Run("the node has another block", func(t *testing.T) {
		w := newTown(t)
		s := w.session()
		w.Deposit(w.ann.ID, 70_000)
		blocks := w.Chain.Drop(int(w.Charter.Depth))
		for range blocks {
			w.Chain.Mine()
		}
		var fact *netting.FactError
		if err := w.guardians[0].Sync(t.Context()); !errors.As(err, &fact) {
			t.Fatalf("Sync: %v, want a fact that differs", err)
		}
		a, err := w.guardians[0].Sign(t.Context(), s)
		checkSilent(t, a, err, roast.ErrNoNonces)
	})
}

// A guardian that has a proof against the operator never signs again, however
// often it is started and whatever it is shown now.
func TestProofOutlivesARestart(t *testing.T) {
	w := newTown(t)
	config := w.config(w.Shares[0])
	config.Proof = &guardian.Equivocation{}
	g := w.guardian(config)
	var halted *guardian.HaltError
	var twice *guardian.Equivocation
	for name, err := range map[string]error{
		"Halted": g.Halted(),
		"Sync":   g.Sync(t.Context()),
		"Commit": func() error { _, err := g.Commit(t.Context(), w.proposal(), w.request()); return err }(),
		"Sign":   func() error { _, err := g.Sign(t.Context(), roast.SignRequest{}); return err }(),
	} {
		if !errors.As(err, &halted) || !errors.As(err, &twice) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a guardian kept badly is no proof against the operator.
func TestDamagedHeadersAccuseNobody(t *testing.T) {
	w := newTown(t)
	headers, err := guardian.OpenHeaders(filepath.Join(t.TempDir(), "headers"))
	if err != nil {
		t.Fatal(err)
	}
	defer headers.Close()
	mallory, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := ledger.Header{Bank: w.Charter.ID(), Number: 1, Count: 1}.Sign(mallory)
	if err != nil {
		t.Fatal(err)
	}
	if err := headers.Take(&wrong); err != nil {
		t.Fatal(err)
	}
	config := w.config(w.Shares[0])
	config.Headers = headers
	err = w.guardian(config).Sync(t.Context())
	var twice *guardian.Equivocation
	var halted *guardian.HaltError
	if errors.As(err, &twice) || !errors.As(err, &halted) {
		t.Errorf("a damaged file of headers: %v", err)
	}
}

// Two headers of one number are a proof, whatever else is wrong with the batch of
// the second; one that the operator has not signed is none.
func TestSecondHeaderIsAProof(t *testing.T) {
	w := newTown(t)
	mallory, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	height, _ := w.Books.Block()
	invent := func(entries [][]byte) [][]byte {
		return append(entries, ledger.Entry{Event: &ledger.Deposit{OutPoint: ledger.OutPoint{Vout: 9}, Amount: 9,
			Height: height, TxIndex: 99}}.Bytes())
	}
	for _, tt := range []struct {
		name   string
		tamper func(j *audittest.Journal)
		proof  bool
	}{
		{"a deposit that is left out", func(j *audittest.Journal) {
			w.Reseal(j, func(entries [][]byte) [][]byte { return entries[:len(entries)-1] })
		}, true},
		{"a deposit that the chain does not show", func(j *audittest.Journal) { w.Reseal(j, invent) }, true},
		{"an entry that cannot be read", func(j *audittest.Journal) {
			w.Reseal(j, func(entries [][]byte) [][]byte { return append(entries, []byte{0xff}) })
		}, true},
		{"signed by somebody else", func(j *audittest.Journal) {
			last := (*j)[len(*j)-1]
			entries := invent(last.Entries)
			header := last.Header.Header
			header.Root, header.Count = audittest.RootOf(entries), uint32(len(entries))
			(*j)[len(*j)-1] = audittest.Sign(t, mallory, header, entries)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			journal := w.Journal.Clone()
			*journal = (*journal)[:w.lastWithDeposit(t)+1]
			config := w.config(w.Shares[0])
			config.Journal = journal
			path := filepath.Join(t.TempDir(), "headers")
			for _, show := range []func(){func() {}, func() { tt.tamper(journal) }} {
				if config.Headers, err = guardian.OpenHeaders(path); err != nil {
					t.Fatal(err)
				}
				show()
				err = w.guardian(config).Sync(t.Context())
				config.Headers.Close()
				if err != nil {
					break
				}
			}
			var halted *guardian.HaltError
			var twice *guardian.Equivocation
			if errors.As(err, &halted) != tt.proof || errors.As(err, &twice) != tt.proof || err == nil || twice != nil && !twice.Verify(&w.Charter) {
				t.Errorf("got %v, want a proof: %t", err, tt.proof)
			}
		})
	}
}

// lastWithDeposit is the place in the journal of the last batch with a deposit.
func (w *town) lastWithDeposit(t *testing.T) int {
	t.Helper()
	for i := len(*w.Journal) - 1; i >= 0; i-- {
		for _, raw := range (*w.Journal)[i].Entries {
			if e, err := ledger.DecodeEntry(raw); err == nil && e.Event != nil && e.Event.Kind() == (&ledger.Deposit{}).Kind() {
				return i
			}
		}
	}
	t.Fatal("there is none")
	return 0
}
