package frost

import (
	"encoding/csv"
	"encoding/hex"
	"os"
	"testing"
)

func TestVerifySignatureBIP340(t *testing.T) {
	file, err := os.Open("testdata/bip340/test-vectors.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	const index, publicKey, message, signature, result, comment = 0, 2, 4, 5, 6, 7
	for _, row := range rows[1:] {
		t.Run(row[index]+" "+row[comment], func(t *testing.T) {
			key := decodeHex(t, row[publicKey])
			err := VerifySignature([32]byte(key), decodeHex(t, row[message]), Signature(decodeHex(t, row[signature])))
			if valid := err == nil; valid != (row[result] == "TRUE") {
				t.Errorf("verification says %v, published %s", err, row[result])
			}
		})
	}
}

func decodeHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
