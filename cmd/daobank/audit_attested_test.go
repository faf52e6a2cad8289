package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/taproot/chilldkg"
)

func TestCoveredBy(t *testing.T) {
	for _, tt := range []struct {
		name      string
		batches   []uint64 // of the attestations
		threshold int
		want      uint64
	}{
		{"as many as must sign", []uint64{9, 4, 7}, 3, 9},
		{"more: the last ones do not count", []uint64{9, 4, 7, 100, 50}, 3, 9},
		{"one guardian", []uint64{4}, 1, 4},
		{"fewer", []uint64{9, 4}, 3, 0},
		{"none", nil, 3, 0},
		{"a threshold that is none", []uint64{9}, 0, 0},
	} {
		var list []guardian.Attestation
		for _, batch := range tt.batches {
			list = append(list, guardian.Attestation{Batch: batch})
		}
		if got := coveredBy(list, tt.threshold); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// A sample ends with the last block, in order, and is no larger than asked for.
func TestSample(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 250, 100_000} {
		blocks := make([]audit.BlockPoint, n)
		for i := range blocks {
			blocks[i].Height = uint32(i)
		}
		got := sample(blocks, 100)
		if len(got) > 100 || len(got) < min(n, 50) || n > 0 && got[len(got)-1].Height != uint32(n-1) {
			t.Errorf("of %d blocks: %d", n, len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i].Height <= got[i-1].Height {
				t.Errorf("of %d blocks: %d after %d", n, got[i].Height, got[i-1].Height)
			}
		}
	}
}

// The page of an audit of the database draws what its guardians have attested, and none
// is made of what a guardian did not sign.
func TestPageOfAttestations(t *testing.T) {
	a := newAudited(t)
	store, err := postgres.Open(t.Context(), a.url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	last := a.made.Books.Last().Number
	attest := func(forged bool) {
		t.Helper()
		host, err := chilldkg.GenerateHostKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		att, err := guardian.Attest(a.made.Charter.ID(), last, a.made.Books.Head(), host)
		if err != nil {
			t.Fatal(err)
		}
		if forged {
			att.Signature[0] ^= 1
		}
		if err := store.SaveAttestation(t.Context(), postgres.Attestation{Guardian: att.Guardian, Batch: att.Batch, Head: att.Head, Signature: att.Signature}); err != nil {
			t.Fatal(err)
		}
	}
	shows := func(attested bool) {
		t.Helper()
		dir := t.TempDir()
		if out, status, message := a.audit(t, "--report", dir); status != 0 {
			t.Fatalf("status %d, %s\n%s", status, message, out)
		}
		page, err := os.ReadFile(filepath.Join(dir, "index.html"))
		if err != nil {
			t.Fatal(err)
		}
		none := fmt.Sprintf("Not attested yet, as the bank says</span><b>%d</b>", last)
		if !strings.Contains(string(page), `class="line attested"`) || strings.Contains(string(page), none) == attested {
			t.Errorf("attested %v, and the page says:\n%s", attested, page)
		}
	}
	for range audittest.Threshold {
		shows(false)
		attest(false)
	}
	shows(true)
	attest(true)
	if out, status, message := a.audit(t, "--report", t.TempDir()); status != 2 || !strings.Contains(message, "did not sign") {
		t.Errorf("with a forged attestation: status %d, %s\n%s", status, message, out)
	}
}
