package roast

import (
	"context"

	"github.com/daobank/daobank/taproot/frost"
)

// Signer is a holder of a share as the coordinator sees it: most often the near
// end of a connection. It may be silent, slow, refuse, or answer wrongly; all
// that is demanded of the code at this end is that a method returns soon after
// its context ends, and that a method's answer is what the signer sent in reply
// to that very call.
//
// The coordinator has at most one call to a signer under way at a time.
//
// Errors: *RefusalError when the signer will not sign this request,
// *MalformedError when it sent what cannot be decoded (it is blamed for that);
// any other error means that it could not be reached or lost its nonces, and
// blames nobody.
type Signer interface {
	ID() frost.ID
	// Commit asks for fresh nonces, one for each message. Nonces that the signer
	// gave out for the same request before are void.
	Commit(ctx context.Context, request CommitRequest) ([]frost.PublicNonce, error)
	// Sign asks for partial signatures in a session, and for the next nonces.
	Sign(ctx context.Context, request SignRequest) (Answer, error)
}

// CommitRequest asks a signer for nonces.
type CommitRequest struct {
	Request  RequestID `json:"request"`
	Messages int       `json:"messages"` // how many nonces are asked for
}

// SignRequest asks a signer to sign all messages of a request in one session.
type SignRequest struct {
	Request    RequestID              `json:"request"`
	Session    int                    `json:"session"`    // 1, 2, … in the order of their start
	Commitment CommitmentID           `json:"commitment"` // which of this signer's nonces are in the sums
	Signers    []frost.ID             `json:"signers"`    // ascending
	Nonces     []frost.AggregateNonce `json:"nonces"`     // by message
}

// Answer is what a signer gives for a session.
type Answer struct {
	Signatures []frost.PartialSignature `json:"signatures"` // by message
	Next       []frost.PublicNonce      `json:"next"`       // nonces for the signer's next session
}
