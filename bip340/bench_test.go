package bip340_test

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/bip340"
)

// perSignature reports the time for one signature and how many times as fast
// that is as btcec, measured before in the same run.
func perSignature(b *testing.B, n int, btcec float64) {
	each := float64(b.Elapsed().Nanoseconds()) / float64(b.N*n)
	b.ReportMetric(each, "ns/signature")
	if btcec > 0 {
		b.ReportMetric(btcec/each, "×btcec")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkVerify has every signature from another signer. Run it with -cpu 1.
func BenchmarkVerify(b *testing.B) {
	items := genuine(source(b), 8192, 8192)
	var btcec float64
	b.Run("btcec", func(b *testing.B) {
		for i := range b.N {
			item := items[i%len(items)]
			pub, _ := schnorr.ParsePubKey(item.Key[:])
			sig, _ := schnorr.ParseSignature(item.Signature[:])
			if !sig.Verify(item.Message, pub) {
				b.Fatal("bad")
			}
		}
		perSignature(b, 1, 0)
		btcec = float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	})
	for _, keys := range []struct {
		name string
		max  int
	}{{"cached", len(items)}, {"uncached", 0}} {
		for _, n := range []int{1, 4, 8, 16, 64, 256, 1024, 4096, 8192} {
			b.Run(fmt.Sprintf("%s/%d", keys.name, n), func(b *testing.B) {
				v := bip340.NewVerifier(keys.max)
				v.Verify(items)
				b.ResetTimer()
				b.ReportAllocs()
				for i := range b.N {
					first := i * n % len(items)
					if v.Verify(items[first:first+n]) != nil {
						b.Fatal("bad")
					}
				}
				perSignature(b, n, btcec)
			})
		}
	}
	b.Run("hot/1024", func(b *testing.B) {
		hot := genuine(source(b), 1024, 10)
		v := bip340.NewVerifier(10)
		v.Verify(hot)
		b.ResetTimer()
		for range b.N {
			v.Verify(hot)
		}
		perSignature(b, len(hot), btcec)
	})
	for _, bad := range []int{1, 4, 16, 64, 256, 512, 1024} {
		b.Run(fmt.Sprintf("bad %d/1024", bad), func(b *testing.B) {
			flood := append([]bip340.Item(nil), items[:1024]...)
			for i := range bad {
				flood[i*1024/bad].Signature[63] ^= 1
			}
			v := bip340.NewVerifier(len(items))
			v.Verify(items)
			b.ResetTimer()
			for range b.N {
				if got := len(v.Verify(flood)); got != bad {
					b.Fatalf("%d are bad, want %d", got, bad)
				}
			}
			perSignature(b, 1024, btcec)
		})
	}
}
