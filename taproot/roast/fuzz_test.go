package roast

import (
	"encoding/json"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
)

// Whatever bytes a coordinator sends, a responder does not panic, and signs at most
// once with its nonces.
func FuzzResponder(f *testing.F) {
	group, shares, err := frost.TrustedDealer(1, 2, nil)
	if err != nil {
		f.Fatal(err)
	}
	messages := []Message{{Digest: [32]byte{1}}}
	id, err := NewRequestID(group, messages)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`[0]`), `{"signers":[0,1],"nonces":[]}`)
	f.Add([]byte(`[1]`), `{"session":-1,"signers":[1],"nonces":["`+frost.AggregateNonce{}.String()+`"]}`)
	f.Add([]byte(`[1,1]`), `{"request":"00"}`)
	f.Fuzz(func(t *testing.T, signers []byte, body string) {
		r, err := NewResponder(group, shares[1], ResponderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		nonces, err := r.Commit(CommitRequest{Request: id, Messages: 1}, messages)
		if err != nil {
			t.Fatal(err)
		}
		var request SignRequest
		if json.Unmarshal([]byte(body), &request) != nil {
			return
		}
		// What random bytes would hardly hit.
		request.Request, request.Commitment = id, NewCommitmentID(nonces)
		var listed []frost.ID
		if json.Unmarshal(signers, &listed) == nil {
			request.Signers = listed
		}
		answer, err := r.Sign(request)
		if err != nil {
			return
		}
		if len(answer.Signatures) != 1 || len(answer.Next) != 1 {
			t.Errorf("%d signatures, %d nonces", len(answer.Signatures), len(answer.Next))
		}
		if _, err := r.Sign(request); err == nil {
			t.Error("signed twice with one nonce")
		}
	})
}
