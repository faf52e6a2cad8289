package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/taproot"
)

// customer is a member of a house who deposits, pays and withdraws.
type customer struct {
	h        *house
	ctx      context.Context
	client   *api.Client
	bank     api.Bank
	key      *btcec.PrivateKey
	id       ledger.AccountID
	sequence uint64
	last     ledger.Hash
}

func (c *customer) must(err error) {
	c.h.t.Helper()
	if err != nil {
		c.h.t.Fatal(err)
	}
}

// newCustomer opens an account at a house that is open, and deposits to it and
// to the treasury.
func newCustomer(ctx context.Context, h *house) *customer {
	h.t.Helper()
	c := &customer{h: h, ctx: ctx, client: api.Dial(h.url)}
	var err error
	c.bank, err = c.client.Bank(ctx)
	c.must(err)
	c.key, err = btcec.NewPrivateKey()
	c.must(err)
	c.submit(&ledger.Open{Key: ledger.KeyOf(c.key)})
	vault, err := taproot.NewVault(c.bank.Policy)
	c.must(err)
	var outs []*wire.TxOut
	for _, id := range []ledger.AccountID{ledger.Treasury, c.id} {
		out, err := vault.Output(taproot.Deposit, id.Index())
		c.must(err)
		outs = append(outs, wire.NewTxOut(1_000_000, out.Script))
	}
	_, err = h.node.FundMany(ctx, outs)
	c.must(err)
	c.mine(depth)
	c.settle(1)
	return c
}

// submit signs the next order and sends it until it is answered.
func (c *customer) submit(body ledger.Body) {
	c.h.t.Helper()
	o := &ledger.Order{Bank: c.bank.ID, Body: body}
	if c.id != 0 {
		o.Payer, o.Sequence, o.Previous = c.id, c.sequence+1, c.last
	}
	c.must(o.Sign(c.key))
	a, err := c.client.SubmitUntilAnswered(c.ctx, o)
	c.must(err)
	c.id, c.sequence, c.last = a.Account, o.Sequence, o.Digest()
}

func (c *customer) withdraw(amount ledger.Amount) {
	c.h.t.Helper()
	c.submit(&ledger.Withdraw{Amount: amount, FeeMax: 5_000, Script: append([]byte{0, 20}, make([]byte, 20)...)})
}

// mine mines blocks one by one and waits for the books after each.
func (c *customer) mine(n int) {
	c.h.t.Helper()
	for range n {
		_, err := c.h.node.Mine(c.ctx, 1)
		c.must(err)
		height, err := c.h.node.Height(c.ctx)
		c.must(err)
		c.wait("the books", func() (bool, string) {
			b, err := c.client.Bank(c.ctx)
			return err == nil && int(b.Height) >= int(height)-depth+1, fmt.Sprintf("at %d of %d, %v", b.Height, height, err)
		})
	}
}

func (c *customer) wait(what string, look func() (bool, string)) {
	c.h.t.Helper()
	waitFor(c.ctx, c.h.t, what, look)
}

// waitFor looks until done, and says what it saw last when it gives up.
func waitFor(ctx context.Context, t *testing.T, what string, look func() (done bool, seen string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		done, seen := look()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s; last seen: %s", what, seen)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stage is a settlement's stage, "" when there is no such settlement.
func (c *customer) stage(n uint32) string {
	list, err := c.client.Settlements(c.ctx, n, 1)
	if err != nil || len(list) == 0 {
		return ""
	}
	return list[0].Stage
}

// settle mines until settlement n is posted.
func (c *customer) settle(n uint32) {
	c.h.t.Helper()
	c.wait(fmt.Sprintf("settlement %d in the mempool", n), func() (bool, string) {
		s := c.stage(n)
		return s == "broadcast" || s == "mined" || s == "posted", s
	})
	c.mine(depth)
	c.wait(fmt.Sprintf("settlement %d", n), func() (bool, string) { s := c.stage(n); return s == "posted", s })
}

// TestGuardiansComeAndGo: with n−t guardians killed a settlement is signed; with
// one more killed it is not, while payments go on; when one is back, from its
// backup on a blank machine, it is signed at the next block.
func TestGuardiansComeAndGo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 4)
	h.open(ctx)
	c := newCustomer(ctx, h)
	backup := filepath.Join(t.TempDir(), "backup")
	h.guardians[1].stop()
	run(t, nil, "guardian", "backup", "--dir", h.folder(1), "--identity-file", h.identity(1), "--out", backup)
	h.guardians[0].kill()

	c.withdraw(10_000)
	c.mine(1)
	c.settle(2)

	h.guardians[2].kill()
	c.withdraw(20_000)
	c.mine(1)
	c.wait("the cut", func() (bool, string) { s := c.stage(3); return s == "cut", s })
	c.submit(&ledger.Transfer{Payments: []ledger.Payment{{Payee: ledger.Treasury, Amount: 1}}})
	if s := c.stage(3); s != "cut" {
		t.Fatalf("one guardian of four is left and settlement 3 is %s", s)
	}

	if err := os.RemoveAll(h.folder(1)); err != nil {
		t.Fatal(err)
	}
	blank := filepath.Join(t.TempDir(), "blank")
	run(t, nil, "guardian", "restore", "--dir", blank, "--identity-file", h.identity(1), "--in", backup)
	restored := h.guardian(1, blank)
	restored.start()
	c.mine(1)
	c.settle(3)

	out := run(t, nil, "guardian", "status", "--json", "--dir", blank)
	var status struct {
		Attestation *guardian.Attestation `json:"attestation"`
		Halted      string                `json:"halted"`
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil || status.Halted != "" || status.Attestation == nil {
		t.Fatalf("the restored guardian's status: %s (%v)", out, err)
	}
	raw, err := os.ReadFile(h.founding())
	c.must(err)
	founding, err := guardian.ParseFounding(raw)
	c.must(err)
	if a := status.Attestation; a.Guardian != founding.Guardians[1] || !a.Verify(c.bank.ID) {
		t.Error("its attestation does not verify under its host key")
	}
}

// TestTwoHistories: the operator begins the same bank again on an empty
// database. A guardian that restarts sees a header that contradicts one it has
// kept, stores the proof, and signs no more.
func TestTwoHistories(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 1, 1)
	h.open(ctx)
	c := newCustomer(ctx, h)
	c.wait("the guardian to keep headers", func() (bool, string) {
		info, err := os.Stat(filepath.Join(h.folder(0), "headers"))
		return err == nil && info.Size() > 0, fmt.Sprint(err)
	})
	h.guardians[0].stop()
	h.bank.stop()

	h.database = cluster.Test(t)
	h.reopen(ctx)
	c.wait("the second history", func() (bool, string) {
		b, err := c.client.Bank(ctx)
		return err == nil && b.Batch > 0, fmt.Sprintf("batch %d, %v", b.Batch, err)
	})
	h.guardians[0].start()
	c.awaitProof(0)
	c.wait("the guardian to halt", func() (bool, string) {
		out, err := tryRun(ctx, "guardian", "status", "--dir", h.folder(0))
		return err != nil, out
	})
}

// awaitProof waits until a guardian has kept a proof that the operator showed two
// histories, and checks it.
func (c *customer) awaitProof(i int) {
	c.h.t.Helper()
	var found []string
	c.wait(fmt.Sprintf("the proof of guardian %d", i), func() (bool, string) {
		found, _ = filepath.Glob(filepath.Join(c.h.folder(i), "evidence", "equivocation-*.json"))
		return len(found) > 0, "there is none"
	})
	raw, err := os.ReadFile(found[0])
	c.must(err)
	p, err := proof.Decode(raw)
	c.must(err)
	if _, err := p.Verify(proof.Trust{Bank: c.bank.ID}); err != nil || p.Body.Kind() != proof.KindEquivocation {
		c.h.t.Errorf("the %s does not hold against the bank's id: %v", p.Body.Kind(), err)
	}
}
