package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot/frost"
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
	ctx, stop := b.whileInForce(ctx, f)
	defer stop()
	s, err := b.council.seat(f)
	if err != nil {
		return err
	}
	group, err := b.council.makeKey(ctx, b.dir, s)
	if err != nil {
		return fmt.Errorf("the next guardians' key: %w", err)
	}
	rekey, err := f.Rekey(group.Key())
	if err != nil {
		return err
	}
	var last uint64
	if err := b.engine.View(ctx, func(s *ledger.State) { last = s.Last().Number }); err != nil {
		return err
	}
	request := guardian.Succession{Document: f.Hash(), Proof: *s.proof}
	if err := b.quorum.Authorize(ctx, b.dir.Charter.ID(), rekey, request, last); err != nil {
		return fmt.Errorf("the guardians hand the vault over: %w", err)
	}
	if err := b.desk.Rekey(ctx, rekey); err != nil {
		return err
	}
	b.log.Info("the vault has a new key: settlements move its coins", "generation", f.Generation, "vault", group.Key(),
		"threshold", f.Threshold, "guardians", len(f.Guardians))
	return b.takeOver(s, group)
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

// takeOver lets the guardians of the newest generation sign and makes their vault
// public.
func (b *bank) takeOver(s *seats, group *frost.Group) error {
	b.quorum.Succeed(b.council.signers(s, group))
	b.council.join(s)
	return b.publish()
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

// resume takes in the guardians of every generation that the books have.
func (b *bank) resume(ctx context.Context) error {
	behind := error(nil)
	err := b.engine.View(ctx, func(s *ledger.State) { behind = b.vaults.Follow(s) })
	if err != nil {
		return err
	}
	if behind != nil {
		return behind
	}
	for generation, vault := range b.vaults.All()[1:] {
		made, group, err := b.dir.holders(vault.Policy().GroupKey)
		if err != nil {
			return fmt.Errorf("the guardians of generation %d: %w", generation+1, err)
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
