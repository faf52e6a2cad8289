package audit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// saved audits the story and returns the state to go on from.
func (s *story) saved() []byte {
	s.Helper()
	a, err := audit.New(s.Context(), s.config())
	if err != nil {
		s.Fatal(err)
	}
	if r, err := a.Round(s.Context()); err != nil || !r.OK {
		s.Fatalf("%+v, %v", r, err)
	}
	var state bytes.Buffer
	if err := a.Save(&state); err != nil {
		s.Fatal(err)
	}
	return state.Bytes()
}

func (s *story) resume(state []byte) (*audit.Report, *audit.Audit, error) {
	s.Helper()
	a, err := audit.Resume(s.Context(), s.config(), state)
	if err != nil {
		return nil, nil, err
	}
	r, err := a.Round(s.Context())
	return r, a, err
}

// goOn is what happens to the bank after a state was saved: everything that an audit
// has to remember plays a part in it.
func (s *story) goOn() {
	s.Helper()
	s.Pay(s.ann, s.bob, 3)
	s.Withdraw(s.bob, 20_000, 1_000, audittest.Script("bob outside"))
	s.Rekey(2, 4)
	s.Deposit(s.ann.ID, 40_000) // to an address of the founding
	s.Settle(2_000)
	s.Open("carl")
	s.Deposit(18, 5_000)
	s.publish()
}

// An audit that goes on says, in the end, what one that begins at the first batch says,
// and reads nothing again but the batch at which it stood.
func TestResume(t *testing.T) {
	// replace pays more for the settlement in flight, and for what has come since.
	replace := func(s *story, amount ledger.Amount) *netting.Transaction {
		s.Pay(s.ann, s.bob, 7)
		s.Withdraw(s.ann, amount, 1_000, audittest.Script("ann elsewhere"))
		return s.Replace(netting.Bid{FeeRate: int64(amount), Ceiling: 100_000})
	}
	for _, tt := range []struct {
		name string
		// meanwhile is what happens to the settlement that was in flight when the state
		// was saved; it returns what is mined.
		meanwhile func(s *story, first *netting.Transaction) *netting.Transaction
	}{
		{"the settlement is mined", func(_ *story, first *netting.Transaction) *netting.Transaction { return first }},
		{"it is replaced", func(s *story, _ *netting.Transaction) *netting.Transaction { return replace(s, 10_000) }},
		{"it is replaced twice", func(s *story, _ *netting.Transaction) *netting.Transaction {
			replace(s, 10_000)
			return replace(s, 11_000)
		}},
		{"it is replaced, and mined as it was", func(s *story, first *netting.Transaction) *netting.Transaction {
			replace(s, 10_000)
			return first
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			s.Withdraw(s.ann, 50_000, 1_000, audittest.Script("ann outside"))
			first := s.Cut(2_000)
			s.publish()
			state, at := s.saved(), len(*s.journal)
			s.Mine(s.Sign(tt.meanwhile(s, first)))
			s.Bury()
			s.goOn()
			s.checkResumed(state, at)
		})
	}
	t.Run("between two versions", func(t *testing.T) {
		s := newStory(t)
		s.Withdraw(s.ann, 50_000, 1_000, audittest.Script("ann outside"))
		s.Cut(2_000)
		second := replace(s, 10_000)
		s.publish()
		state := s.saved()
		replace(s, 11_000)
		s.publish()
		state, at := s.savedAgain(state), len(*s.journal)
		s.Mine(s.Sign(second))
		s.Bury()
		s.goOn()
		s.checkResumed(state, at)
	})
}

// savedAgain goes on from a state and returns the next.
func (s *story) savedAgain(state []byte) []byte {
	s.Helper()
	r, a, err := s.resume(state)
	if err != nil || !r.OK {
		s.Fatalf("%+v, %v", r, err)
	}
	var next bytes.Buffer
	if err := a.Save(&next); err != nil {
		s.Fatal(err)
	}
	return next.Bytes()
}

// checkResumed compares an audit that goes on from a state with one from the first batch.
// Of what the state holds only its last batch, at, is left to be read.
func (s *story) checkResumed(state []byte, at int) {
	t := s.TB
	t.Helper()
	want, err := audit.New(t.Context(), s.config())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := want.Round(t.Context())
	if err != nil || !whole.OK {
		t.Fatalf("%+v, %v", whole, err)
	}
	*s.journal = (*s.journal)[at-1:]
	r, a, err := s.resume(state)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, whole) {
		t.Errorf("going on gives %+v, from the first batch it is %+v", r, whole)
	}
	if !reflect.DeepEqual(a.History(), want.History()) {
		t.Errorf("going on remembers %+v, from the first batch it is %+v", a.History(), want.History())
	}
}

// Rounds of one audit see what came since.
func TestRounds(t *testing.T) {
	s := newStory(t)
	c := s.config()
	c.Journal = s.Bank.Journal // grows
	a, err := audit.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r, err := a.Round(t.Context())
		if err != nil || !r.OK || r.Batches != s.Books.Last().Number || r.LedgerSat != s.Books.Liabilities() {
			t.Fatalf("%+v, %v", r, err)
		}
		if again, err := a.Round(t.Context()); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("nothing came, and the report is %+v, %v; it was %+v", again, err, r)
		}
		s.Deposit(s.ann.ID, 10_000)
		s.Pay(s.ann, s.bob, 1)
		s.publish()
	}
}

// A node that is away or behind ends a round, and nothing of what was found is lost:
// the next says what an audit from the first batch says.
func TestRoundAfterAnError(t *testing.T) {
	for _, tt := range []struct {
		name        string
		spoil, mend func(s *story)
	}{
		{"the node away", func(s *story) { s.Chain.Away(errors.New("away")) }, func(s *story) { s.Chain.Away(nil) }},
		{"the node behind", func(s *story) { s.dropped = s.Chain.Drop(3) }, func(s *story) { s.Chain.Restore(s.dropped) }},
		{"the last block not deep enough", func(s *story) { s.dropped = s.Chain.Drop(1) }, func(s *story) { s.Chain.Restore(s.dropped) }},
		{"a theft, and the last block not deep enough", func(s *story) {
			s.steal(s.Books.Coins()[1])
			s.dropped = s.Chain.Drop(1)
		}, func(s *story) { s.Chain.Restore(s.dropped) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			c := s.config()
			c.Journal = s.Bank.Journal
			a, err := audit.New(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := a.Round(t.Context()); err != nil || !r.OK {
				t.Fatalf("%+v, %v", r, err)
			}
			s.goOn()
			tt.spoil(s)
			var unchecked *audit.UncheckedError
			if r, err := a.Round(t.Context()); !errors.As(err, &unchecked) {
				t.Fatalf("%+v, %v", r, err)
			}
			tt.mend(s)
			got, err := a.Round(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want, err := audit.Run(t.Context(), c)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%v, got %+v\nwant %+v", err, got, want)
			}
		})
	}
}

// Each row spoils what an audit goes on from, and says what it answers: a difference
// where the bank is to blame, an error where nothing is proved.
func TestResumeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(s *story, state []byte)
		err   error
		want  string
	}{
		{"a state with a byte changed", func(s *story, state []byte) { state[len(state)-100] ^= 1 }, audit.ErrState, "its bytes were changed"},
		{"no state", func(s *story, state []byte) { state[0] ^= 1 }, audit.ErrState, "it is none"},
		{"a state of another bank", func(s *story, state []byte) { s.Charter.Name = "another" }, audit.ErrState, "it is of another bank"},
		{"a chain that lost the state's block", func(s *story, state []byte) {
			s.Chain.Drop(audittest.Depth + 1)
			for range audittest.Depth + 2 {
				s.Chain.Mine()
			}
		}, audit.ErrReorganised, "without the state"},
		{"a second history", func(s *story, state []byte) {
			s.Bank.Reseal(s.journal, func(e [][]byte) [][]byte {
				o := s.Next(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: 5}}})
				if err := o.Sign(s.ann.Key); err != nil {
					s.Fatal(err)
				}
				return append(e, o.Bytes())
			})
		}, nil, "batch 14 was shown with the header"},
		{"a journal that was taken back", func(s *story, state []byte) {
			*s.journal = (*s.journal)[:12]
		}, nil, "was replayed before and is not in the journal now"},
		{"a journal with a gap", func(s *story, state []byte) {
			s.Pay(s.ann, s.bob, 3)
			s.publish()
			*s.journal = append((*s.journal)[:13], (*s.journal)[14:]...)
		}, nil, "the journal now goes on with batch 15"},
		{"a last batch that somebody changed", func(s *story, state []byte) { s.lastBatch().Entries[0][100]++ }, nil, "its entries have the root"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			state := s.saved()
			tt.spoil(s, state)
			r, a, err := s.resume(state)
			if tt.err != nil {
				if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("%+v, %v; want %v: %s", r, err, tt.err, tt.want)
				}
				return
			}
			if err != nil || r.OK || r.First.Check != audit.CheckJournal || !strings.Contains(r.First.Text, tt.want) {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := a.Save(&bytes.Buffer{}); err == nil {
				t.Error("an audit that found a difference is saved")
			}
			if tt.name != "a second history" {
				return
			}
			if len(r.First.Headers) != 2 {
				t.Fatalf("the evidence is %v", r.First.Headers)
			}
			for _, text := range r.First.Headers {
				h, err := ledger.DecodeSignedHeader(unhex(t, text))
				if err != nil || h.Number != 14 || !h.Verify(s.Charter.Operator) {
					t.Errorf("header %+v proves nothing: %v", h, err)
				}
			}
		})
	}
}

// What a state remembers of coins that the books leave out is not lost.
func TestResumeKeepsTheWatch(t *testing.T) {
	s := newStory(t)
	const ahead = 18 + 100
	s.Mine(s.Payment(s.To(taproot.Deposit, ahead, 2_222))) // further than the bank watches
	s.Bury()
	s.publish()
	state := s.saved()
	for i := range 3 {
		s.Open(string(rune('p' + i)))
	}
	s.Deposit(s.ann.ID, 1_000)
	s.publish()
	if r, _, err := s.resume(state); err != nil || !r.OK || r.OutsideSat != 2_222 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
