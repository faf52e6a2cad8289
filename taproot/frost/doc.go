// Package frost signs for a t-of-n group key: two rounds between any t or more
// of n participants give one BIP-340 signature that looks like anyone's. It is
// BIP-445, revision 0.12.1, whole, for whoever owns keys together; it knows
// nothing of banks, networks or transports, and key generation is elsewhere
// (TrustedDealer is for tests and demonstrations).
//
// One signature:
//
//	round 1   each signer   NonceGen          → PublicNonce to the coordinator
//	          coordinator   NonceAgg          → AggregateNonce to the signers
//	round 2   each signer   NewSession, Sign  → PartialSignature
//	          coordinator   NewSession, Aggregate → Signature
//
// The coordinator needs no trust: it can make signing fail, not forge.
//
// # What is promised
//
//   - A SecretNonce signs once. Sign takes it atomically and wipes it, also when
//     Sign then fails; there is no way to store or copy one. A signer that
//     restarts begins at round one again.
//   - Sign verifies its partial signature before it returns it.
//   - Aggregate returns a signature only if it verifies. If not, the
//     *CulpritError names exactly those participants whose contribution is
//     wrong, and ErrBlameUncertain says when that cannot be known.
//   - No bytes from outside cause a panic. Decoders refuse every encoding but
//     the one that the BIP defines.
//   - Share and SecretNonce print as redacted and refuse to be marshalled.
//
// A zero value of Group or Session is not usable; take them from NewGroup,
// NewKeyOnlyGroup and NewSession. ID counts from zero.
//
// # What is not promised
//
// Arithmetic is btcec's (decred's secp256k1 in Go). Its scalar additions,
// multiplications and comparisons are constant time. Its point arithmetic,
// base multiplication by a secret scalar included (NonceGen, NewShare,
// DeterministicSign), is variable time, and so are inversions, which touch only
// public values. Who can time many of those operations on the signer's machine
// to the nanosecond may learn something of the scalar; each nonce is
// multiplied once. Wiping is best effort: the Go runtime may have moved or
// copied a secret before.
//
// Robustness, that signing ends although some signers are silent or wrong, is
// the coordinator's business: start again without the culprits.
package frost
