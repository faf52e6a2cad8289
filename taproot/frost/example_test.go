package frost_test

import (
	"crypto/sha256"
	"fmt"
	"log"

	"github.com/daobank/daobank/taproot/frost"
)

// Two of three participants sign; the signature verifies under the group's key.
func Example() {
	group, shares, err := frost.TrustedDealer(2, 3, nil)
	if err != nil {
		log.Fatal(err)
	}
	message := sha256.Sum256([]byte("what Bitcoin calls a sighash"))
	signers := []frost.ID{0, 2}

	// Round one: each signer makes a nonce and sends the public half.
	secrets := make(map[frost.ID]*frost.SecretNonce)
	nonces := make(map[frost.ID]frost.PublicNonce)
	for _, id := range signers {
		secrets[id], nonces[id], err = frost.NonceGen(nil, frost.NonceParams{Share: shares[id], Message: message[:]})
		if err != nil {
			log.Fatal(err)
		}
	}
	aggregate, err := frost.NonceAgg(nonces)
	if err != nil {
		log.Fatal(err)
	}

	// Round two: each signer answers in the same session.
	session, err := frost.NewSession(group, frost.SessionParams{
		Signers: signers, AggregateNonce: aggregate, Message: message[:],
	})
	if err != nil {
		log.Fatal(err)
	}
	parts := make(map[frost.ID]frost.PartialSignature)
	for _, id := range signers {
		if parts[id], err = session.Sign(secrets[id], shares[id]); err != nil {
			log.Fatal(err)
		}
	}
	signature, err := session.Aggregate(parts, nonces)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(frost.VerifySignature(group.Key().XOnly(), message[:], signature))
	_, err = session.Sign(secrets[0], shares[0])
	fmt.Println(err)
	// Output:
	// <nil>
	// frost: the secret nonce was already used
}
