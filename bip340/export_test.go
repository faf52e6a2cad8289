package bip340

// Known tells whether a verifier remembers a key.
func (v *Verifier) Known(key [32]byte) bool {
	signers := []signer{{key: key}}
	v.keys.find(signers)
	return signers[0].known
}

// KeysKept is how many keys a verifier remembers.
func (v *Verifier) KeysKept() (n int) {
	for i := range v.keys.ys {
		if !v.keys.ys[i].IsZero() {
			n++
		}
	}
	return n
}

// Parses tells whether a signature has its parts in range.
func Parses(item Item) bool {
	var c claim
	return c.read(newChallenger(), &item) && c.r.Lift((*[32]byte)(item.Signature[:32]))
}
