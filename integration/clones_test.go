package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// TestClonedGuardian: a guardian's folder is copied and both copies run, with one
// host key and one share. An honest coordinator settles. One that speaks to each
// of them apart, and asks both to sign whatever sessions it can make of their
// nonces, gets no nonce used twice.
func TestClonedGuardian(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	random := rand.New(rand.NewPCG(newSeed(t), 3))
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 3)
	h.open(ctx)
	c := newCustomer(ctx, h)
	h.guardians[0].stop()
	copied := t.TempDir()
	copyFolder(t, h.folder(0), copied)

	// Both answer the bank, one pushes the other out, and one is needed.
	h.guardians[0].start()
	clone := h.guardian(0, copied)
	clone.start()
	h.guardians[2].kill()
	c.withdraw(10_000)
	c.mine(1)
	c.settle(2)
	c.wait("the bank to notice", func() (bool, string) {
		raw, err := os.ReadFile(h.bank.log)
		return strings.Contains(string(raw), `does it run twice?" guardian=0`), fmt.Sprint(err)
	})

	// Each answers a coordinator of its own, and thinks that it is the only one.
	clone.stop()
	h.guardians[0].stop()
	h.guardians[1].stop()
	honest := h.address
	c.deposit(20_000)
	c.mine(depth)
	c.wait("the cut", func() (bool, string) { s := c.stage(3); return s == "cut", s })
	first, second := h.usurp("127.0.0.1:0"), h.usurp("127.0.0.1:0")
	connect := func(i int, folder, address string) *process {
		h.address = address
		p := h.guardian(i, folder)
		p.start()
		return p
	}
	h.guardians[0] = connect(0, h.folder(0), first.hub.Addr().String())
	h.guardians[1] = connect(1, h.folder(1), first.hub.Addr().String())
	clone = connect(0, copied, second.hub.Addr().String())
	c.askClones(random, [2]*wire.Remote{first.remotes[0], second.remotes[0]}, first.remotes[1])

	for _, p := range []*process{clone, h.guardians[0], h.guardians[1]} {
		p.stop()
	}
	h.guardians[0], h.guardians[1] = connect(0, h.folder(0), honest), connect(1, h.folder(1), honest)
	c.settle(3)
	h.expectSound()
	h.expectSignedOnce(c)
}

// copyFolder copies the files of a guardian's folder.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	list, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), raw, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// askClones tries to make two copies of one guardian use a nonce twice.
func (c *customer) askClones(random *rand.Rand, copies [2]*wire.Remote, other *wire.Remote) {
	t := c.h.t
	t.Helper()
	s := c.h.sit(c.readHistory())
	w := &witness{trials: make(map[frost.PublicNonce]*trial)}
	var nonces [][]frost.PublicNonce // of the two copies, all that they ever gave
	for _, r := range copies {
		nonces = append(nonces, s.commit(c.ctx, r))
	}
	for round := range 3 {
		// For the nonces of each copy two sessions, with other nonces of the third.
		var trials []*trial
		for i, own := range nonces[len(nonces)-2:] {
			for k := range 2 {
				given := map[frost.ID][]frost.PublicNonce{0: own, other.ID(): s.commit(c.ctx, other)}
				trials = append(trials, s.session(10*round+2*i+k+1, given))
			}
		}
		var next [2][]frost.PublicNonce
		for _, i := range random.Perm(4 * len(trials)) { // each twice at each copy
			at, q := i%2, trials[i/2%len(trials)]
			a, err := copies[at].Sign(c.ctx, q.ask(0))
			if err != nil {
				if !errors.Is(err, roast.ErrNoNonces) {
					t.Errorf("copy %d: %v", at, err)
				}
				continue
			}
			if err := w.hear(q, nonces, a); err != nil {
				t.Error(err)
			}
			next[at] = a.Next
		}
		if next[0] == nil || next[1] == nil {
			t.Fatal("a copy has not signed at all")
		}
		nonces = append(nonces, next[:]...)
	}
	if want := 3 * 2 * len(s.messages); len(w.trials) != want {
		t.Errorf("%d nonces have signed, want %d", len(w.trials), want)
	}
	all := make(map[frost.PublicNonce]bool)
	for _, n := range slices.Concat(nonces...) {
		all[n] = true
	}
	if len(all) != len(slices.Concat(nonces...)) {
		t.Errorf("of %d nonces %d are different", len(slices.Concat(nonces...)), len(all))
	}
}

// A witness remembers which nonce has signed in which session.
type witness struct {
	trials map[frost.PublicNonce]*trial
}

// hear finds for each partial signature the nonce that it was made with, and
// reports one that was used before, for there are two challenges then.
func (w *witness) hear(q *trial, given [][]frost.PublicNonce, a roast.Answer) error {
	used := make(map[frost.PublicNonce]*trial)
	for message, signature := range a.Signatures {
		for _, nonces := range given {
			if q.verify(0, message, nonces[message], signature) {
				used[nonces[message]] = q
			}
		}
	}
	if len(used) != len(q.messages) {
		return fmt.Errorf("session %d: %d signatures, of which %d were made with a nonce that was given out", q.number, len(a.Signatures), len(used))
	}
	for n := range used {
		if before := w.trials[n]; before != nil {
			return fmt.Errorf("one nonce has signed in session %d and in session %d", before.number, q.number)
		}
	}
	maps.Copy(w.trials, used)
	return nil
}
