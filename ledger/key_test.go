package ledger

import (
	"encoding/csv"
	"encoding/hex"
	"os"
	"testing"
)

// TestVerifyBIP340 runs the published vectors whose message has 32 bytes, the
// only length that the bank signs.
func TestVerifyBIP340(t *testing.T) {
	f, err := os.Open("testdata/bip340/test-vectors.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for _, row := range rows[1:] {
		index, want := row[0], row[6] == "TRUE"
		message, err := hex.DecodeString(row[4])
		if err != nil {
			t.Fatal(err)
		}
		if len(message) != len(Hash{}) {
			continue
		}
		var key Key
		var sig Signature
		if err := key.UnmarshalText([]byte(row[2])); err != nil {
			t.Fatal(err)
		}
		if err := sig.UnmarshalText([]byte(row[5])); err != nil {
			t.Fatal(err)
		}
		if got := key.Verify(Hash(message), sig); got != want {
			t.Errorf("vector %s (%s): verified %v, want %v", index, row[7], got, want)
		}
		if want {
			accepted++
		} else {
			refused++
		}
	}
	if accepted < 5 || refused < 10 {
		t.Errorf("ran %d valid and %d invalid vectors: the file is not the published one", accepted, refused)
	}
}
