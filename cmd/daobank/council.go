package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// A council is the bank's end of its guardians: their connections, and what is
// asked through them.
type council struct {
	hub     *link.Hub
	remotes []*wire.Remote
	log     *slog.Logger
}

// openCouncil lets guardians connect, and tells where, and where the API will
// answer.
func openCouncil(d *bankDir, o *serveOptions, api string) (*council, error) {
	keys, err := d.hostKeys()
	if err != nil {
		return nil, err
	}
	c := &council{log: o.Log}
	if c.hub, err = link.Listen(o.Guardians, d.coordinator, keys, o.Log); err != nil {
		return nil, err
	}
	for i := range keys {
		c.remotes = append(c.remotes, wire.NewRemote(frost.ID(i), c.hub.RoundTripper(i)))
	}
	o.Log.Info("waiting for guardians", "at", c.hub.Addr(), "guardians", len(keys))
	if o.Waiting != nil {
		o.Waiting(c.hub.Addr().String(), api)
	}
	return c, nil
}

// found makes the vault's key with all guardians, or finishes what an earlier
// process began. The bank opens only when each of them has its share safe.
func (c *council) found(ctx context.Context, d *bankDir) error {
	c.log.Info("founding: every guardian must take part in the key generation", "founding", d.founding.Hash())
	group, err := c.keygen(ctx, d)
	if err != nil {
		return fmt.Errorf("found the bank: %w", err)
	}
	if err := d.finish(group); err != nil {
		return err
	}
	c.log.Info("founded the bank: every guardian has its share safe", "name", d.founding.Name, "vault", group.Key())
	return nil
}

// keygen runs key generations until one ends well: a guardian that went away in
// the middle comes back. One that is proved to have lied ends it.
func (c *council) keygen(ctx context.Context, d *bankDir) (*frost.Group, error) {
	for {
		if err := c.hub.Wait(ctx, len(c.remotes)); err != nil {
			return nil, err
		}
		group, err := wire.Found(ctx, d.founding, c.remotes, c.log)
		var faulty *chilldkg.FaultyParticipantError
		if err == nil || ctx.Err() != nil || errors.As(err, &faulty) {
			return group, err
		}
		c.log.Warn("the key generation begins again", "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(foundPause):
		}
	}
}

// foundPause is how long the coordinator waits after a key generation that failed.
const foundPause = time.Second

// quorum is what signs the settlements.
func (c *council) quorum(group *frost.Group) *guardian.Quorum {
	peers := make([]guardian.Peer, len(c.remotes))
	for i, r := range c.remotes {
		peers[i] = r
	}
	return guardian.NewQuorum(group, peers, c.log)
}

// askEvery is how often each guardian is asked where it stands: as often as
// members should see that more is attested. It keeps its connection alive, too.
const askEvery = time.Second

// answerWithin is how long a guardian that is busy may take to answer.
const answerWithin = 5 * time.Second

// watch keeps what the guardians attest, and tells the log when one halts, goes
// or comes back, until ctx ends.
func (c *council) watch(ctx context.Context, d *bankDir, store attestationStore) error {
	var watching sync.WaitGroup // each for itself: a slow one must not keep the others' news back
	for i, r := range c.remotes {
		keep := &attestations{bank: d.Charter.ID(), id: r.ID(), host: d.founding.Guardians[i], store: store, log: c.log}
		watching.Go(func() { c.follow(ctx, r, keep) })
	}
	watching.Wait()
	return ctx.Err()
}

func (c *council) follow(ctx context.Context, r *wire.Remote, keep *attestations) {
	last := ""
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if now := c.state(ctx, r, keep); now != last {
			c.log.Info("guardian", "id", r.ID(), "is", now)
			last = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// saidMax is how many bytes of what a guardian says go into the log.
const saidMax = 500

// state is one word on a guardian, or why it has halted.
func (c *council) state(ctx context.Context, r *wire.Remote, keep *attestations) string {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	s, err := r.Status(ctx)
	switch {
	case err != nil:
		return "away"
	case s.Halted != "":
		return "halted: " + s.Halted[:min(len(s.Halted), saidMax)]
	case s.Attestation == nil:
		return "present"
	}
	return keep.take(ctx, s.Attestation)
}
