package frost

import (
	"encoding/csv"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestVerifySignatureBIP340(t *testing.T) {
	found := 0
	for _, root := range vectorRoots() {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "test-vectors.csv" {
				return err
			}
			found++
			t.Run(path, func(t *testing.T) { checkBIP340(t, path) })
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatal("no test-vectors.csv")
	}
}

func checkBIP340(t *testing.T, path string) {
	file, err := os.Open(path)
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
