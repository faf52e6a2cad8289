package guardian_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// session is what a coordinator makes of the first t guardians' nonces: what it
// asks guardian 0 to sign.
func (w *town) session() roast.SignRequest {
	w.Helper()
	s := roast.SignRequest{Request: w.request().Request, Session: 1}
	byInput := make([]map[frost.ID]frost.PublicNonce, len(w.built.Tx.TxIn))
	for i := range byInput {
		byInput[i] = make(map[frost.ID]frost.PublicNonce)
	}
	for _, g := range w.guardians[:audittest.Threshold] {
		nonces, err := g.Commit(w.Context(), w.proposal(), w.request())
		if err != nil {
			w.Fatal(err)
		}
		if g.ID() == 0 {
			s.Commitment = roast.NewCommitmentID(nonces)
		}
		s.Signers = append(s.Signers, g.ID())
		for i, n := range nonces {
			byInput[i][g.ID()] = n
		}
	}
	for _, nonces := range byInput {
		sum, err := frost.NonceAgg(nonces)
		if err != nil {
			w.Fatal(err)
		}
		s.Nonces = append(s.Nonces, sum)
	}
	return s
}

// checkSilent asserts that nothing was signed and why.
func checkSilent(t *testing.T, a roast.Answer, err, want error) {
	t.Helper()
	if a.Signatures != nil || a.Next != nil || !errors.Is(err, want) {
		t.Errorf("%d signatures, %v; want %v", len(a.Signatures), err, want)
	}
}

// No nonce serves two signatures, whatever a coordinator asks for.
func TestNoncesAreUsedOnce(t *testing.T) {
	w := newTown(t)
	t.Run("without round one", func(t *testing.T) {
		s := roast.SignRequest{Request: w.request().Request, Session: 1, Signers: []frost.ID{0, 1, 2}, Nonces: make([]frost.AggregateNonce, 3)}
		a, err := w.guardians[0].Sign(t.Context(), s)
		checkSilent(t, a, err, roast.ErrNoNonces)
	})
	for _, tt := range []struct {
		name string
		// first is asked of guardian 0 before the right session.
		first func(t *testing.T, s roast.SignRequest)
		want  error // of the right session, asked for after it
	}{
		{"once", func(*testing.T, roast.SignRequest) {}, nil},
		{"twice", func(t *testing.T, s roast.SignRequest) {
			if a, err := w.guardians[0].Sign(t.Context(), s); err != nil || len(a.Signatures) != len(s.Nonces) {
				t.Fatalf("%d signatures, %v", len(a.Signatures), err)
			}
		}, roast.ErrNoNonces},
		{"in another session", func(t *testing.T, s roast.SignRequest) {
			other := s
			other.Session++
			other.Nonces = append([]frost.AggregateNonce{s.Nonces[1], s.Nonces[0]}, s.Nonces[2:]...)
			if a, err := w.guardians[0].Sign(t.Context(), other); err != nil || len(a.Signatures) != len(s.Nonces) {
				t.Fatalf("%d signatures, %v", len(a.Signatures), err)
			}
		}, roast.ErrNoNonces},
		{"after newer ones", func(*testing.T, roast.SignRequest) { w.session() }, roast.ErrNoNonces},
		{"after a restart", func(*testing.T, roast.SignRequest) {
			w.guardians[0] = w.guardian(w.config(w.Shares[0]))
		}, roast.ErrNoNonces},
		{"after the next settlement", func(*testing.T, roast.SignRequest) {
			w.Mine(w.Sign(w.built))
			w.Bury()
			w.Withdraw(w.ann, 50_000, 1_000, audittest.Script("ann outside"))
			w.built = w.Cut(3_000)
			w.session()
		}, roast.ErrNoNonces},
		// What does not fit uses no nonce up.
		{"after a wrong number of nonces", func(t *testing.T, s roast.SignRequest) {
			s.Nonces = s.Nonces[1:]
			a, err := w.guardians[0].Sign(t.Context(), s)
			checkSilent(t, a, err, frost.ErrAggregateNonce)
		}, nil},
		{"after an impossible session", func(t *testing.T, s roast.SignRequest) {
			s.Signers = []frost.ID{1, 2, 3}
			a, err := w.guardians[0].Sign(t.Context(), s)
			checkSilent(t, a, err, frost.ErrNotSigner)
		}, nil},
		{"after nonces that were never given", func(t *testing.T, s roast.SignRequest) {
			s.Commitment[3] ^= 1
			a, err := w.guardians[0].Sign(t.Context(), s)
			checkSilent(t, a, err, roast.ErrNoNonces)
		}, nil},
		{"after an unknown request", func(t *testing.T, s roast.SignRequest) {
			s.Request[3] ^= 1
			a, err := w.guardians[0].Sign(t.Context(), s)
			checkSilent(t, a, err, roast.ErrNoNonces)
		}, nil},
		{"after a refusal", func(t *testing.T, s roast.SignRequest) {
			p := w.proposal()
			p.Tx = nil
			_, err := w.guardians[0].Commit(t.Context(), p, w.request())
			checkRefused(t, err, "is not the one that the books give")
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := w.session()
			tt.first(t, s)
			a, err := w.guardians[0].Sign(t.Context(), s)
			switch {
			case tt.want != nil:
				checkSilent(t, a, err, tt.want)
			case err != nil || len(a.Signatures) != len(s.Nonces):
				t.Errorf("%d signatures, %v", len(a.Signatures), err)
			}
		})
	}
	t.Run("fresh in every round", func(t *testing.T) {
		seen := make(map[frost.PublicNonce]bool)
		look := func(nonces []frost.PublicNonce) {
			if len(nonces) != len(w.built.Tx.TxIn) {
				t.Errorf("%d nonces", len(nonces))
			}
			for _, n := range nonces {
				if seen[n] {
					t.Error("a nonce was given out twice")
				}
				seen[n] = true
			}
		}
		for range 3 {
			nonces, err := w.guardians[0].Commit(t.Context(), w.proposal(), w.request())
			if err != nil {
				t.Fatal(err)
			}
			look(nonces)
			a, err := w.guardians[0].Sign(t.Context(), w.session())
			if err != nil {
				t.Fatal(err)
			}
			look(a.Next)
		}
	})
}

// A guardian gives nonces for the messages that it would sign itself, whatever
// the coordinator calls them.
func TestGuardianRefusesOtherMessages(t *testing.T) {
	w := newTown(t)
	for _, tt := range []struct {
		name   string
		change func(r *roast.CommitRequest)
	}{
		{"another request", func(r *roast.CommitRequest) { r.Request[31] ^= 1 }},
		{"no request", func(r *roast.CommitRequest) { *r = roast.CommitRequest{} }},
		{"a message too few", func(r *roast.CommitRequest) { r.Messages-- }},
		{"a message too many", func(r *roast.CommitRequest) { r.Messages++ }},
		{"the same inputs with other outputs", func(r *roast.CommitRequest) {
			other := *w.built
			other.Tx = w.built.Tx.Copy()
			other.Tx.TxOut[1].PkScript = audittest.Script("mallory")
			forged := &town{Bank: w.Bank, built: &other}
			*r = forged.request()
		}},
		{"the inputs in another order", func(r *roast.CommitRequest) {
			messages, err := guardian.Messages(w.built, 0)
			if err != nil {
				t.Fatal(err)
			}
			messages[0], messages[1] = messages[1], messages[0]
			if r.Request, err = roast.NewRequestID(w.Group, messages); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := w.request()
			tt.change(&request)
			nonces, err := w.guardians[0].Commit(t.Context(), w.proposal(), request)
			if nonces != nil {
				t.Errorf("%d nonces were given out", len(nonces))
			}
			checkRefused(t, err, "is not what this signer would sign")
		})
	}
}

// A guardian that is closed has neither nonces nor a share.
func TestClosedGuardian(t *testing.T) {
	w := newTown(t)
	s := w.session()
	g := w.guardians[0]
	g.Close()
	a, err := g.Sign(t.Context(), s)
	checkSilent(t, a, err, roast.ErrClosed)
	if nonces, err := g.Commit(t.Context(), w.proposal(), w.request()); nonces != nil || err == nil {
		t.Errorf("%d nonces, %v", len(nonces), err)
	}
	if _, err := w.Shares[0].Reveal(); !errors.Is(err, frost.ErrShareWiped) {
		t.Errorf("the share is still there: %v", err)
	}
}

// A node, members and several coordinators talk to one guardian at once; run
// with -race. Each coordinator either gets a whole signature or is told.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the pauses between two tries cost nothing
		w := newTown(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, g := range w.guardians {
					if err := g.Sync(t.Context()); err != nil {
						t.Error(err)
					}
					g.Head()
					g.ID()
				}
			})
			wg.Go(func() {
				sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
				var failed *roast.NoQuorumError
				if err == nil && len(sigs) == len(w.built.Tx.TxIn) {
					return
				}
				if !errors.As(err, &failed) {
					t.Errorf("%d signatures, %v", len(sigs), err)
				}
			})
		}
		wg.Wait()
		sigs, err := w.sign(t.Context(), slog.DiscardHandler, w.peers())
		w.checkSigned(t, sigs, err)
	})
}
