// Package bip340 verifies Schnorr signatures on secp256k1 as BIP-340 defines
// them, many at a time: a thousand of them on one core about 19 times as fast as
// btcec does one by one. It is for whoever has to check thousands of signatures per second: a
// payment system, a node, an indexer. It makes no signatures and sees no
// secrets.
//
//	v := bip340.NewVerifier(100_000) // one for the program
//	bad := v.Verify(items)           // from as many goroutines as there are cores
//
// # What is promised
//
//   - The answer for each item is that of BIP-340's single verification, whatever
//     stands beside it: R or key off the curve or not below p, s not below the
//     order, errors that cancel, repeated items, messages of any length. The one
//     exception is chance: a bad signature passes with a probability below 2^-124.
//   - Every bad signature is named.
//   - No input makes it panic. Calls do not influence each other but in time.
//   - A flood of bad signatures costs little more than to check each alone, at the
//     most about 1.5 times as much, which is a third of what it costs with btcec.
//
// # Method
//
// BIP-340 ("Batch Verification") adds up the equations s·G = R + e·P of all
// signatures, each times a factor a:
//
//	(Σ a·s)·G = Σ a·R + Σ (a·e)·P
//
// The factors are drawn by crypto/rand for each call, after the signatures are
// there, from 2^128 values that differ modulo the order n. Let D be the difference
// of the two sides of an equation. If some D is not zero, then whatever the other
// factors are, exactly one value of this one's modulo n makes Σ a·D zero, since n
// is prime: with random factors a sum that hides a bad signature has a chance of
// 2^-128. Full-size factors would gain nothing against whoever can break the curve
// with 2^128 steps, and 128 bits halve the work for R. (Bellare, Garay, Rabin,
// "Fast batch verification for modular exponentiation and digital signatures",
// EUROCRYPT 1998: the small exponents test. BIP-340 sets the first factor to 1,
// which saves little; here all are random.)
//
// The steps of a call:
//
//  1. Items with the same key become one term of the sum. The point of a key is
//     taken from the cache, else found by a square root. Only keys that a good
//     signature was seen for are cached.
//  2. R is found by a square root, and the challenge e is hashed from the state
//     of SHA-256 that follows the tag.
//  3. a·e is split in two by the curve's endomorphism, so that all scalars have
//     128 bits, and the sum is made by Pippenger's method: see the internal
//     package.
//  4. If the sum is not zero, a random sample is checked one by one. If it has a
//     bad one, all are checked so: to search pays only where few are bad. Else
//     the batch is halved again and again. The sum over the right half is what
//     the left one leaves of the whole, so a level of the search costs half an
//     equation. (Bernstein, Doumen, Lange, Oosterwijk, "Faster batch forgery
//     identification", INDOCRYPT 2012, compare such searches.)
//
// The factors stay the same in the search. Which sums it may look at is fixed
// before they are drawn, and a signature stands in no more than 11 of them, of 4,096
// items, 2,048 and so on to 4: so a bad one passes with a probability of at most 11
// times 2^-128.
//
// # Cost
//
// How many times as fast as btcec one by one, in the same run, one core, every
// signature by another signer; "any machine" is the build tag purego:
//
//	signatures        1     4     16    64    256   1,024  4,096
//	keys known        4.5   5.2    9    12     16    19.8   21
//	keys not known    4.2   5.0    8    11     14    16     17
//	known, any machine                              14
//
//	known, of 100,000                               20
//	1,024 by 10 signers                             33
//	1,024, one bad                                   9.7
//	1,024, all bad                                   3.9
//	16 to 1,024, in the worst mixture                2.9
//
// Where btcec takes 225 µs (Intel Xeon, Cascade Lake, at 2.5 GHz and shared), one
// of 1,024 takes 11.4 µs: about 2.5 for the square root of R, 7 for the sum, the
// rest for hashing, the cache and splitting. BenchmarkCached, BenchmarkUncached,
// BenchmarkHot and BenchmarkBad print these figures (-cpu 1).
//
// The memory of a call is kept for the next, about 3 kB for each signature of the
// largest, of which no more than 4,096 count. A cached key takes 32 bytes.
package bip340
