package roast_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Two of three sign both inputs of a transaction although the third is not there.
func Example() {
	group, shares, err := frost.TrustedDealer(2, 3, nil)
	if err != nil {
		log.Fatal(err)
	}
	messages := []roast.Message{
		{Digest: sha256.Sum256([]byte("sighash of input 0"))},
		{Digest: sha256.Sum256([]byte("sighash of input 1")), Tweaks: []frost.Tweak{{Value: [32]byte{1}, XOnly: true}}},
	}

	// Each signer decides by itself what it would sign; here in this process, most
	// often behind a connection that implements roast.Signer.
	var signers []roast.Signer
	for _, share := range shares {
		responder, err := roast.NewResponder(group, share, roast.ResponderOptions{})
		if err != nil {
			log.Fatal(err)
		}
		defer responder.Close()
		signers = append(signers, responder.Signer(messages))
	}
	signers[0] = unreachable{signers[0]}

	result, err := roast.NewCoordinator(group, roast.DefaultOptions()).Sign(context.Background(), messages, signers)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(result.Signatures), "signatures by", result.Signers)

	// Without the second there are too few, and the error says why.
	_, err = roast.NewCoordinator(group, roast.Options{}).Sign(context.Background(), messages, []roast.Signer{signers[0], signers[2]})
	var none *roast.NoQuorumError
	if errors.As(err, &none) {
		fmt.Println("signer 0:", none.Failed[0])
	}
	// Output:
	// 2 signatures by [1 2]
	// signer 0: no route to host
}

type unreachable struct{ roast.Signer }

func (unreachable) Commit(context.Context, roast.CommitRequest) ([]frost.PublicNonce, error) {
	return nil, errors.New("no route to host")
}
