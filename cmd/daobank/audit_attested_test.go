package main

import (
	"testing"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/guardian"
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
