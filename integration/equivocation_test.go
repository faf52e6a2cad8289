package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// TestOperatorAgainstGuardians: an operator with the coordinator's key shows each
// of six guardians, of which two sign, what suits it: the bank's history, another
// with another settlement of the same number, and a third with a deposit that
// never was. The other settlement gets one signature of the two that it needs, the
// operator's lies end as proofs on disk, and the bank's own settlement is mined.
func TestOperatorAgainstGuardians(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 6)
	h.open(ctx)
	c := newCustomer(ctx, h)
	for _, g := range h.guardians {
		g.stop()
	}
	settled := c.readHistory().books.Last().Number
	c.deposit(50_000)
	c.mine(depth)
	c.wait("the cut", func() (bool, string) { s := c.stage(2); return s == "cut", s })

	u := h.usurp("127.0.0.1:0")
	a := &affair{customer: c, u: u, real: h.sit(c.readHistory()), other: c.otherHistory()}
	a.invented = c.inventedDeposit(settled)
	// Guardians 0, 1, 2 and 3 know the bank's history. 3 and 2 are asked for it.
	for i := range 4 {
		h.connect(i, u.hub.Addr().String(), h.url)
	}
	nonces := a.real.commit(ctx, u.remotes[3])
	given := map[frost.ID][]frost.PublicNonce{2: a.real.commit(ctx, u.remotes[2]), 3: nonces}
	if _, err := u.remotes[3].Sign(ctx, a.real.session(1, given).ask(3)); err != nil {
		t.Fatal(err)
	}
	for _, r := range u.remotes[:2] {
		a.real.commit(ctx, r)
	}
	a.showOther(t)
	a.showInvented(t)

	for i, g := range h.guardians {
		g.stop()
		h.connect(i, h.address, h.url)
	}
	c.settle(2)
	for _, i := range []int{0, 1, 3, 4} { // whoever has seen two histories
		c.awaitProof(i)
	}
	h.expectSound()
	for _, i := range []int{2, 5} {
		if list := signedLog(t, h.folder(i))[2]; len(list) != 1 || list[0].String() != c.txid(2) {
			t.Errorf("guardian %d has agreed to sign %v for settlement 2, which is %s", i, list, c.txid(2))
		}
	}
}

// An affair is what the operator does behind the guardians' backs.
type affair struct {
	*customer
	u        *usurper
	real     *sitting
	other    *history
	invented *history
}

// otherHistory is the bank's without its cut of settlement 2, and with another
// withdrawal, and another cut that spends one coin of two.
func (c *customer) otherHistory() *history {
	x := c.readUntil(func(s *ledger.State, b *ledger.Batch) bool {
		return s.Settlements() == 1 && has[*ledger.Cut](0)(s, b)
	})
	x.withdraw(c, 20_000, "mallory")
	x.cut(1)
	return x
}

// inventedDeposit is the bank's history up to a block after a batch, in which it
// has a deposit that is not there, and that somebody withdraws.
func (c *customer) inventedDeposit(after uint64) *history {
	c.h.t.Helper()
	var entries []ledger.Entry
	holds := has[*ledger.Deposit](after + 1)
	x := c.readUntil(func(s *ledger.State, b *ledger.Batch) bool {
		if !holds(s, b) {
			return false
		}
		for _, raw := range b.Entries {
			e, err := ledger.DecodeEntry(raw)
			c.must(err)
			entries = append(entries, e)
		}
		return true
	})
	honest := entries[len(entries)-1].Event.(*ledger.Deposit)
	d := *honest
	d.OutPoint.Vout, d.Amount, d.TxIndex = 9, 5_000_000, honest.TxIndex+1
	x.add(append(entries, ledger.Entry{Event: &d})...)
	x.withdraw(c, 4_000_000, "mallory")
	x.cut(500)
	return x
}

// txid is a settlement's, as the bank says.
func (c *customer) txid(n uint32) string {
	c.h.t.Helper()
	list, err := c.client.Settlements(c.ctx, n, 1)
	c.must(err)
	if len(list) == 0 {
		return ""
	}
	return list[0].TxID
}

// show restarts guardians in front of another history.
func (a *affair) show(t *testing.T, x *history, guardians ...int) {
	server := httptest.NewServer(x.handler())
	t.Cleanup(server.Close)
	for _, i := range guardians {
		if g := a.h.guardians[i]; g.cmd != nil {
			g.stop()
		}
		a.h.connect(i, a.u.hub.Addr().String(), server.URL)
	}
}

// answer asks a guardian for nonces until it gives them or says one thing.
func (a *affair) answer(i int, s *sitting, said string) (nonces []frost.PublicNonce, err error) {
	a.h.t.Helper()
	a.wait(fmt.Sprintf("guardian %d to say %q", i, said), func() (bool, string) {
		nonces, err = a.u.remotes[i].Commit(a.ctx, s.proposal, s.request)
		return err == nil || said != "" && strings.Contains(err.Error(), said), fmt.Sprint(err)
	})
	return nonces, err
}

// showOther shows the other history to guardian 4, which has seen none, to
// guardian 0, which has seen the bank's, and to guardian 3, which has signed in
// the bank's and has lost what it had seen.
func (a *affair) showOther(t *testing.T) {
	if err := os.Remove(filepath.Join(a.h.folder(3), "headers")); err != nil {
		a.h.guardians[3].stop()
		t.Fatal(err)
	}
	a.show(t, a.other, 0, 3, 4)
	s := a.h.sit(a.other)
	nonces, err := a.answer(0, s, "has stopped signing")
	var refused *roast.RefusalError
	if nonces != nil || errors.As(err, &refused) {
		t.Errorf("guardian 0 has seen the bank's history and gives %d nonces for another, %v", len(nonces), err)
	}
	a.awaitProof(0)
	nonces, err = a.answer(3, s, "signed for version 1 of this number")
	checkRefused(t, nonces, err, "signed for version 1 of this number")

	// Guardian 4 cannot know. It signs, and that is one of two.
	given := map[frost.ID][]frost.PublicNonce{4: s.commit(a.ctx, a.u.remotes[4]), 0: a.made(len(s.messages))}
	if _, err := a.u.remotes[4].Sign(a.ctx, s.session(1, given).ask(4)); err != nil {
		t.Error(err)
	}
	built, _, _ := a.other.flight()
	for i := range 6 {
		signed := signedLog(t, a.h.folder(i))[2]
		if got := len(signed) == 1 && signed[0] == built.TxID; got != (i == 4) {
			t.Errorf("guardian %d has agreed to sign %v, the other settlement is %s", i, signed, built.TxID)
		}
	}
}

// made is as many nonces as somebody without a share can make up.
func (a *affair) made(n int) (nonces []frost.PublicNonce) {
	for range n {
		_, public, err := frost.NonceGen(nil, frost.NonceParams{})
		a.must(err)
		nonces = append(nonces, public)
	}
	return nonces
}

// showInvented shows the deposit that never was to guardian 1, which has seen the
// bank's history and halts, and to guardian 5, which has seen none: it waits for
// its node to see it, and goes on when it is shown the bank's.
func (a *affair) showInvented(t *testing.T) {
	a.show(t, a.invented, 1, 5)
	s := a.h.sit(a.invented)
	for i, said := range map[int]string{1: "has stopped signing", 5: "deposit"} {
		nonces, err := a.answer(i, s, said)
		var refused *roast.RefusalError
		if nonces != nil || err == nil || errors.As(err, &refused) {
			t.Errorf("guardian %d: %d nonces, %v; want it to say %q", i, len(nonces), err, said)
		}
		if signed := signedLog(t, a.h.folder(i)); len(signed[2]) > 0 {
			t.Errorf("guardian %d has agreed to sign %v", i, signed)
		}
	}
	a.awaitProof(1)
}
