package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"pgregory.net/rapid"

	"github.com/daobank/daobank/ledger"
)

// fataler is a *testing.T, a *testing.F or a *rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func encodeSnapshot(t fataler, s *ledger.State) []byte {
	t.Helper()
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := snapshot.Encode(&b, privateKey("operator")); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever happened before, the decoded books equal the original in every
// field, and go on as the model says.
func TestSnapshotsOfRandomBooks(t *testing.T) {
	seen := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		r := newRun(t, seen)
		r.begin()
		for range rapid.IntRange(20, 150).Draw(t, "steps") {
			r.step()
			if !r.oneIn("snapshot", 5) {
				continue
			}
			r.seal()
			before := r.state.Fingerprint()
			decoded, err := ledger.DecodeSnapshot(r.state.Charter(), encodeSnapshot(t, r.state))
			if err != nil {
				t.Fatal(err)
			}
			if got := decoded.Fingerprint(); got != before {
				t.Fatalf("the decoded books are\n%s\nthey were\n%s", got, before)
			}
			r.count("snapshot with a cut in flight", decoded.Open() != nil)
			r.count("snapshot with withdrawals held", len(decoded.Held()) > 0)
			r.count("snapshot with a second key", decoded.Generation() > 0)
			r.state = decoded
		}
	})
	for _, what := range []string{"snapshot with a cut in flight", "snapshot with withdrawals held", "snapshot with a second key"} {
		if seen[what] == 0 && !t.Failed() {
			t.Errorf("never drawn: %s", what)
		}
	}
}

// From each batch on, the journal gives the same books with a snapshot and
// without, and nothing of it changes the snapshot.
func TestReplayFromASnapshot(t *testing.T) {
	b, after := history(t)
	for n := range b.batches {
		s, err := replay(t, b.batches[:n+1], ledger.CheckAll)
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		digest := snapshot.Digest()
		decoded, err := ledger.DecodeSnapshot(testCharter(), encodeSnapshot(t, s))
		if err != nil {
			t.Fatal(err)
		}
		for i, batch := range b.batches[n+1:] {
			if err := errors.Join(s.Append(batch, ledger.CheckAll), decoded.Append(batch, ledger.CheckAll)); err != nil {
				t.Fatal(err)
			}
			if want := after[n+1+i]; s.Fingerprint() != want || decoded.Fingerprint() != want {
				t.Errorf("from the snapshot at batch %d the books at batch %d are\n%s\nthey were\n%s", n+1, n+2+i, decoded.Fingerprint(), want)
			}
		}
		if snapshot.Digest() != digest || snapshot.Header() != b.batches[n].Header.Header {
			t.Errorf("what happened later changed the snapshot at batch %d", n+1)
		}
	}
}

// A change of the format needs another version, or old snapshots are misread.
func TestSnapshotFormatIsPinned(t *testing.T) {
	b, _ := history(t)
	s, err := replay(t, b.batches[:4], ledger.CheckAll) // with a cut in flight
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	const version3 = "ffb61872143aadbfddbcc7255d688638fed9a422b23942cded8086499e6610ff"
	if got := snapshot.Digest().String(); got != version3 {
		t.Errorf("the digest is %s, in version 3 it was %s", got, version3)
	}
}

func TestNoSnapshotInTheMiddleOfABatch(t *testing.T) {
	b := newBank(t)
	refused := func(when string) {
		t.Helper()
		if _, err := b.Snapshot(); !errors.Is(err, ledger.ErrMidBatch) {
			t.Errorf("%s: %v, want ErrMidBatch", when, err)
		}
	}
	refused("before the first batch")
	b.open("ann")
	refused("after an order")
	b.seal()
	encodeSnapshot(t, b.State)
	b.block()
	refused("after an event")
	b.seal()
	b.refuse(ledger.Entry{Event: &ledger.Block{}}, ledger.CodeEvent)
	encodeSnapshot(t, b.State) // a refusal begins no batch
}

func TestDamagedSnapshotRefused(t *testing.T) {
	b, _ := history(t)
	good := encodeSnapshot(t, b.State)
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		// All 8 bits of each byte are covered by one hash: look at one of them.
		if bit%8 != bit/8%8 {
			continue
		}
		if _, err := ledger.DecodeSnapshot(testCharter(), bad); ledger.CodeOf(err) != ledger.CodeSignature {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for _, n := range []int{0, 1, 63, 64, 65, 200, len(good) - 65, len(good) - 1} {
		if _, err := ledger.DecodeSnapshot(testCharter(), good[:n]); err == nil {
			t.Errorf("the first %d bytes were taken", n)
		}
	}
	if _, err := ledger.DecodeSnapshot(testCharter(), append(bytes.Clone(good), 0)); err == nil {
		t.Error("a byte too many was taken")
	}
	other := testCharter()
	other.Name = "Another bank of this operator"
	if _, err := ledger.DecodeSnapshot(other, good); ledger.CodeOf(err) != ledger.CodeWrongBank {
		t.Errorf("another bank: %v", err)
	}
	other = testCharter()
	other.Operator = ledger.KeyOf(privateKey("eve"))
	if _, err := ledger.DecodeSnapshot(other, good); ledger.CodeOf(err) != ledger.CodeSignature {
		t.Errorf("another operator: %v", err)
	}
}

// Behind a good signature too, only canonical bytes of possible books are taken.
func FuzzDecodeSnapshot(f *testing.F) {
	b, _ := history(f)
	for n := range b.batches {
		s, err := replay(f, b.batches[:n+1], ledger.CheckChain)
		if err != nil {
			f.Fatal(err)
		}
		data := encodeSnapshot(f, s)
		f.Add(data[:len(data)-64])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ledger.DecodeSnapshotBody(testCharter(), data)
		if err != nil {
			if code := ledger.CodeOf(err); code != ledger.CodeMalformed && code != ledger.CodeWrongBank {
				t.Fatalf("refused with code %q: %v", code, err)
			}
			return
		}
		again := encodeSnapshot(t, s)
		if !bytes.Equal(again[:len(again)-64], data) {
			t.Fatalf("read %x, wrote %x", data, again)
		}
		// What can be read can go on: to close the settlement in flight touches
		// every part of the books.
		if open := s.Open(); open != nil {
			_, _ = s.ApplyEvent(&ledger.Settled{Settlement: open.Settlement, Version: 1, ChangeVout: 1})
			_, _ = s.ApplyEvent(&ledger.Settled{Settlement: open.Settlement, Version: 1, ChangeVout: ledger.NoChange})
		}
		cut := &ledger.Cut{Settlement: s.Settlements() + 1, Version: 1}
		for _, p := range s.Held() {
			cut.Payouts = append(cut.Payouts, ledger.CutPayout{Payer: p.Payer, Sequence: p.Sequence})
		}
		for _, c := range s.Coins() {
			cut.Inputs = append(cut.Inputs, c.OutPoint)
		}
		_, _ = s.ApplyEvent(cut)
		if err := s.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
	})
}

// A count that promises more than there is makes no room for it.
func TestSnapshotCountsAllocateNothing(t *testing.T) {
	b, _ := history(t)
	data := encodeSnapshot(t, b.State)
	data = data[:len(data)-64]
	for at := 0; at+4 <= len(data); at++ {
		bad := bytes.Clone(data)
		copy(bad[at:], []byte{0x7f, 0xff, 0xff, 0xff})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = ledger.DecodeSnapshotBody(testCharter(), bad)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(20*len(data)+1<<20) {
			t.Errorf("a count at byte %d of %d made room for %d bytes", at, len(data), n)
		}
	}
}

func headersOf(batches []*ledger.Batch, end error) iter.Seq2[ledger.SignedHeader, error] {
	return func(yield func(ledger.SignedHeader, error) bool) {
		for _, b := range batches {
			if !yield(b.Header, nil) {
				return
			}
		}
		if end != nil {
			yield(ledger.SignedHeader{}, end)
		}
	}
}

func TestVerifyHeaders(t *testing.T) {
	good, _ := history(t)
	other, _ := btcec.NewPrivateKey()
	broken := errors.New("the database is gone")
	for _, tt := range []struct {
		name   string
		change func(b []*ledger.Batch) []*ledger.Batch
		end    error
		want   uint64 // batch that the *HistoryError names; 0 for none
	}{
		{"whole", func(b []*ledger.Batch) []*ledger.Batch { return b }, nil, 0},
		{"none", func(b []*ledger.Batch) []*ledger.Batch { return nil }, nil, 0},
		{"reading failed", func(b []*ledger.Batch) []*ledger.Batch { return b[:2] }, broken, 0},
		{"reading failed after a bad signature", func(b []*ledger.Batch) []*ledger.Batch { b[1].Header.Signature[0] ^= 1; return b[:3] }, broken, 2},
		{"signature changed", func(b []*ledger.Batch) []*ledger.Batch { b[2].Header.Signature[40] ^= 1; return b }, nil, 3},
		{"two signatures changed", func(b []*ledger.Batch) []*ledger.Batch {
			b[5].Header.Signature[40] ^= 1
			b[0].Header.Signature[1] ^= 1
			return b
		}, nil, 1},
		{"signed by another key", func(b []*ledger.Batch) []*ledger.Batch { b[3].Header, _ = b[3].Header.Sign(other); return b }, nil, 4},
		{"root changed", func(b []*ledger.Batch) []*ledger.Batch { b[4].Header.Root[0] ^= 1; return b }, nil, 5},
		{"first missing", func(b []*ledger.Batch) []*ledger.Batch { return b[1:] }, nil, 2},
		{"one missing", func(b []*ledger.Batch) []*ledger.Batch { return append(b[:2:2], b[3:]...) }, nil, 4},
		{"of another bank", func(b []*ledger.Batch) []*ledger.Batch {
			b[0].Header.Bank[0] ^= 1
			b[0].Header = signHeader(t, b[0].Header.Header)
			return b
		}, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			batches := make([]*ledger.Batch, len(good.batches))
			for i, b := range good.batches {
				batches[i] = &ledger.Batch{Header: b.Header}
			}
			batches = tt.change(batches)
			last, journal, err := ledger.VerifyHeaders(testCharter(), headersOf(batches, tt.end))
			var history *ledger.HistoryError
			switch {
			case tt.want != 0:
				if !errors.As(err, &history) || history.Batch != tt.want || history.Entry != -1 {
					t.Errorf("got %v, want batch %d named", err, tt.want)
				}
			case !errors.Is(err, tt.end):
				t.Errorf("got %v, want %v", err, tt.end)
			case err == nil && len(batches) > 0 && (last != good.Last() || journal != good.JournalRoot()):
				t.Errorf("the last header is %+v and the journal's root %s, want %+v and %s", last, journal, good.Last(), good.JournalRoot())
			}
		})
	}
}

// Enough headers for many parts: each forged one is named, the first of all.
func TestVerifyHeadersInParts(t *testing.T) {
	b := newBank(t)
	const n = 2500
	headers := make([]*ledger.Batch, n)
	s, err := ledger.NewState(testCharter())
	if err != nil {
		t.Fatal(err)
	}
	for i := range headers {
		h := signHeader(t, s.Next(hashOf("root %d", i), 1, 1, uint64(i)))
		if err := s.Seal(&h.Header); err != nil {
			t.Fatal(err)
		}
		headers[i] = &ledger.Batch{Header: h}
	}
	for _, at := range []int{n, n - 1, 1024, 1023, 0} {
		if at < n {
			headers[at].Header.Signature[3] ^= 1
		}
		_, _, err := ledger.VerifyHeaders(b.Charter(), headersOf(headers, nil))
		var history *ledger.HistoryError
		if at == n && err != nil || at < n && (!errors.As(err, &history) || history.Batch != uint64(at)+1) {
			t.Errorf("header %d forged: %v", at, err)
		}
	}
}

// A snapshot of a cut gives its tree again: balances at the cut can be proved. One
// whose balances were moved about is refused, though the sums still fit.
func TestSnapshotOfACutProvesBalances(t *testing.T) {
	b, _ := history(t)
	s, err := replay(t, b.batches[:4], ledger.CheckAll) // with a cut in flight
	if err != nil {
		t.Fatal(err)
	}
	data := encodeSnapshot(t, s)
	decoded, err := ledger.DecodeSnapshot(s.Charter(), data)
	if err != nil {
		t.Fatal(err)
	}
	for id := range ledger.AccountID(s.Accounts()) {
		p, err := decoded.SumProof(4, id)
		if err != nil || !p.Verify() || p.Books != s.Open().Books || id != ledger.Vault && p.Owed != s.Balance(id) {
			t.Errorf("account %s: %+v, %v", id, p, err)
		}
	}
	body := data[:len(data)-64]
	const account, balance = 93, 72 // bytes of one, and where the balance begins
	richest, other := 0, 0
	for i := range int(s.Accounts() - uint32(ledger.FirstMember)) {
		if id := ledger.FirstMember + ledger.AccountID(i); s.Balance(id) > s.Balance(ledger.FirstMember+ledger.AccountID(richest)) {
			richest, other = i, richest
		}
	}
	if richest == other {
		other = 1
	}
	at := func(i int) []byte {
		return body[len(body)-(int(s.Accounts())-int(ledger.FirstMember)-i)*account+balance:][:8]
	}
	move := func(i int, by int64) {
		binary.BigEndian.PutUint64(at(i), uint64(int64(binary.BigEndian.Uint64(at(i)))+by))
	}
	move(richest, -1)
	move(other, 1)
	if _, err := ledger.DecodeSnapshotBody(s.Charter(), body); err == nil || !strings.Contains(err.Error(), "not those of its cut") {
		t.Errorf("a satoshi moved between two accounts: %v", err)
	}
}
