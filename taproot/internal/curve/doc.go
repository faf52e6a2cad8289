// Package curve is what threshold signing and key generation over secp256k1 have
// in common: encodings of points and scalars, the group's arithmetic, BIP-340's
// tagged hash, and a secret scalar that can be wiped. It knows no protocol.
//
// A Point is in Jacobian coordinates, the zero value infinity. It is affine when
// Z is one and X and Y are normalised, or when it is infinity. Encoding, comparing
// and looking at a coordinate want affine points; the functions say which they
// return. To come from the one form to the other costs a field inversion, as much
// as some twenty additions: leave sums as they are until the end, and normalise
// many points at once.
//
// The arithmetic is btcec's. Multiplications of points take time that depends on
// the scalar; additions and multiplications of scalars do not.
package curve
