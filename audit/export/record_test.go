package export_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/ledger"
)

var update = flag.Bool("update", false, "write the vectors anew")

// vector is a batch beside the body of its record.
type vector struct {
	Bank    string   `json:"bank"`
	Header  string   `json:"header"`
	Entries []string `json:"entries"`
	Body    string   `json:"body"`
}

type vectors struct {
	About   string   `json:"about"`
	Records []vector `json:"records"`
}

const vectorFile = "testdata/record.json"

// Records that another version of the encoder has written are read for ever. What
// deflate makes of the same bytes may change, so they are not written again.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var all vectors
	if err := json.Unmarshal(raw, &all); err != nil || len(all.Records) < 10 {
		t.Fatalf("%d vectors, %v", len(all.Records), err)
	}
	for i, v := range all.Records {
		got, err := export.Decode(ledger.BankID(unhex(t, v.Bank)), unhex(t, v.Body))
		if err != nil {
			t.Fatalf("vector %d: %v", i, err)
		}
		same(t, audittest.Journal{got}, audittest.Journal{v.batch(t)})
	}
}

func (v *vector) batch(t *testing.T) *ledger.Batch {
	t.Helper()
	header, err := ledger.DecodeSignedHeader(unhex(t, v.Header))
	if err != nil {
		t.Fatal(err)
	}
	b := &ledger.Batch{Header: header}
	for _, e := range v.Entries {
		b.Entries = append(b.Entries, unhex(t, e))
	}
	return b
}

func writeVectors(t *testing.T) {
	all := vectors{About: "bodies of records: go test ./audit/export -update"}
	for _, b := range *history(t).Journal {
		body, err := export.Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		v := vector{Bank: b.Header.Bank.String(), Header: hex.EncodeToString(b.Header.Bytes()), Body: hex.EncodeToString(body)}
		for _, e := range b.Entries {
			v.Entries = append(v.Entries, hex.EncodeToString(e))
		}
		all.Records = append(all.Records, v)
	}
	raw, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Every order and event of package ledger's vectors comes back, bytes that are none
// too, and orders are taken apart.
func TestEveryKindOfEntry(t *testing.T) {
	var bank ledger.BankID
	batch := func(entries ...[]byte) *ledger.Batch {
		b := &ledger.Batch{Entries: entries}
		b.Header.Bank, b.Header.Count = bank, uint32(len(entries))
		return b
	}
	var entries [][]byte
	for _, file := range []string{"order.json", "event.json", "malformed.json"} {
		for _, text := range hexStrings(t, filepath.Join("../../ledger/testdata", file)) {
			if len(text) <= 40_000 {
				entries = append(entries, unhex(t, text))
			}
		}
	}
	if len(entries) < 100 {
		t.Fatalf("%d entries", len(entries))
	}
	for _, e := range entries {
		if len(e) >= 150 && e[0] == 1 && e[1] < 64 {
			bank = ledger.BankID(e[2:34]) // so that it can be taken apart
		}
		roundTrip(t, batch(e, e))
	}
	roundTrip(t, batch(entries...))
}

func roundTrip(t testing.TB, want *ledger.Batch) []byte {
	t.Helper()
	body, err := export.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := export.Decode(want.Header.Bank, body)
	if err != nil {
		t.Fatal(err)
	}
	same(t, audittest.Journal{got}, audittest.Journal{want})
	return body
}

// hexStrings are all strings of a JSON file that are hex of an entry's length.
func hexStrings(t *testing.T, path string) (list []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if b, err := hex.DecodeString(v); err == nil && len(b) > 0 {
				list = append(list, v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(root)
	return list
}

// An order that continues another of its batch takes no more than its signature and
// what is new in it: neither bank, payer, sequence nor the digest of the one before.
func TestOrdersAreTakenApart(t *testing.T) {
	b := audittest.New(t)
	ann, bob := b.Open("ann"), b.Open("bob")
	b.Deposit(ann.ID, 1_000_000)
	const orders = 100
	for range orders {
		b.Order(ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: bob.ID, Amount: 1000}}})
	}
	b.Seal()
	batch := (*b.Journal)[len(*b.Journal)-1]
	if body := roundTrip(t, batch); len(body) > 156+9+32+orders*66 {
		t.Errorf("%d orders take %d bytes", orders, len(body))
	}
}

// FuzzRecord: a record never makes the decoder panic or ask for much memory, and what
// it reads can be written and read again.
func FuzzRecord(f *testing.F) {
	bank := ledger.BankID{1}
	for _, b := range *history(f).Journal {
		body, err := export.Encode(b)
		if err != nil {
			f.Fatal(err)
		}
		bank = b.Header.Bank
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		batch, err := export.Decode(bank, body)
		if err != nil {
			return
		}
		if int(batch.Header.Count) != len(batch.Entries) {
			t.Fatalf("%d entries, the header counts %d", len(batch.Entries), batch.Header.Count)
		}
		again := roundTrip(t, batch)
		if len(bytes.Join(batch.Entries, nil)) > 2000*len(body) {
			t.Fatalf("%d bytes made of %d (%d again)", len(bytes.Join(batch.Entries, nil)), len(body), len(again))
		}
	})
}

// FuzzColumns reaches the entries without deflate and checksums in the way.
func FuzzColumns(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 1, 0, 0, 3, 0, 3, 1, 2, 3}, []byte{}, uint32(1))
	f.Add([]byte{1, 1, 1, 0, 1, 2, 1, 1, 0, 13, 16, 1, 0, 0, 1, 17, 100}, make([]byte, 64), uint32(1))
	f.Fuzz(func(t *testing.T, columns, fixed []byte, count uint32) {
		batch := &ledger.Batch{}
		batch.Header.Count = count
		body := batch.Header.Bytes()[33:]
		body = append(body, byte(len(fixed)>>24), byte(len(fixed)>>16), byte(len(fixed)>>8), byte(len(fixed)))
		body = append(append(body, fixed...), 0)
		body = append(body, byte(len(columns)>>24), byte(len(columns)>>16), byte(len(columns)>>8), byte(len(columns)))
		got, err := export.Decode(ledger.BankID{}, append(body, columns...))
		if err == nil {
			roundTrip(t, got)
		}
	})
}
