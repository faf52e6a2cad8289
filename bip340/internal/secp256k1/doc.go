// Package secp256k1 has the arithmetic of the curve secp256k1 (SEC 2, section
// 2.4.1) that verifying many signatures needs, and no more: the field and the
// scalars, points, and two ways to multiply them.
//
// It is for public values only. Its time depends on them, so it must never see a
// private key or a nonce.
//
//   - field.go: integers modulo p, in four limbs, folded and not in Montgomery's
//     form. On amd64 field_amd64.s multiplies; field_generic.go does it anywhere,
//     and with the build tag purego.
//   - scalar.go, endomorphism.go: integers modulo the order n, and their split
//     into two halves.
//   - point.go: points in affine and Jacobian coordinates.
//   - batchadd.go, multiply.go: sums of many products, by buckets, with affine
//     additions that share their inversions.
//   - double.go: s·G + k·P for one signature.
//
// Everything is compared with math/big or with btcec in the tests, on numbers
// drawn from where carries run.
package secp256k1
