package api

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// What is written by hand is what encoding/json writes.
func TestAcceptanceAppendsJSON(t *testing.T) {
	charter := testCharter()
	bank := charter.ID()
	for name, f := range map[string]acceptanceForm{
		"zero":   {},
		"member": {Account: ledger.FormatAccount(bank, 4711), Number: 4711, Batch: 12, Index: 3, Digest: ledger.Hash{0xab, 31: 1}},
		"largest": {Account: accountName(bank, ledger.Treasury), Number: math.MaxUint64, Batch: math.MaxUint64, Index: math.MaxUint32, Repeated: true,
			Receipt: ledger.Receipt{Header: ledger.SignedHeader{Header: ledger.Header{Bank: bank, Count: 9}, Signature: ledger.Signature{7}},
				Index: 5, Path: []ledger.Hash{{1}, {2}, {3}}}},
	} {
		want, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.appendJSON(nil); string(got) != string(want) {
			t.Errorf("%s: wrote\n%s\nwant\n%s", name, got, want)
		}
	}
}

func BenchmarkAcceptanceJSON(b *testing.B) {
	charter := testCharter()
	f := acceptanceForm{Account: ledger.FormatAccount(charter.ID(), 4711), Number: 4711, Receipt: ledger.Receipt{Path: make([]ledger.Hash, 12)}}
	b.Run("appended", func(b *testing.B) {
		var line []byte
		for b.Loop() {
			line = f.appendJSON(line[:0])
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
