package roast_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// A whole request, all signers in this process: what the coordinator and all t
// signers compute, on as many processors as there are.
func BenchmarkSign(b *testing.B) {
	for _, size := range []struct{ t, n, inputs, dead, lying int }{
		{7, 10, 20, 0, 0}, {7, 10, 20, 3, 0}, {7, 10, 20, 0, 3}, {67, 100, 1, 0, 0}, {67, 100, 1, 0, 33},
	} {
		b.Run(fmt.Sprintf("%dof%d/inputs=%d/dead=%d/lying=%d", size.t, size.n, size.inputs, size.dead, size.lying), func(b *testing.B) {
			group, shares := deal(b, size.t, size.n)
			messages := newMessages(size.inputs)
			var signers []roast.Signer
			for i, share := range shares {
				r := newResponder(b, group, share)
				b.Cleanup(r.Close)
				s := r.Signer(messages)
				switch {
				case i < size.dead:
					s = broken{s}
				case i < size.dead+size.lying:
					s = lying{s}
				}
				signers = append(signers, s)
			}
			coordinator := roast.NewCoordinator(group, roast.DefaultOptions())
			sessions := 0
			for b.Loop() {
				result, err := coordinator.Sign(b.Context(), messages, signers)
				if err != nil {
					b.Fatal(err)
				}
				sessions += result.Sessions
			}
			b.ReportMetric(float64(sessions)/float64(b.N), "sessions/op")
		})
	}
}

// One verification, to compare with.
func BenchmarkVerifySignature(b *testing.B) {
	group, shares := deal(b, 1, 1)
	messages := newMessages(1)
	r := newResponder(b, group, shares[0])
	b.Cleanup(r.Close)
	result, err := roast.NewCoordinator(group, roast.Options{}).Sign(b.Context(), messages, []roast.Signer{r.Signer(messages)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := frost.VerifySignature(group.Key().XOnly(), messages[0].Digest[:], result.Signatures[0]); err != nil {
			b.Fatal(err)
		}
	}
}

type broken struct{ roast.Signer }

func (broken) Commit(context.Context, roast.CommitRequest) ([]frost.PublicNonce, error) {
	return nil, errBroken
}

type lying struct{ roast.Signer }

func (l lying) Sign(ctx context.Context, request roast.SignRequest) (roast.Answer, error) {
	answer, err := l.Signer.Sign(ctx, request)
	if err == nil {
		answer.Signatures[0] = frost.PartialSignature{1, byte(l.ID())}
	}
	return answer, err
}
