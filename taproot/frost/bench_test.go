package frost

import (
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// One signature of 3 of 5, step by step.
func BenchmarkSignature3of5(b *testing.B) {
	group, shares := deal(b, 3, 5, 5)
	signers, message := []ID{0, 2, 4}, fill(1)
	r := signAll(b, group, shares, signers, message)
	params := SessionParams{Signers: signers, AggregateNonce: r.session.nonce, Message: message}
	b.Run("NonceGen", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := NonceGen(nil, NonceParams{Share: shares[0]}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("NewSession", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewSession(group, params); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("NonceGen+Sign", func(b *testing.B) {
		for b.Loop() {
			nonce, _, err := NonceGen(nil, NonceParams{Share: shares[0]})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := r.session.Sign(nonce, shares[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Aggregate", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.session.Aggregate(r.parts, r.nonces); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The steps of a signature of 67 of 100, beside one btcec verification.
func BenchmarkSignature67of100(b *testing.B) {
	group, shares := deal(b, 67, 100, 67)
	message := fill(1)
	signers := make([]ID, 67)
	for i := range signers {
		signers[i] = ID(i + i/2)
	}
	r := signAll(b, group, shares, signers, message)
	params := SessionParams{Signers: signers, AggregateNonce: r.session.nonce, Message: message}
	b.Run("btcec", func(b *testing.B) {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			b.Fatal(err)
		}
		hash := make([]byte, 32)
		sig, err := schnorr.Sign(key, hash)
		if err != nil {
			b.Fatal(err)
		}
		public := key.PubKey()
		for b.Loop() {
			if !sig.Verify(hash, public) {
				b.Fatal("does not verify")
			}
		}
	})
	b.Run("NonceAgg", func(b *testing.B) {
		for b.Loop() {
			if _, err := NonceAgg(r.nonces); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("NewGroup", func(b *testing.B) {
		info := group.Info()
		for b.Loop() {
			if _, err := NewGroup(info); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("NewSession", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewSession(group, params); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Sign", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			nonce, _, err := NonceGen(nil, NonceParams{Share: shares[0]})
			if err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if _, err := r.session.Sign(nonce, shares[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Aggregate", func(b *testing.B) {
		for b.Loop() {
			if _, err := r.session.Aggregate(r.parts, r.nonces); err != nil {
				b.Fatal(err)
			}
		}
	})
}
