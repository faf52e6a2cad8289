package integration

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// TestGuardiansDie: two of five guardians die at every moment of a round, as by a
// power cut, while a third is slow. Each time the settlement is mined, nobody is
// blamed, and they come back by themselves.
func TestGuardiansDie(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	random := rand.New(rand.NewPCG(newSeed(t), 2))
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 3, 5)
	s := stage(t.TempDir())
	h.openWith(ctx, h.cast(s, 0, 1, 4))
	c := newCustomer(ctx, h)
	log := h.logFromHere()

	var deaths []string
	for name := range acts {
		if strings.HasPrefix(name, "dies ") {
			deaths = append(deaths, name)
		}
	}
	slices.Sort(deaths)
	random.Shuffle(len(deaths), func(i, j int) { deaths[i], deaths[j] = deaths[j], deaths[i] })
	n := uint32(1)
	for i, death := range deaths {
		n++
		o := orders{Round: int(n), Acts: map[int]string{0: death, 1: deaths[(i+1)%len(deaths)], 4: "last"}}
		s.order(t, o)
		c.deposit(10_000)
		c.mine(depth)
		c.settle(n)
		dead := slices.DeleteFunc(s.acted(o.Round), func(id int) bool { return id == 4 })
		if len(dead) == 0 {
			t.Errorf("nobody died of %v", o.Acts)
		}
		s.order(t, orders{})
		for _, id := range dead {
			h.revive(ctx, s, id)
		}
	}
	c.dieAndComeBack(s, n+1)
	h.expectSound()
	h.expectSignedOnce(c)
	if blamed := log.blamed(t); blamed != nil {
		t.Errorf("%v are blamed for having died", blamed)
	}
}

// dieAndComeBack: with two guardians gone the third that is needed dies when its
// signature is on disk and not yet sent. Restarted in the middle of the round it
// has lost its nonces, begins again, and signs the same.
func (c *customer) dieAndComeBack(s stage, n uint32) {
	c.h.t.Helper()
	h := c.h
	h.guardians[2].kill()
	h.guardians[4].kill()
	s.order(h.t, orders{Round: int(n), Acts: map[int]string{0: "dies before it can speak"}})
	c.deposit(10_000)
	c.mine(depth)
	c.wait("a guardian to die", func() (bool, string) { return len(s.acted(int(n))) == 1, "it lives" })
	if stage := c.stage(n); stage != "cut" {
		h.t.Errorf("two of five guardians are left and settlement %d is %q", n, stage)
	}
	s.order(h.t, orders{})
	h.guardians[0].kill()
	before := signedLog(h.t, h.folder(0))[n]
	h.guardians[0].start()
	c.settle(n)
	if after := signedLog(h.t, h.folder(0))[n]; len(before) != 1 || !slices.Equal(before, after) {
		h.t.Errorf("the guardian had agreed to sign %v for settlement %d, and after it came back %v", before, n, after)
	}
}
