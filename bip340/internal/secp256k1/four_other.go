//go:build !amd64 || purego

package secp256k1

// rootFour replaces each element by its root.
func rootFour(x *[4]Element) {
	for i := range x {
		x[i].root(&x[i])
	}
}
