package bip340_test

import (
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"

	"github.com/daobank/daobank/bip340"
)

func Example() {
	var items []bip340.Item
	for i := range 100 {
		key := sha256.Sum256(fmt.Append(nil, "key of member ", i))
		priv, pub := btcec.PrivKeyFromBytes(key[:])
		digest := sha256.Sum256(fmt.Append(nil, "order ", i))
		sig, err := schnorr.Sign(priv, digest[:])
		if err != nil {
			fmt.Println(err)
			return
		}
		items = append(items, bip340.Item{
			Key:       [32]byte(schnorr.SerializePubKey(pub)),
			Message:   digest[:],
			Signature: [64]byte(sig.Serialize()),
		})
	}
	items[42].Message = []byte("another order")

	v := bip340.NewVerifier(100_000)
	for _, i := range v.Verify(items) {
		fmt.Println("bad signature:", i)
	}
	// Output: bad signature: 42
}
