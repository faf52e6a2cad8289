// Package secp256k1 has the arithmetic of the curve secp256k1 (SEC 2, section
// 2.4.1) that verifying many signatures needs, and no more: the field and the
// scalars, points, and two ways to multiply them.
//
// It is for public values only. Its time depends on them, so it must never see a
// private key or a nonce.
//
//   - field.go, field_power.go: integers modulo p, in four limbs, folded and not in
//     Montgomery's form. On amd64 field_amd64.s multiplies and four_amd64.s takes
//     four square roots at once; field_generic.go does it anywhere, and with the
//     build tag purego.
//   - scalar.go, endomorphism.go: integers modulo the order n, and their split
//     into two halves.
//   - point.go: points in affine and Jacobian coordinates.
//   - batchadd.go, multiply.go: sums of many products, by buckets, with affine
//     additions that share their inversions.
//   - double.go: s·G + k·P for one signature.
//
// It is here because it is what verifying costs. A multiplication in
// gnark-crypto's field takes 40 ns where this one takes 23 in Go and 17 in
// assembly, a square root 9.2 µs where this one takes 4.8, 3.4 and, as one of
// four, 2.5. All the assembly together makes a batch 1.4 times as fast.
//
// Everything is compared with math/big or with btcec in the tests, on numbers
// drawn from where carries run.
package secp256k1
