package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// TestGuardiansUnattended: whatever guardians need goes away for a while and comes
// back: the way to the coordinator, to the bank's API and to the node, then the
// bank and the node themselves. Meanwhile nothing is signed; afterwards they sign
// by themselves, the same processes as before.
func TestGuardiansUnattended(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 2)
	node, err := url.Parse(h.node.Config().URL)
	if err != nil {
		t.Fatal(err)
	}
	doors := make(map[string]*door)
	h.openWith(ctx, func(i int) *process {
		if i == 0 {
			doors["coordinator"] = newDoor(t, h.address)
			doors["bank"] = newDoor(t, h.url[len("http://"):])
			doors["node"] = newDoor(t, node.Host)
		}
		return h.guardianBehind(i, doors)
	})
	c := newCustomer(ctx, h)
	to := map[string]string{"coordinator": h.address, "bank": h.url[len("http://"):], "node": node.Host}
	n := uint32(1)
	for _, name := range []string{"coordinator", "bank", "node"} {
		n++
		doors[name].shut()
		c.cutInVain(n)
		doors[name].open(to[name])
		c.settle(n)
	}

	// A guardian that starts when its node is away waits for it.
	n++
	h.guardians[0].stop()
	doors["node"].shut()
	h.guardians[0].start()
	c.wait("the guardian to look for its node", func() (bool, string) {
		raw, err := os.ReadFile(h.guardians[0].log)
		return strings.Contains(string(raw), "waiting for the Bitcoin node"), fmt.Sprint(err)
	})
	c.cutInVain(n)
	doors["node"].open(to["node"])
	c.settle(n)

	n++
	h.bank.kill()
	h.reopen(ctx)
	c.withdraw(10_000)
	c.mine(1)
	c.settle(n)

	n++
	c.must(h.node.Stop(ctx))
	c.must(h.node.Restart(ctx))
	c.withdraw(10_000)
	c.mine(1)
	c.settle(n)
	for i, g := range h.guardians {
		if len(g.exited) > 0 {
			t.Errorf("guardian %d has stopped", i)
		}
	}
	h.expectSound()
	h.expectSignedOnce(c)
}

// guardianBehind prepares a guardian that reaches everything through doors.
func (h *house) guardianBehind(i int, doors map[string]*door) *process {
	h.t.Helper()
	p := h.guardian(i, h.folder(i))
	for name, flag := range map[string]string{"coordinator": "--coordinator", "bank": "--bank", "node": "--bitcoind"} {
		d := doors[name]
		if d == nil {
			continue
		}
		address := d.address()
		if name != "coordinator" {
			address = "http://" + address
		}
		if at := slices.Index(p.args, flag); at >= 0 {
			p.args[at+1] = address
		} else {
			p.args = append(p.args, flag, address)
		}
	}
	return p
}

// cutInVain orders a withdrawal, mines, and waits until the guardians were asked
// to sign settlement n and did not.
func (c *customer) cutInVain(n uint32) {
	c.h.t.Helper()
	log := c.h.logFromHere()
	c.withdraw(10_000)
	c.mine(1)
	c.wait("the guardians to be asked in vain", func() (bool, string) {
		lines := log.lines(c.h.t)
		return slices.ContainsFunc(lines, func(line string) bool {
			return strings.Contains(line, "settlement does not advance") && strings.Contains(line, fmt.Sprintf("sign settlement %d", n))
		}), lines[max(0, len(lines)-2)]
	})
	if s := c.stage(n); s != "cut" {
		c.h.t.Errorf("settlement %d is %q", n, s)
	}
}
