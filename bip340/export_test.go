package bip340

// Known tells whether a verifier remembers a key.
func (v *Verifier) Known(key [32]byte) bool {
	_, ok := v.keys.y[key]
	return ok
}

// KeysKept is how many keys a verifier remembers.
func (v *Verifier) KeysKept() int { return len(v.keys.y) }

// Parses tells whether a signature has its parts in range.
func Parses(item Item) bool {
	var c claim
	return c.read(newChallenger(), &item) && c.r.Lift((*[32]byte)(item.Signature[:32]))
}
