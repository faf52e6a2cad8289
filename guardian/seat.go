package guardian

import (
	"errors"
	"fmt"

	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// Key is what a guardian got from one key generation: its share, and the group.
type Key struct {
	Share *frost.Share
	Group *frost.Group
}

// A seat is a guardian's place in one group. Which generation of the vault's key
// the group stands for is told by the books.
type seat struct {
	key       Key
	responder *roast.Responder
	rounds    map[roast.RequestID]*round
}

// ErrNoSeat says that a guardian holds no share of a key.
var ErrNoSeat = errors.New("this guardian holds no share of that key")

// Add lets the guardian sign with one more share, of which it is the owner from
// now on. One that it has already changes nothing.
func (g *Guardian) Add(key Key) error {
	responder, err := roast.NewResponder(key.Group, key.Share, roast.ResponderOptions{Random: g.config.Random})
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, there := g.seats[key.Group.Key()]; !there {
		g.seats[key.Group.Key()] = &seat{key: key, responder: responder, rounds: make(map[roast.RequestID]*round)}
	}
	return nil
}

// seat is the guardian's place in the group of a generation of the vault's key.
func (g *Guardian) seat(generation uint32) (*seat, error) {
	vault, err := g.replay.Vaults().Of(generation)
	if err != nil {
		return nil, refusal("%v", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.seats[vault.Policy().GroupKey]
	if s == nil {
		return nil, refusal("%v: generation %d", ErrNoSeat, generation)
	}
	return s, nil
}

// allSeats are the guardian's places in no order.
func (g *Guardian) allSeats() []*seat {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*seat, 0, len(g.seats))
	for _, s := range g.seats {
		list = append(list, s)
	}
	return list
}

// round finds a request that the guardian gave nonces for.
func (g *Guardian) round(id roast.RequestID) (*seat, *round) {
	for _, s := range g.allSeats() {
		if r := s.rounds[id]; r != nil {
			return s, r
		}
	}
	return nil, nil
}

// forget gives rounds up: their nonces will sign nothing.
func (s *seat) forget(which func(roast.RequestID) bool) {
	for id := range s.rounds {
		if which(id) {
			s.responder.Forget(id)
			delete(s.rounds, id)
		}
	}
}

// Peer is the guardian as the coordinator of one of its groups sees it. The error
// is ErrNoSeat.
func (g *Guardian) Peer(group frost.PublicKey) (Peer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.seats[group]
	if s == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoSeat, group)
	}
	return member{Guardian: g, id: s.key.Share.ID()}, nil
}

// A member is a guardian under its number in a group.
type member struct {
	*Guardian
	id frost.ID
}

func (m member) ID() frost.ID { return m.id }

var _ Peer = member{}
