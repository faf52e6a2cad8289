package ledger_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// Every decoder: no panic, a refusal is an *Error with a code, what is accepted
// encodes to the very bytes that were read, and nothing is made that is larger
// than what was read.

// seed adds the published vectors, good and bad, to a corpus.
func seed(f *testing.F, formats ...string) {
	f.Helper()
	for _, v := range vectors(f, "malformed.json", "what decoders refuse", malformedVectors) {
		for _, format := range formats {
			if v.Format == format {
				f.Add([]byte(v.Bytes))
			}
		}
	}
}

func seedOrders(f *testing.F) {
	f.Helper()
	seed(f, "order")
	for _, v := range vectors(f, "order.json", "order", orderVectors) {
		f.Add([]byte(v.Bytes))
		f.Add(concat(v.Bytes, v.Bytes))
	}
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if code := ledger.CodeOf(err); code != ledger.CodeMalformed && code != ledger.CodeOversized {
		t.Fatalf("refused with code %q: %v", code, err)
	}
}

func checkOrderSize(t *testing.T, o *ledger.Order, read int) {
	t.Helper()
	if read > ledger.MaxOrderSize {
		t.Fatalf("an order of %d bytes, MaxOrderSize is %d", read, ledger.MaxOrderSize)
	}
	if body, ok := o.Body.(*ledger.Transfer); ok && 16*cap(body.Payments)+cap(body.Reference) > 2*read {
		t.Fatalf("%d bytes made room for %d payments", read, cap(body.Payments))
	}
}

func FuzzDecodeOrder(f *testing.F) {
	seedOrders(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := ledger.DecodeOrder(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		checkOrderSize(t, o, len(data))
		if got := o.Bytes(); !bytes.Equal(got, data) {
			t.Fatalf("read %x, wrote %x", data, got)
		}
		if byHand := concat(handUnsigned(o), o.Signature[:]); !bytes.Equal(byHand, data) {
			t.Fatalf("read %x, by hand %x", data, byHand)
		}
		if o.Digest() != handDigest(o) {
			t.Fatal("the digest is not the hand's")
		}
		// Whatever can be read can be judged.
		_ = o.Check(o.Bank)
		_ = o.Verify(ledger.Key{})
	})
}

func FuzzDecodeOrderPrefix(f *testing.F) {
	seedOrders(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var read []byte
		for rest := data; len(rest) > 0; {
			o, next, err := ledger.DecodeOrderPrefix(rest)
			if err != nil {
				checkRefusal(t, err)
				break
			}
			if !bytes.HasSuffix(rest, next) || len(next) >= len(rest) {
				t.Fatalf("%d bytes follow an order in %d bytes", len(next), len(rest))
			}
			checkOrderSize(t, o, len(rest)-len(next))
			read = append(read, o.Bytes()...)
			rest = next
		}
		if !bytes.HasPrefix(data, read) {
			t.Fatalf("read %x, wrote %x", data, read)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	seedOrders(f)
	seed(f, "entry")
	for _, v := range vectors(f, "event.json", "chain event", eventVectors) {
		f.Add([]byte(v.Bytes))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ledger.DecodeEntry(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if (e.Order == nil) == (e.Event == nil) {
			t.Fatalf("an entry with order %v and event %v", e.Order, e.Event)
		}
		if len(data) > ledger.MaxEntrySize {
			t.Fatalf("an entry of %d bytes", len(data))
		}
		if got := e.Bytes(); !bytes.Equal(got, data) || e.Kind() != ledger.Kind(data[1]) {
			t.Fatalf("read %x, wrote %x", data, got)
		}
		if e.Event != nil && !bytes.Equal(handEvent(e.Event), data) {
			t.Fatalf("read %x, by hand %x", data, handEvent(e.Event))
		}
		if cut, ok := e.Event.(*ledger.Cut); ok && 36*cap(cut.Inputs)+24*cap(cut.Payouts) > 2*len(data) {
			t.Fatalf("%d bytes made room for %d inputs and %d payouts", len(data), cap(cut.Inputs), cap(cut.Payouts))
		}
	})
}

func FuzzDecodeSignedHeader(f *testing.F) {
	seed(f, "header")
	for _, v := range vectors(f, "header.json", "signed header", headerVectors) {
		f.Add([]byte(v.Bytes))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ledger.DecodeSignedHeader(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if got := h.Bytes(); !bytes.Equal(got, data) || len(data) != ledger.SignedHeaderSize {
			t.Fatalf("read %x, wrote %x", data, got)
		}
		if h.Hash() != handTag("daobank/header", handHeader(&h.Header)) {
			t.Fatal("the hash is not the hand's")
		}
	})
}

func seedReceipts(f *testing.F, add func(data []byte)) {
	f.Helper()
	for _, v := range vectors(f, "receipt.json", "receipt", receiptVectors) {
		add(v.Receipts[0].Bytes)
	}
}

func FuzzDecodeReceipt(f *testing.F) {
	seed(f, "receipt")
	seedReceipts(f, func(data []byte) { f.Add(data) })
	charter := testCharter()
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ledger.DecodeReceipt(data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if got := r.Bytes(); !bytes.Equal(got, data) || !bytes.Equal(handReceipt(&r), data) {
			t.Fatalf("read %x, wrote %x", data, got)
		}
		_ = r.Verify(&charter, data)
	})
}

func FuzzReceiptUnmarshalText(f *testing.F) {
	for _, v := range vectors(f, "malformed.json", "what decoders refuse", malformedVectors) {
		if v.Format == "receipt text" {
			f.Add(v.Text)
		}
	}
	seedReceipts(f, func(data []byte) {
		text, _ := hexBytes(data).MarshalText()
		f.Add(string(text))
		f.Add(strings.ToUpper(string(text)))
	})
	f.Fuzz(func(t *testing.T, text string) {
		before := ledger.Receipt{Index: 7}
		r := before
		if err := r.UnmarshalText([]byte(text)); err != nil {
			checkRefusal(t, err)
			if r.Index != before.Index || r.Path != nil || r.Header != before.Header {
				t.Fatalf("a refused text changed the receipt to %+v", r)
			}
			return
		}
		got, err := r.MarshalText()
		if err != nil || string(got) != strings.ToLower(text) {
			t.Fatalf("read %s, wrote %s (%v)", text, got, err)
		}
	})
}

func FuzzParseAccount(f *testing.F) {
	for _, v := range vectors(f, "account.json", "account address", accountVectors) {
		f.Add([]byte(v.Bank), v.Address)
	}
	for _, v := range vectors(f, "malformed.json", "what decoders refuse", malformedVectors) {
		if v.Format == "account" {
			f.Add([]byte(v.Bank), v.Text)
		}
	}
	f.Fuzz(func(t *testing.T, bankBytes []byte, text string) {
		var bank ledger.BankID
		copy(bank[:], bankBytes)
		id, err := ledger.ParseAccount(bank, text)
		if err != nil {
			if code := ledger.CodeOf(err); code != ledger.CodeMalformed && code != ledger.CodeWrongBank {
				t.Fatalf("refused with code %q: %v", code, err)
			}
			return
		}
		if got := ledger.FormatAccount(bank, id); got != strings.ToLower(text) || got != handAccount(bank, uint64(id)) {
			t.Fatalf("read %s, wrote %s", text, got)
		}
	})
}

func FuzzParseBTC(f *testing.F) {
	for _, s := range []string{"1", "0.00000001", "21000000", "20999999.99999999", "+1", ".5", "5.", "1e-8", "21e6", "0.1e1", "00001", "1.00000000000"} {
		f.Add(s)
	}
	for _, v := range vectors(f, "malformed.json", "what decoders refuse", malformedVectors) {
		if v.Format == "amount" {
			f.Add(v.Text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := ledger.ParseBTC(text)
		if err != nil {
			if ledger.CodeOf(err) != ledger.CodeAmount || amount != 0 {
				t.Fatalf("refused with %v and amount %d", err, amount)
			}
			return
		}
		if !amount.Valid() {
			t.Fatalf("%q reads as %d sat", text, amount)
		}
		if again, err := ledger.ParseBTC(amount.BTC()); err != nil || again != amount {
			t.Fatalf("%q reads as %d sat, written %s, which reads as %d sat (%v)", text, amount, amount.BTC(), again, err)
		}
	})
}

// The charter's JSON has one meaning: a charter that is valid and its copy
// through JSON have one id.
func FuzzCharterJSON(f *testing.F) {
	for _, v := range vectors(f, "charter.json", "charter", charterVectors) {
		data, _ := json.Marshal(v)
		f.Add(data)
	}
	for _, s := range []string{"", "null", "{}", `{"name":1}`, `{"name":"\ud800"}`, `{"depth":-1}`, `{"withdrawal_min_sat":1e3}`, `{"chain":"00"}`, `{"operator":null}`, "{\"name\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c ledger.Charter
		if err := json.Unmarshal(data, &c); err != nil || c.Validate() != nil {
			return
		}
		text, err := json.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		var again ledger.Charter
		if err := json.Unmarshal(text, &again); err != nil || again != c || again.ID() != c.ID() {
			t.Fatalf("%s reads as %+v, not %+v (%v)", text, again, c, err)
		}
		if c.ID() != handTag("daobank/charter", handCharter(&c)) {
			t.Fatal("the id is not the hand's")
		}
	})
}
