package roast_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Two signers that work together can choose nonces whose sum is infinity. Each part
// is then right and the signature is not (BIP-445 puts G for the final nonce). They
// must not hold up the honest ones, even if they are in the first session.
func TestSignersWhoseNoncesCancel(t *testing.T) {
	tests := []struct {
		name  string
		late  time.Duration // after the first canceller, the second
		moved bool          // the first is in a newer session by then
	}{
		{"at once", 0, false},
		{"one late", 50 * time.Millisecond, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCast(t, 2, 1, []behaviour{wrongOne, wrongOne, honest, honest})
				signers := c.signers()
				for i := range 2 {
					signers[i] = &canceller{cast: c, share: c.shares[i], negative: i == 1}
				}
				signers[1].(*canceller).late = test.late
				c.actors[2].latency, c.actors[3].latency = 30*time.Millisecond, 100*time.Millisecond
				result, err := roast.NewCoordinator(c.group, roast.Options{}).Sign(t.Context(), c.messages, signers)
				if err != nil {
					t.Fatal(err)
				}
				for _, complaint := range c.judge(result, err) {
					t.Error(complaint)
				}
				for id := range frost.ID(2) {
					if err := result.Failed[id]; errors.Is(err, roast.ErrNoncesCancel) == (id == 0 && test.moved) {
						t.Errorf("signer %d: %v", id, err)
					}
				}
				if len(result.Blamed) != 0 || result.Sessions != 2 {
					t.Errorf("%d sessions, want 2; blamed without evidence: %v", result.Sessions, result.Blamed)
				}
			})
		})
	}
}

// A canceller has always the same nonce, or the negative one, and signs rightly.
type canceller struct {
	cast     *cast
	share    *frost.Share
	negative bool
	late     time.Duration
}

func (c *canceller) ID() frost.ID { return c.share.ID() }

func (c *canceller) Commit(context.Context, roast.CommitRequest) ([]frost.PublicNonce, error) {
	_, public := c.nonce()
	if c.negative {
		public[0] ^= 1 // 02 and 03 are the two parities of y
		public[frost.PublicKeySize] ^= 1
	}
	return []frost.PublicNonce{public}, nil
}

func (c *canceller) nonce() (*frost.SecretNonce, frost.PublicNonce) {
	secret, public, err := frost.NonceGen(bytes.NewReader(make([]byte, 32)), frost.NonceParams{})
	if err != nil {
		c.cast.t.Error(err)
	}
	return secret, public
}

func (c *canceller) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	if err := pause(ctx, c.late); err != nil {
		return roast.Answer{}, err
	}
	part := c.sign(request, c.share)
	if c.negative {
		// The nonce k in k + eλd is twice the part of share 1 less that of share 2.
		k, two := c.sign(request, c.fake(1)), c.sign(request, c.fake(2))
		k.Add(&k).Add(two.Negate())
		part.Add(k.Add(&k).Negate())
	}
	next, err := c.Commit(ctx, roast.CommitRequest{})
	return roast.Answer{Signatures: []frost.PartialSignature{part.Bytes()}, Next: next}, err
}

// sign is the part of a share with the nonce that is not negative. Without public
// shares nobody checks whose share it is.
func (c *canceller) sign(request roast.SignRequest, share *frost.Share) (part btcec.ModNScalar) {
	group, err := frost.NewKeyOnlyGroup(c.cast.group.Threshold(), c.cast.group.Participants(), c.cast.group.Key())
	if err != nil {
		c.cast.t.Error(err)
		return part
	}
	session, err := frost.NewSession(group, frost.SessionParams{Signers: request.Signers,
		AggregateNonce: request.Nonces[0], Message: c.cast.messages[0].Digest[:]})
	if err != nil {
		c.cast.t.Error(err)
		return part
	}
	nonce, _ := c.nonce()
	signature, err := session.Sign(nonce, share)
	if err != nil {
		c.cast.t.Error(err)
	}
	part.SetByteSlice(signature[:])
	return part
}

func (c *canceller) fake(secret byte) *frost.Share {
	share, err := frost.NewShare(c.ID(), append(make([]byte, 31), secret))
	if err != nil {
		c.cast.t.Error(err)
	}
	return share
}
