package ledger_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/daobank/daobank/ledger"
)

// BenchmarkSnapshot: "take" is what the sequencer waits for, "encode" runs beside
// it, "books" is what the sequencer does at each cut in any case.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		s := ledger.SealedBankOf(testCharter(), n)
		data := encodeSnapshot(b, s)
		b.Run(fmt.Sprintf("take/accounts=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Snapshot(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encode/accounts=%d", n), func(b *testing.B) {
			snapshot, _ := s.Snapshot()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := snapshot.Encode(io.Discard, privateKey("operator")); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("decode/accounts=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := ledger.DecodeSnapshot(testCharter(), data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("books/accounts=%d", n), func(b *testing.B) {
			for b.Loop() {
				s.ComputeBooks()
			}
		})
	}
}
