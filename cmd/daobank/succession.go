package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
)

// successionPause is how long the bank waits before it looks for a succession, or
// tries one again.
const successionPause = time.Second

// succeed changes the guardians whenever there is a document for it, until ctx
// ends. Each step can be repeated: a process that dies is followed by one that goes
// on where it was.
//
//	document ── key generation ──▶ proof on disk ── guardians before sign ──▶ Rekey in the books ──▶ settlements move the coins
func (b *bank) succeed(ctx context.Context) error {
	told := ""
	for {
		err := b.succession(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			b.log.Error("the guardians are not changed yet", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(successionPause):
		}
	}
}

// succession takes the document for the next generation, if there is one, to the
// books.
func (b *bank) succession(ctx context.Context) error {
	if err := b.resume(ctx); err != nil { // what was interrupted after it was in the books
		return err
	}
	_, newest := b.vaults.Newest()
	f, err := b.dir.document(newest + 1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = b.checkSuccession(f, newest+1)
	}
	if err != nil {
		return err
	}
	rekey, err := b.prepare(ctx, f)
	if err != nil {
		return err
	}
	// It is signed: no other document takes its place any more.
	if err := b.desk.Rekey(ctx, rekey); err != nil {
		return err
	}
	b.log.Info("the vault has a new key: settlements move its coins", "generation", f.Generation,
		"threshold", f.Threshold, "guardians", len(f.Guardians))
	return b.resume(ctx)
}

// prepare has the guardians of the document make their key, and those before sign it.
func (b *bank) prepare(ctx context.Context, f *guardian.Founding) (_ *ledger.Rekey, err error) {
	ctx, stop := b.whileInForce(ctx, f)
	defer stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errReplaced) {
			err = errReplaced
		}
	}()
	s, err := b.council.seat(f)
	if err != nil {
		return nil, err
	}
	group, err := b.council.makeKey(ctx, b.dir, s)
	if err != nil {
		return nil, fmt.Errorf("the next guardians' key: %w", err)
	}
	rekey, err := f.Rekey(group.Key())
	if err != nil {
		return nil, err
	}
	last, err := b.lastBatch(ctx)
	if err != nil {
		return nil, err
	}
	request := guardian.Succession{Document: f.Hash(), Proof: *s.proof}
	if err := b.quorum.Authorize(ctx, b.dir.Charter.ID(), rekey, request, last); err != nil {
		return nil, fmt.Errorf("the guardians hand the vault over: %w", err)
	}
	return rekey, nil
}

func (b *bank) lastBatch(ctx context.Context) (uint64, error) {
	last := make(chan uint64, 1) // a View that was left may still write
	err := b.engine.View(ctx, func(s *ledger.State) { last <- s.Last().Number })
	if err != nil {
		return 0, err
	}
	return <-last, nil
}

// checkSuccession refuses a document that is not for this bank's next guardians.
func (b *bank) checkSuccession(f *guardian.Founding, next uint32) error {
	charter, err := f.Charter()
	switch {
	case err != nil:
		return err
	case charter.ID() != b.dir.Charter.ID() || f.Generation != next || !f.SucceedsVault(b.dir.Policy):
		return fmt.Errorf("%s is not for generation %d of this bank's vault", b.dir.successionPath(next), next)
	}
	return nil
}

var errReplaced = errors.New("another document has taken its place")

// whileInForce ends the context when another document takes this one's place.
func (b *bank) whileInForce(ctx context.Context, f *guardian.Founding) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(successionPause):
			}
			if now, err := b.dir.document(f.Generation); err != nil || now.Hash() != f.Hash() {
				cancel(errReplaced)
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// publish brings the bank's public file up to the books.
func (b *bank) publish() error {
	vaults := b.vaults.All()
	if len(b.dir.Rekeyed) == len(vaults)-1 {
		return nil
	}
	b.dir.Rekeyed = nil
	for _, vault := range vaults[1:] {
		b.dir.Rekeyed = append(b.dir.Rekeyed, vault.Policy())
	}
	return b.dir.publish()
}

// resume takes in the guardians of every generation that the books have, and makes
// their vaults public. Those who are in stay as they are.
func (b *bank) resume(ctx context.Context) error {
	behind := make(chan error, 1) // a View that was left may still write
	if err := b.engine.View(ctx, func(s *ledger.State) { behind <- b.vaults.Follow(s) }); err != nil {
		return err
	}
	if err := <-behind; err != nil {
		return err
	}
	vaults := b.vaults.All()
	for generation := len(b.council.all()); generation < len(vaults); generation++ {
		made, group, err := b.dir.holders(vaults[generation].Policy().GroupKey)
		if err != nil {
			return fmt.Errorf("the guardians of generation %d: %w", generation, err)
		}
		s, err := b.council.seat(made.Document)
		if err != nil {
			return err
		}
		s.proof = &made.KeyProof
		b.quorum.Succeed(b.council.signers(s, group))
		b.council.join(s)
	}
	return b.publish()
}
