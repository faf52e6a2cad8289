package proof_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/daobank/daobank/proof"
)

// Whatever a file holds, reading and verifying it ends with an answer; what is read
// is written again as the same proof. A seed of each kind verifies.
func FuzzProof(f *testing.F) {
	s := newStory(f)
	var good [][]byte
	for _, k := range kinds() {
		file := encode(f, s, k.body(s))
		good = append(good, bytes.Clone(file))
		f.Add(file)
	}
	f.Add([]byte(`{"daobank_proof":1,"kind":"receipt","charter":{},"body":{}}`))
	trust := s.trust
	for i, file := range good {
		if _, err := decode(f, file).Verify(trust); err != nil {
			f.Fatalf("seed %d: %v", i, err)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := proof.Decode(file)
		if err != nil {
			return
		}
		_, err = p.Verify(trust)
		again, encodeErr := p.Encode()
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		q, decodeErr := proof.Decode(again)
		if decodeErr != nil {
			t.Fatalf("what was read cannot be written and read again: %v", decodeErr)
		}
		if _, second := q.Verify(trust); (second == nil) != (err == nil) {
			t.Fatalf("written again it is judged otherwise: %v, then %v", err, second)
		}
	})
}

// FuzzHeaders: whatever stands in a file of headers, reading it ends with an answer.
func FuzzHeaders(f *testing.F) {
	s := newStory(f)
	f.Add(strings.Join(s.headerLines(nil), "\n"))
	f.Add("00\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = proof.ReadHeaders(strings.NewReader(text), &s.Charter)
	})
}
