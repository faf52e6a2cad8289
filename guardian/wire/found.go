package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// Found makes the group's key with all guardians of a document, or finishes what
// an earlier call began. It returns the proof of it: the group may be funded, for
// every guardian has acknowledged that it can recover its share.
//
// Errors name the guardian that failed; a *chilldkg.FaultyParticipantError is
// certain blame. Found may be called again.
func Found(ctx context.Context, f *guardian.Founding, remotes []*Remote, log *slog.Logger) (*guardian.KeyProof, error) {
	c := &ceremony{founding: f, remotes: remotes}
	data, shower, err := c.finished(ctx)
	if err != nil {
		return nil, err
	}
	if data != nil {
		log.Info("a key generation was finished by a guardian before: handing it to all", "guardian", shower)
		proof, err := c.handOn(ctx, data)
		if err != nil {
			return nil, fmt.Errorf("with the key generation that guardian %d shows: %w", shower, err)
		}
		return proof, nil
	}
	result, certificate, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	acks, err := c.all(ctx, "finalize", func(frost.ID) []byte { return certificate })
	if err != nil {
		return nil, err
	}
	return c.collect(result.RecoveryData, acks)
}

// A ceremony asks all guardians the same thing, step by step.
type ceremony struct {
	founding *guardian.Founding
	remotes  []*Remote
}

// all sends each guardian its message of a step, and returns the answers by id.
func (c *ceremony) all(ctx context.Context, step string, message func(frost.ID) []byte) ([][]byte, error) {
	answers := make([][]byte, len(c.remotes))
	group, ctx := errgroup.WithContext(ctx)
	hash := c.founding.Hash()
	for i, r := range c.remotes {
		group.Go(func() error {
			var out keygenMessage
			in := keygenMessage{Document: hash, Message: message(r.id)}
			if err := r.ask(ctx, http.MethodPost, "/keygen/"+step, in, &out); err != nil {
				return fmt.Errorf("key generation, %s, guardian %d: %w", step, r.id, err)
			}
			answers[i] = out.Message
			return nil
		})
	}
	return answers, group.Wait()
}

// finished returns the recovery data of a run that some guardian has finished, and
// which one, or nil. Two that finished different runs cannot be: they signed each
// other's. But a guardian that lies can show one of an older key.
func (c *ceremony) finished(ctx context.Context) ([]byte, frost.ID, error) {
	for _, r := range c.remotes {
		s, err := r.Status(ctx)
		if err != nil {
			return nil, 0, fmt.Errorf("status of guardian %d: %w", r.id, err)
		}
		d := s.Document(c.founding.Hash())
		if d == nil {
			return nil, 0, fmt.Errorf("guardian %d has not agreed to the document %s", r.id, c.founding.Hash())
		}
		if d.Finished {
			if err := c.check(d.Recovery); err != nil {
				return nil, 0, fmt.Errorf("guardian %d says that it has finished, and shows no key generation of this founding: %w", r.id, err)
			}
			return d.Recovery, r.id, nil
		}
	}
	return nil, 0, nil
}

// check looks at what a guardian shows as the recovery data of a finished run, so
// that who refuses rubbish later is not taken for the one who sent it.
func (c *ceremony) check(data []byte) error {
	result, err := chilldkg.RecoverCoordinator(data)
	if err != nil {
		return err
	}
	got, err := result.Params.Hash()
	if err != nil {
		return err
	}
	if want, err := c.founding.Params().Hash(); err != nil || got != want {
		return errOtherGroup
	}
	return nil
}

// handOn gives a finished run to all guardians and collects what they
// acknowledge.
func (c *ceremony) handOn(ctx context.Context, data []byte) (*guardian.KeyProof, error) {
	acks, err := c.all(ctx, "adopt", func(frost.ID) []byte { return data })
	if err != nil {
		return nil, err
	}
	return c.collect(data, acks)
}

// run is ChillDKG's coordinator up to the certificate.
func (c *ceremony) run(ctx context.Context) (*chilldkg.Result, []byte, error) {
	first, err := c.all(ctx, "begin", func(frost.ID) []byte { return nil })
	if err != nil {
		return nil, nil, err
	}
	coordinator, broadcast, err := chilldkg.NewCoordinator(c.founding.Params(), first)
	if err != nil {
		return nil, nil, err
	}
	second, err := c.all(ctx, "step2", func(frost.ID) []byte { return broadcast })
	var unknown *unknownFaulty
	if errors.As(err, &unknown) {
		return nil, nil, c.investigate(ctx, first, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return coordinator.Finalize(second)
}

// investigate lets the guardians whose sum was wrong name who is to blame.
func (c *ceremony) investigate(ctx context.Context, first [][]byte, cause error) error {
	messages, err := chilldkg.Investigations(c.founding.Params(), first)
	if err != nil {
		return errors.Join(cause, err)
	}
	for i, r := range c.remotes {
		var out keygenMessage
		in := keygenMessage{Document: c.founding.Hash(), Message: messages[i]}
		if err := r.ask(ctx, http.MethodPost, "/keygen/investigate", in, &out); err != nil {
			cause = errors.Join(cause, fmt.Errorf("guardian %d finds: %w", r.id, err))
		}
	}
	return cause
}

// collect gives the proof out once every guardian has acknowledged.
func (c *ceremony) collect(data []byte, acks [][]byte) (*guardian.KeyProof, error) {
	proof := &guardian.KeyProof{Recovery: data, Acks: acks}
	if _, err := proof.Group(c.founding); err != nil {
		return nil, err
	}
	return proof, nil
}
