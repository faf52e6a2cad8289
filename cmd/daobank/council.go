package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// A council is the bank's end of its guardians, of all generations: their
// connections, and what is asked through them.
type council struct {
	hub *link.Hub
	log *slog.Logger

	mu      sync.Mutex
	groups  []*seats                        // by generation of the vault's key
	present map[chilldkg.HostPublicKey]bool // answered last, and has not halted
}

// Seats are the guardians of one document.
type seats struct {
	document *guardian.Founding
	places   []int          // in the hub, by guardian's id
	remotes  []*wire.Remote // by guardian's id
	proof    *guardian.KeyProof
}

// openCouncil lets guardians connect, and tells where, and where the API will
// answer.
func openCouncil(d *bankDir, o *serveOptions, api string) (*council, error) {
	c := &council{log: o.Log, present: make(map[chilldkg.HostPublicKey]bool)}
	var err error
	if c.hub, err = link.Listen(o.Guardians, d.coordinator, nil, o.Log); err != nil {
		return nil, err
	}
	o.Log.Info("waiting for guardians", "at", c.hub.Addr(), "guardians", len(d.founding.Guardians))
	if o.Waiting != nil {
		o.Waiting(c.hub.Addr().String(), api)
	}
	return c, nil
}

// seat lets the guardians of a document connect.
func (c *council) seat(f *guardian.Founding) (*seats, error) {
	keys := make([]*btcec.PublicKey, len(f.Guardians))
	for i, g := range f.Guardians {
		var err error
		if keys[i], err = btcec.ParsePubKey(g[:]); err != nil {
			return nil, fmt.Errorf("host key of guardian %d: %w", i, err)
		}
	}
	s := &seats{document: f, places: c.hub.Admit(keys)}
	for i, place := range s.places {
		s.remotes = append(s.remotes, wire.NewRemote(frost.ID(i), c.hub.RoundTripper(place)))
	}
	return s, nil
}

// makeKey has the guardians of a document make their key, or finishes what an
// earlier process began, and keeps the proof of it. It returns only when each of
// them has its share safe.
func (c *council) makeKey(ctx context.Context, d *bankDir, s *seats) (*frost.Group, error) {
	made, group, err := d.made(s.document)
	switch {
	case err == nil:
		s.proof = &made.KeyProof
		return group, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	c.log.Info("every guardian must take part in the key generation", "document", s.document.Hash(), "generation", s.document.Generation)
	if s.proof, err = c.keygen(ctx, s); err != nil {
		return nil, err
	}
	if err := d.keep(s.document, s.proof); err != nil {
		return nil, err
	}
	return s.proof.Group(s.document)
}

// keygen runs key generations until one ends well: a guardian that went away in
// the middle comes back. One that is proved to have lied ends it.
func (c *council) keygen(ctx context.Context, s *seats) (*guardian.KeyProof, error) {
	for {
		if err := c.hub.Wait(ctx, s.places...); err != nil {
			return nil, err
		}
		proof, err := wire.Found(ctx, s.document, s.remotes, c.log)
		var faulty *chilldkg.FaultyParticipantError
		if err == nil || ctx.Err() != nil || errors.As(err, &faulty) {
			return proof, err
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

// join takes the guardians of the next generation in.
func (c *council) join(s *seats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups = append(c.groups, s)
}

func (c *council) all() []*seats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.groups[:len(c.groups):len(c.groups)]
}

// signers are the guardians of a generation as those who sign.
func (c *council) signers(s *seats, group *frost.Group) guardian.Council {
	peers := make([]guardian.Peer, len(s.remotes))
	for i, r := range s.remotes {
		peers[i] = r
	}
	return guardian.Council{Group: group, Peers: peers, Present: func() (n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, host := range s.document.Guardians {
			if c.present[host] {
				n++
			}
		}
		return n
	}}
}

// public are the guardians by generation, as members are told.
func (c *council) public() (list []api.Council) {
	for _, s := range c.all() {
		list = append(list, api.Council{Threshold: s.document.Threshold, Guardians: s.document.Guardians})
	}
	return list
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
	defer watching.Wait()
	watched := make(map[chilldkg.HostPublicKey]bool)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		for _, s := range c.all() {
			for i, host := range s.document.Guardians {
				if !watched[host] {
					watched[host] = true
					log := c.log.With("guardian", i, "generation", s.document.Generation)
					keep := &attestations{bank: d.Charter.ID(), host: host, store: store, log: log}
					watching.Go(func() { c.follow(ctx, s.remotes[i], keep) })
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (c *council) follow(ctx context.Context, r *wire.Remote, keep *attestations) {
	last := ""
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if now := c.state(ctx, r, keep); now != last {
			level := slog.LevelInfo
			if now == isKeyedElsewhere {
				level = slog.LevelError
			}
			keep.log.Log(ctx, level, "guardian", "is", now, "key", keep.host)
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
	c.note(keep.host, err == nil && s.Halted == "")
	switch {
	case err != nil:
		return "away"
	case s.Halted != "":
		return "halted: " + s.Halted[:min(len(s.Halted), saidMax)]
	}
	c.handOn(ctx, r, s, keep)
	if c.elsewhere(s, keep.host) {
		return isKeyedElsewhere
	}
	if s.Attestation == nil {
		return "present"
	}
	return keep.take(ctx, s.Attestation)
}

func (c *council) note(host chilldkg.HostPublicKey, present bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present[host] = present
}

// isKeyedElsewhere is an alarm: whoever relayed the key generation has led a guardian
// to another key than the others, and that key must never be funded.
const isKeyedElsewhere = "holding a share of another key than the bank's: it was led through another key generation"

// elsewhere reports whether a guardian has finished another key generation of a
// document than the one that the bank has.
func (c *council) elsewhere(status *wire.Status, host chilldkg.HostPublicKey) bool {
	for _, s := range c.all() {
		d := status.Document(s.document.Hash())
		if d != nil && d.Finished && slices.Contains(s.document.Guardians, host) && !bytes.Equal(d.Recovery, s.proof.Recovery) {
			return true
		}
	}
	return false
}

// handOn gives a guardian that was restored from a backup older than its last key
// generation what it needs for its share.
func (c *council) handOn(ctx context.Context, r *wire.Remote, status *wire.Status, keep *attestations) {
	for _, s := range c.all() {
		if !slices.Contains(s.document.Guardians, keep.host) {
			continue
		}
		if d := status.Document(s.document.Hash()); d != nil && !d.Finished {
			if err := r.Adopt(ctx, d.Hash, s.proof.Recovery); err != nil {
				keep.log.Warn("a guardian does not take its share back", "of", d.Generation, "error", err)
			}
		}
	}
}
