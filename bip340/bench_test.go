package bip340_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/bip340"
)

// benchmark times a verifier on n items at a time, from another place among
// items each time, and btcec one by one on some of them in between. It reports
// the time for one signature and how many times as fast that is as btcec, both as
// the median of the rounds in processor time of one thread. Use -cpu 1.
func benchmark(b *testing.B, v *bip340.Verifier, items []bip340.Item, n, bad int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	v.Verify(items)
	b.ReportAllocs()
	var together, btcec []float64
	for i := 0; b.Loop(); i++ {
		part := items[i*n%len(items):][:n]
		start := cpuTime()
		if got := len(v.Verify(part)); got != bad {
			b.Fatalf("%d are bad, want %d", got, bad)
		}
		middle := cpuTime()
		single := 1 + n/32
		for j := range single {
			verifyWithBtcec(part[j])
		}
		together = append(together, float64(middle-start)/float64(n))
		btcec = append(btcec, float64(cpuTime()-middle)/float64(single))
	}
	slices.Sort(together)
	slices.Sort(btcec)
	each, one := together[len(together)/2], btcec[len(btcec)/2]
	b.ReportMetric(each, "ns/signature")
	b.ReportMetric(one, "ns/btcec")
	b.ReportMetric(one/each, "×btcec")
	b.ReportMetric(0, "ns/op")
}

func verifyWithBtcec(item bip340.Item) bool {
	pub, err := schnorr.ParsePubKey(item.Key[:])
	if err != nil {
		return false
	}
	sig, err := schnorr.ParseSignature(item.Signature[:])
	return err == nil && sig.Verify(item.Message, pub)
}

var sizes = []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}

// BenchmarkCached has every signature from another signer, whose key is known.
func BenchmarkCached(b *testing.B) {
	items := genuine(source(b), 8192, 8192)
	v := bip340.NewVerifier(len(items))
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmark(b, v, items, n, 0) })
	}
}

// BenchmarkUncached has every signature from another signer, whom nobody knows.
func BenchmarkUncached(b *testing.B) {
	items := genuine(source(b), 8192, 8192)
	v := bip340.NewVerifier(0)
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmark(b, v, items, n, 0) })
	}
}

// BenchmarkHot has 1,024 signatures from 10 signers.
func BenchmarkHot(b *testing.B) {
	benchmark(b, bip340.NewVerifier(10), genuine(source(b), 1024, 10), 1024, 0)
}

// BenchmarkBad has bad ones among the signatures, in random places.
func BenchmarkBad(b *testing.B) {
	r := source(b)
	for _, n := range []int{16, 128, 1024} {
		items := genuine(r, n, n)
		v := bip340.NewVerifier(n)
		v.Verify(items)
		made := 0
		for bad := 1; bad <= n; bad *= 2 {
			for ; made < bad; made++ {
				other := made + r.IntN(n-made)
				items[made], items[other] = items[other], items[made]
				items[made].Signature[63] ^= 1
			}
			mixed := slices.Clone(items)
			r.Shuffle(n, func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			b.Run(fmt.Sprintf("%d/%d", bad, n), func(b *testing.B) { benchmark(b, v, mixed, n, bad) })
		}
	}
}
