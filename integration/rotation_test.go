package integration

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot"
)

var (
	rotationSeed  = flag.Uint64("rotation.seed", 0, "seed of the story of an interrupted rotation; 0 takes a new one")
	rotationKills = flag.Int("rotation.kills", 6, "how often the story of a rotation kills the bank or a guardian")
)

// newcomer makes the folder of one more guardian.
func (h *house) newcomer(i int) {
	h.t.Helper()
	if _, err := keyfile.CreateIdentity(h.identity(i)); err != nil {
		h.t.Fatal(err)
	}
	run(h.t, nil, "guardian", "init", "--dir", h.folder(i), "--identity-file", h.identity(i))
}

// rotate names the next guardians and returns the path of their document.
func (h *house) rotate(threshold int, guardians ...int) string {
	h.t.Helper()
	path := filepath.Join(h.dir, fmt.Sprintf("next-%d.json", threshold))
	args := []string{"rotate", "--data", h.dir, "--threshold", fmt.Sprint(threshold), "--out", path}
	for _, i := range guardians {
		args = append(args, "--guardian", filepath.Join(h.folder(i), "public.json"))
	}
	run(h.t, nil, args...)
	return path
}

// agree has a guardian's owner agree to a document.
func (h *house) agree(document string, guardians ...int) {
	h.t.Helper()
	for _, i := range guardians {
		run(h.t, nil, "guardian", "rotate", "--dir", h.folder(i), "--succession", document, "--yes")
	}
}

// joining prepares the process of a guardian that begins with this document.
func (h *house) joining(i int, document string) *process {
	return newProcess(h.t, fmt.Sprint("guardian ", i), filepath.Join(h.dir, fmt.Sprintf("guardian-%d.log", i)), nodeEnv(h.node),
		"guardian", "run", "--dir", h.folder(i), "--identity-file", h.identity(i), "--founding", document,
		"--coordinator", h.address, "--bank", h.url)
}

// awaitKey waits until the vault's key is of a generation, checks the signatures
// that lead to it from the founding, and returns its vault.
func (c *customer) awaitKey(generation int) *taproot.Vault {
	c.h.t.Helper()
	var bank api.Bank
	c.wait(fmt.Sprintf("generation %d of the vault's key", generation), func() (bool, string) {
		var err error
		bank, err = c.client.Bank(c.ctx)
		return err == nil && len(bank.Rekeys) == generation, fmt.Sprintf("%d changes, %v", len(bank.Rekeys), err)
	})
	bank.Founded = c.bank.Policy // what the customer has known from the first day
	vaults, err := bank.Vaults()
	c.must(err)
	newest, _ := vaults.Newest()
	return newest
}

// coinsOf is what lies at the addresses of a vault.
func (c *customer) coinsOf(vault *taproot.Vault) int64 {
	c.h.t.Helper()
	descriptors := vault.Descriptors()
	scan, err := c.h.node.ScanDescriptor(c.ctx, descriptors[:], 200)
	c.must(err)
	return int64(scan.Total)
}

// sweep mines until no coin is left at a vault's addresses, and all is settled.
func (c *customer) sweep(vault *taproot.Vault) {
	c.h.t.Helper()
	c.mineUntil("the sweep of the old key", func() (bool, string) {
		left := c.coinsOf(vault)
		return left == 0, fmt.Sprintf("%d sat are left", left)
	})
	c.settleAll()
}

// settleAll mines until no withdrawal waits and the last settlement is posted.
func (c *customer) settleAll() {
	c.h.t.Helper()
	c.mineUntil("the last settlement", func() (bool, string) {
		account, err := c.client.Account(c.ctx, c.id) // first: what it holds no more is cut
		c.must(err)
		bank, err := c.client.Bank(c.ctx)
		c.must(err)
		list, err := c.client.Settlements(c.ctx, max(bank.Settlements, 1), 1)
		c.must(err)
		return account.Held == 0 && (len(list) == 0 || list[0].Stage == "posted"), fmt.Sprintf("%d sat held, %+v", account.Held, list)
	})
}

// mineUntil mines a block whenever the books have caught up with the chain, until
// done.
func (c *customer) mineUntil(what string, done func() (bool, string)) {
	c.h.t.Helper()
	c.wait(what, func() (bool, string) {
		bank, err := c.client.Bank(c.ctx)
		c.must(err)
		height, err := c.h.node.Height(c.ctx)
		c.must(err)
		if int(bank.Height) < int(height)-depth+1 {
			return false, fmt.Sprintf("books at %d of %d", bank.Height, height)
		}
		is, seen := done()
		if !is {
			_, err := c.h.node.Mine(c.ctx, 1)
			c.must(err)
		}
		return is, seen
	})
}

// audit replays the whole journal against the node.
func (c *customer) audit() *audit.Report {
	c.h.t.Helper()
	vault, err := taproot.NewVault(c.bank.Policy)
	c.must(err)
	report, err := audit.Run(c.ctx, audit.Config{Charter: c.bank.Charter, Vault: vault, Journal: c.client,
		Chain: c.h.node.Client, Scanner: c.h.node.Client})
	c.must(err)
	if !report.OK {
		c.h.t.Errorf("the audit finds %+v", report.First)
	}
	return report
}

// TestGuardiansChange: one guardian of three leaves, one comes, and one more has
// to sign. Every coin moves to the new key; from then on the new three sign without
// the one who left; what is paid to an old address is found and swept; and all of it
// survives a restart, and an auditor who knows only the founding agrees.
func TestGuardiansChange(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 3)
	h.open(ctx)
	c := newCustomer(ctx, h)
	old, err := taproot.NewVault(c.bank.Policy)
	c.must(err)

	h.newcomer(3)
	document := h.rotate(3, 1, 2, 3)
	h.guardians = append(h.guardians, h.joining(3, document))
	h.guardians[3].start()
	h.agree(document, 0, 1, 2)
	newest := c.awaitKey(1)
	if newest.Policy().GroupKey == old.Policy().GroupKey || newest.Policy().Threshold != 3 {
		t.Fatalf("the new policy is %+v", newest.Policy())
	}
	c.sweep(old)
	if c.coinsOf(newest) == 0 {
		t.Error("no coin is at the new key")
	}

	h.guardians[0].kill()
	c.withdraw(30_000)
	c.settleAll()

	// An old address is good for ever.
	before, err := c.client.Account(ctx, c.id)
	c.must(err)
	address, err := old.Output(taproot.Deposit, c.id.Index())
	c.must(err)
	_, err = h.node.FundMany(ctx, []*wire.TxOut{wire.NewTxOut(70_000, address.Script)})
	c.must(err)
	c.mine(depth)
	after, err := c.client.Account(ctx, c.id)
	c.must(err)
	if after.Balance != before.Balance+70_000 {
		t.Errorf("a deposit to an old address lifts the balance from %d to %d sat", before.Balance, after.Balance)
	}
	c.sweep(old)

	h.bank.kill()
	for _, i := range []int{1, 2, 3} {
		h.guardians[i].kill()
	}
	h.spawn()
	for _, i := range []int{1, 2, 3} {
		h.guardians[i].start()
	}
	h.bank.await(ctx, "listening")
	c.withdraw(20_000)
	c.settleAll()
	if report := c.audit(); report.Check(audit.CheckKeys).Counted != 1 {
		t.Errorf("the audit has seen %d changes of the key", report.Check(audit.CheckKeys).Counted)
	}
}

// TestRotationInterrupted: the bank and the guardians are killed again and again
// while the guardians change. It ends with one new key, all coins at it, and
// nothing lost.
func TestRotationInterrupted(t *testing.T) {
	seed := *rotationSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-rotation.seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	h := newHouse(t, bitcoind.Start(t), cluster.Test(t), 2, 3)
	h.open(ctx)
	c := newCustomer(ctx, h)
	old, err := taproot.NewVault(c.bank.Policy)
	c.must(err)
	h.newcomer(3)
	document := h.rotate(2, 0, 2, 3)
	h.guardians = append(h.guardians, h.joining(3, document))
	h.guardians[3].start()
	h.agree(document, 0, 1, 2)
	for range *rotationKills {
		time.Sleep(time.Duration(random.Int64N(int64(600 * time.Millisecond)))) // anywhere in the rotation
		if random.IntN(2) == 0 {
			_, err := h.node.Mine(ctx, 1)
			c.must(err)
		}
		if i := random.IntN(6); i < len(h.guardians) {
			h.guardians[i].kill()
			h.guardians[i].start()
		} else {
			h.bank.kill()
			h.spawn()
		}
	}
	c.wait("the bank to answer", func() (bool, string) {
		err := c.client.Ready(ctx)
		return err == nil, fmt.Sprint(err)
	})
	newest := c.awaitKey(1)
	c.sweep(old)
	if report := c.audit(); report.LedgerSat != ledger.Amount(c.coinsOf(newest)) {
		t.Errorf("all wallets hold %d sat, the new key %d sat", report.LedgerSat, c.coinsOf(newest))
	}
}
