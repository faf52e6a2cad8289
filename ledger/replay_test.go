package ledger_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

// history is a bank's first six batches, with every kind of entry:
//
//	1  open ann, open bob, open cas
//	2  block, deposit to ann, deposit to the treasury
//	3  ann pays bob, ann pays bob again, bob pays ann, bob withdraws
//	4  ann pays bob, cut
//	5  bob pays ann, block, settled
//	6  close cas
//
// It returns the bank and the fingerprints of its books after each batch.
func history(t testing.TB) (b *bank, after []string) {
	t.Helper()
	b = newBank(t)
	seal := func() { b.seal(); after = append(after, b.Fingerprint()) }
	ann, bob, cas := b.open("ann"), b.open("bob"), b.open("cas")
	seal()
	b.block()
	coin := b.deposit(ann.id, 100_000)
	b.deposit(ledger.Treasury, 5_000)
	seal()
	b.order(ann, pay(bob.id, 20_000))
	b.order(ann, pay(bob.id, 10_000))
	b.order(bob, pay(ann.id, 5_000))
	b.order(bob, withdraw(8_000, 500))
	seal()
	b.order(ann, pay(bob.id, 1))
	b.event(&ledger.Cut{Settlement: 1, Version: 1, FeeRate: 2_000, Fee: 600, Inputs: []ledger.OutPoint{coin},
		Payouts: []ledger.CutPayout{{Payer: bob.id, Sequence: 2, FeeShare: 200}}})
	seal()
	b.order(bob, pay(ann.id, 2))
	b.block()
	b.event(&ledger.Settled{Settlement: 1, Version: 1, TxID: hashOf("settlement 1"), ChangeVout: 1})
	seal()
	b.order(cas, &ledger.Close{})
	seal()
	return b, after
}

// replay appends batches to fresh books until one is refused.
func replay(t testing.TB, batches []*ledger.Batch, checks ledger.Checks) (*ledger.State, error) {
	t.Helper()
	s, err := ledger.NewState(testCharter())
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range batches {
		if err := s.Append(batch, checks); err != nil {
			return s, err
		}
	}
	return s, nil
}

func TestReplayIsTheSameBooks(t *testing.T) {
	b, after := history(t)
	for _, checks := range []ledger.Checks{ledger.CheckChain, ledger.CheckAll} {
		for n := range b.batches {
			s, err := replay(t, b.batches[:n+1], checks)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Fingerprint(); got != after[n] {
				t.Errorf("replayed to batch %d with checks %d the books are\n%s\nthey were\n%s", n+1, checks, got, after[n])
			}
			if err := s.CheckInvariants(); err != nil {
				t.Error(err)
			}
			if s.Last() != b.batches[n].Header.Header || s.Head() != b.batches[n].Header.Hash() {
				t.Errorf("the head after batch %d is %+v %s", n+1, s.Last(), s.Head())
			}
		}
	}
}

// The books that a settlement anchors are a function of the journal alone, and
// commit to the header of the cut's batch and to every balance at the cut.
func TestBooksAtTheCut(t *testing.T) {
	b, _ := history(t)
	var hashes []ledger.Hash
	for range 2 {
		s, err := replay(t, b.batches[:4], ledger.CheckChain)
		if err != nil {
			t.Fatal(err)
		}
		open := s.Open()
		hashes = append(hashes, open.Books.Hash())
		if open.Batch != 4 || open.Books.Header != b.batches[3].Header.Hash() || open.Books.Accounts != 19 {
			t.Errorf("the settlement in flight is %+v", open)
		}
		if open.Books.Root.Sum != s.Liabilities() {
			t.Errorf("the books' sum is %v, the liabilities are %v", open.Books.Root.Sum, s.Liabilities())
		}
		owed := make([]int64, s.Accounts())
		for id := range owed {
			if ledger.AccountID(id) != ledger.Vault {
				owed[id] = int64(s.Balance(ledger.AccountID(id)))
			}
		}
		root, sum := handSum(0, owed)
		var headers []handHash
		for _, batch := range b.batches[:4] {
			headers = append(headers, handTag("daobank/header", handHeader(&batch.Header.Header)))
		}
		if want := handBooks(headers[3], 4, handJournal(headers), uint32(len(owed)), root, sum); open.Books.Hash() != want {
			t.Errorf("the books' hash is %s, by hand %x", open.Books.Hash(), want)
		}
	}
	if hashes[0] != hashes[1] {
		t.Errorf("two replays give the books %s and %s", hashes[0], hashes[1])
	}
}

func TestTamperedHistoryRefused(t *testing.T) {
	good, _ := history(t)
	other, _ := btcec.NewPrivateKey()
	var transferToBob, transferToAnn = good.batches[2].Entries[0], good.batches[2].Entries[2]
	for _, tt := range []struct {
		name   string
		batch  uint64                              // the one that is changed
		change func(t *testing.T, b *ledger.Batch) // makes what a liar would
		number uint64                              // named by the error, if not batch
		entry  int                                 // named by the error
		code   ledger.Code                         // of the refusal inside, if any
	}{
		// Somebody on the way changes a batch: the operator's signature.
		{name: "signature changed", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Header.Signature[7] ^= 1 }, entry: -1},
		{name: "signature missing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Header.Signature = ledger.Signature{} }, entry: -1},
		{name: "signed by another key", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Header, _ = b.Header.Sign(other) }, entry: -1},
		{name: "signature of another header", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Header.Signature = good.batches[1].Header.Signature }, entry: -1},
		{name: "root changed after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Header.Root[0] ^= 1 }, entry: -1},
		{name: "time changed after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Header.Time++ }, entry: -1},
		{name: "entry removed after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Entries = b.Entries[1:] }, entry: -1},
		{name: "entry added after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Entries = append(b.Entries, transferToAnn) }, entry: -1},
		{name: "entries reordered after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { swap(b.Entries, 0, 2) }, entry: -1},
		{name: "entry replaced after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Entries[1] = transferToAnn }, entry: -1},
		{name: "entry's signature changed after signing", batch: 3, change: func(t *testing.T, b *ledger.Batch) { b.Entries[1] = corrupt(b.Entries[1], len(b.Entries[1])-1) }, entry: -1},

		// The operator lies in the header and signs it.
		{name: "header of another bank", batch: 3, change: header(func(h *ledger.Header) { h.Bank[0] ^= 1 }), entry: -1},
		{name: "number skipped", batch: 3, change: header(func(h *ledger.Header) { h.Number++ }), number: 4, entry: -1},
		{name: "number repeated", batch: 3, change: header(func(h *ledger.Header) { h.Number-- }), number: 2, entry: -1},
		{name: "first batch numbered 0", batch: 1, change: header(func(h *ledger.Header) { h.Number = 0 }), number: 0, entry: -1},
		{name: "another previous", batch: 3, change: header(func(h *ledger.Header) { h.Previous[0] ^= 1 }), entry: -1},
		{name: "first batch without the bank's id", batch: 1, change: header(func(h *ledger.Header) { h.Previous = ledger.Hash{} }), entry: -1},
		{name: "time going back", batch: 3, change: header(func(h *ledger.Header) { h.Time = good.batches[1].Header.Time - 1 }), entry: -1},
		{name: "epoch falling", batch: 3, change: header(func(h *ledger.Header) { h.Epoch = 0 }), entry: -1},
		{name: "another root", batch: 3, change: header(func(h *ledger.Header) { h.Root[0] ^= 1 }), entry: -1},
		{name: "count too high", batch: 3, change: header(func(h *ledger.Header) { h.Count++ }), entry: -1},
		{name: "count too low", batch: 3, change: header(func(h *ledger.Header) { h.Count-- }), entry: -1},
		{name: "no entries", batch: 3, change: lie(func(b *ledger.Batch) { b.Entries = nil }), entry: -1},
		{name: "more entries than a batch has", batch: 3, change: header(func(h *ledger.Header) { h.Count = ledger.MaxBatch + 1 }), entry: -1},

		// The operator lies about the entries and makes root, count and signature fit.
		{name: "first order removed", batch: 3, change: lie(func(b *ledger.Batch) { b.Entries = b.Entries[1:] }), entry: 0, code: ledger.CodeSequenceGap},
		{name: "order removed that another payer's money came from", batch: 3, change: lie(func(b *ledger.Batch) { b.Entries = b.Entries[2:] }), entry: 0, code: ledger.CodeFunds},
		{name: "order repeated", batch: 3, change: lie(func(b *ledger.Batch) { b.Entries = slices.Insert(b.Entries, 1, b.Entries[0]) }), entry: 1, code: ledger.CodeSequenceUsed},
		{name: "order of an earlier batch repeated", batch: 4, change: lie(func(b *ledger.Batch) { b.Entries = slices.Insert(b.Entries, 0, transferToBob) }), entry: 0, code: ledger.CodeSequenceUsed},
		{name: "orders of one payer reordered", batch: 3, change: lie(func(b *ledger.Batch) { swap(b.Entries, 0, 1) }), entry: 0, code: ledger.CodeSequenceGap},
		{name: "deposit before its block", batch: 2, change: lie(func(b *ledger.Batch) { swap(b.Entries, 0, 1) }), entry: 0, code: ledger.CodeEvent},
		{name: "deposits reordered", batch: 2, change: lie(func(b *ledger.Batch) { swap(b.Entries, 1, 2) }), entry: 2, code: ledger.CodeEvent},
		{name: "deposit repeated", batch: 2, change: lie(func(b *ledger.Batch) { b.Entries = append(b.Entries, b.Entries[1]) }), entry: 3, code: ledger.CodeEvent},
		{name: "open repeated", batch: 1, change: lie(func(b *ledger.Batch) { b.Entries[1] = b.Entries[0] }), entry: 1, code: ledger.CodeExists},
		{name: "settled before the cut", batch: 4, change: lie(func(b *ledger.Batch) { b.Entries[1] = good.batches[4].Entries[2] }), entry: 1, code: ledger.CodeEvent},
		{name: "order after the cut", batch: 4, change: lie(func(b *ledger.Batch) { swap(b.Entries, 0, 1) }), entry: 1, code: ledger.CodeEvent},
		{name: "entry cut short", batch: 3, change: lie(func(b *ledger.Batch) { b.Entries[2] = b.Entries[2][:99] }), entry: 2, code: ledger.CodeMalformed},
		{name: "empty entry", batch: 3, change: lie(func(b *ledger.Batch) { b.Entries[3] = nil }), entry: 3, code: ledger.CodeMalformed},
		{name: "entry of no known kind", batch: 2, change: lie(func(b *ledger.Batch) { b.Entries[1] = []byte{1, 99} }), entry: 1, code: ledger.CodeMalformed},

		// The operator forges orders.
		{name: "amount changed", batch: 4, change: forge(0, func(o *ledger.Order) { o.Body = pay(17, 50_000) }), entry: 0},
		{name: "amount changed in the middle of a payer's chain", batch: 3, change: forge(0, func(o *ledger.Order) { o.Body = pay(17, 20_001) }), entry: 1, code: ledger.CodePrevious},
		{name: "order signed by another key", batch: 4, change: func(t *testing.T, b *ledger.Batch) {
			forge(0, func(o *ledger.Order) { signed(t, privateKey("bob"), o) })(t, b)
		}, entry: 0},
		{name: "order not signed", batch: 4, change: forge(0, func(o *ledger.Order) { o.Signature = ledger.Signature{} }), entry: 0},
		{name: "signature of another order", batch: 3, change: func(t *testing.T, b *ledger.Batch) {
			donor, _ := ledger.DecodeOrder(b.Entries[0])
			forge(1, func(o *ledger.Order) { o.Signature = donor.Signature })(t, b)
		}, entry: 1},
		{name: "the second and the last order forged", batch: 3, change: func(t *testing.T, b *ledger.Batch) {
			forge(3, func(o *ledger.Order) { o.Signature[0] ^= 1 })(t, b)
			forge(1, func(o *ledger.Order) { o.Signature[0] ^= 1 })(t, b)
		}, entry: 1},
		{name: "open signed by another key", batch: 1, change: func(t *testing.T, b *ledger.Batch) {
			forge(2, func(o *ledger.Order) { signed(t, privateKey("ann"), o) })(t, b)
		}, entry: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := replay(t, good.batches[:tt.batch-1], ledger.CheckAll)
			if err != nil {
				t.Fatal(err)
			}
			bad := &ledger.Batch{Header: good.batches[tt.batch-1].Header, Entries: slices.Clone(good.batches[tt.batch-1].Entries)}
			tt.change(t, bad)
			before := s.Fingerprint()
			err = s.Append(bad, ledger.CheckAll)
			var history *ledger.HistoryError
			if !errors.As(err, &history) {
				t.Fatalf("got %v, want a HistoryError", err)
			}
			number := tt.batch
			if bad.Header.Number != tt.batch {
				number = tt.number
			}
			if history.Batch != number || history.Entry != tt.entry || ledger.CodeOf(err) != tt.code {
				t.Errorf("got batch %d entry %d code %q (%v), want batch %d entry %d code %q",
					history.Batch, history.Entry, ledger.CodeOf(err), err, number, tt.entry, tt.code)
			}
			if after := s.Fingerprint(); tt.entry < 0 && after != before {
				t.Errorf("a batch refused for its header changed the books\nbefore %s\nafter  %s", before, after)
			}
		})
	}
}

// CheckChain leaves the members' signatures to who has checked them already;
// everything else it refuses as CheckAll does.
func TestCheckChainLooksAtNoMemberSignature(t *testing.T) {
	good, _ := history(t)
	for _, tt := range []struct {
		checks ledger.Checks
		want   bool
	}{{ledger.CheckChain, true}, {ledger.CheckAll, false}} {
		s, err := replay(t, good.batches[:3], ledger.CheckAll)
		if err != nil {
			t.Fatal(err)
		}
		bad := &ledger.Batch{Header: good.batches[3].Header, Entries: slices.Clone(good.batches[3].Entries)}
		forge(0, func(o *ledger.Order) { o.Signature[0] ^= 1 })(t, bad)
		if err := s.Append(bad, tt.checks); (err == nil) != tt.want {
			t.Errorf("checks %d: %v", tt.checks, err)
		}
	}
}

func TestBatchesOutOfOrderRefused(t *testing.T) {
	good, _ := history(t)
	for _, tt := range []struct {
		name  string
		order []int
		want  uint64
	}{
		{"one missing", []int{0, 1, 3}, 4},
		{"first missing", []int{1}, 2},
		{"one twice", []int{0, 1, 1}, 2},
		{"two swapped", []int{0, 2, 1}, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var batches []*ledger.Batch
			for _, i := range tt.order {
				batches = append(batches, good.batches[i])
			}
			_, err := replay(t, batches, ledger.CheckAll)
			var history *ledger.HistoryError
			if !errors.As(err, &history) || history.Batch != tt.want || history.Entry != -1 {
				t.Errorf("got %v, want batch %d refused for its header", err, tt.want)
			}
		})
	}
}

// A HistoryError says where, and carries the refusal.
func TestHistoryErrorNamesThePlace(t *testing.T) {
	refusal := &ledger.Error{Code: ledger.CodeFunds, Message: "account 17 has too little"}
	for _, tt := range []struct {
		err  *ledger.HistoryError
		want []string
	}{
		{&ledger.HistoryError{Batch: 7, Entry: -1, Reason: "batches have no gaps"}, []string{"batch 7", "no gaps"}},
		{&ledger.HistoryError{Batch: 7, Entry: 0, Reason: "the books refuse it", Err: refusal}, []string{"batch 7", "entry 0", "the books refuse it", "too little"}},
	} {
		for _, part := range tt.want {
			if !strings.Contains(tt.err.Error(), part) {
				t.Errorf("%q does not say %q", tt.err, part)
			}
		}
	}
	wrapped := error(&ledger.HistoryError{Batch: 7, Err: refusal})
	if !errors.Is(wrapped, &ledger.Error{Code: ledger.CodeFunds}) || errors.Is(wrapped, &ledger.Error{Code: ledger.CodeDust}) || ledger.CodeOf(wrapped) != ledger.CodeFunds {
		t.Error("the refusal inside does not compare by its code")
	}
}

// Seal alone refuses what does not continue the chain, and changes nothing.
func TestSealRefusesAStrangeHeader(t *testing.T) {
	b, _ := history(t)
	before := b.Fingerprint()
	h := b.Next(hashOf("root"), 1, 1, 0)
	if h.Time != b.Last().Time {
		t.Errorf("with a clock that stands at 0 the next header has time %d, the last %d", h.Time, b.Last().Time)
	}
	h.Number++
	var history *ledger.HistoryError
	if err := b.Seal(&h); !errors.As(err, &history) || history.Batch != h.Number || history.Entry != -1 {
		t.Errorf("got %v", err)
	}
	if after := b.Fingerprint(); after != before {
		t.Error("a refused header changed the books")
	}
}

// Builders of the rows.

// header changes the header and lets the operator sign it.
func header(change func(h *ledger.Header)) func(*testing.T, *ledger.Batch) {
	return func(t *testing.T, b *ledger.Batch) {
		change(&b.Header.Header)
		b.Header = signHeader(t, b.Header.Header)
	}
}

// lie changes the entries and makes the header fit.
func lie(change func(b *ledger.Batch)) func(*testing.T, *ledger.Batch) {
	return func(t *testing.T, b *ledger.Batch) {
		change(b)
		header(func(h *ledger.Header) { h.Root, h.Count = rootOf(b.Entries), uint32(len(b.Entries)) })(t, b)
	}
}

// forge changes one order and makes the header fit.
func forge(entry int, change func(o *ledger.Order)) func(*testing.T, *ledger.Batch) {
	return func(t *testing.T, b *ledger.Batch) {
		o, err := ledger.DecodeOrder(b.Entries[entry])
		if err != nil {
			t.Fatal(err)
		}
		change(o)
		if bytes.Equal(o.Bytes(), b.Entries[entry]) {
			t.Fatal("the row changes nothing")
		}
		lie(func(b *ledger.Batch) { b.Entries[entry] = o.Bytes() })(t, b)
	}
}

func swap(entries [][]byte, i, j int) { entries[i], entries[j] = entries[j], entries[i] }
