package frost

import "testing"

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
