package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// story is a test on a node, without a bank.
type story struct {
	t    *testing.T
	ctx  context.Context
	node *bitcoind.Node
}

func newStory(t *testing.T, node *bitcoind.Node) story {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return story{t: t, ctx: ctx, node: node}
}

func (s *story) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func newXOnlyKey(t *testing.T) taproot.XOnlyKey {
	t.Helper()
	key, err := btcec.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return taproot.XOnlyKey(schnorr.SerializePubKey(key.PubKey()))
}

// recoveryDelay is the stories' timelock, in blocks.
const recoveryDelay = 9

// TestRecoveryAtTheCommandLine: the guardians are lost. Three people with a node
// and the bank's public file watch the coins grow old, plan too early, and take
// them home in the first block that allows it.
func TestRecoveryAtTheCommandLine(t *testing.T) {
	r := newRecoveryStory(t)
	destination := newXOnlyKey(t)
	address, err := taproot.FormatScript(append([]byte{0x51, 32}, destination[:]...), r.Vault().Params())
	r.must(err)
	plan := filepath.Join(r.dir, "plan.json")
	planArgs := []string{"recover", "plan", "--bank", r.bankFile, "--to", address, "--fee-rate", "3", "--out", plan, "--range", "50"}

	r.pay(17, 400_000)
	r.fund(18, 250_000)
	r.expectStatus(0, "All coins are fresh")
	r.mine(2) // three blocks of nine
	r.expectStatus(0, "refresh due", "2 coins wait")
	r.mine(2)
	r.expectStatus(1, "ALARM: 2 coins")
	r.mine(2)
	r.fund(19, 100_000) // eight blocks of nine: one too few
	r.expectRefused("1 more blocks", planArgs...)
	if _, err := os.Stat(plan); err == nil {
		t.Fatal("a refused plan was written")
	}
	r.mine(1)
	r.expectStatus(1, "OPEN")
	r.expectOutput([]string{"Not yet:", "7 blocks left", "2 coins of 0.00650000 BTC"}, planArgs...)

	r.expectRefused("you said", "recover", "sign", "--plan", plan, "--to", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "--key", r.keyFiles[0])
	var signed []string
	for _, i := range []int{2, 0} {
		file := filepath.Join(r.dir, fmt.Sprintf("%d.sig.json", i))
		r.expectOutput([]string{"Signed transaction"}, "recover", "sign", "--plan", plan, "--to", address, "--key", r.keyFiles[i], "--out", file)
		signed = append(signed, file)
	}
	r.expectRefused("1 of 2 keys", "recover", "finish", "--plan", plan, "--broadcast", signed[0])
	r.expectOutput([]string{"Broadcast transaction"}, append([]string{"recover", "finish", "--plan", plan, "--broadcast"}, signed...)...)
	r.mine(1)

	scan, err := r.node.ScanDescriptor(r.ctx, []string{fmt.Sprintf("rawtr(%s)", destination)}, 0)
	r.must(err)
	if len(scan.Coins) != 1 || scan.Total < 648_000 || scan.Total >= 650_000 {
		t.Errorf("the destination holds %v in %d coins, want 650,000 sat less the fee in one", scan.Total, len(scan.Coins))
	}
	r.expectStatus(0, "1 coins")
}

// TestRecoveryTimelock: the node itself refuses the signed recovery one block
// early and takes it on time.
func TestRecoveryTimelock(t *testing.T) {
	r := newRecoveryStory(t)
	coin := r.fund(17, 300_000)
	key := newXOnlyKey(t)
	address, err := taproot.FormatScript(append([]byte{0x51, 32}, key[:]...), r.Vault().Params())
	r.must(err)
	r.mine(recoveryDelay - 2)
	plan := &taproot.RecoveryPlan{Policy: r.Vault().Policy(), Coins: []taproot.Coin{coin}, Destination: address, FeeSat: 1_000}
	spend, err := taproot.NewRecoverySpend(plan)
	r.must(err)
	var parts []taproot.RecoverySignatures
	for _, key := range r.keys[1:] {
		part, err := spend.Sign(key)
		r.must(err)
		parts = append(parts, part)
	}
	tx, err := spend.Finish(parts)
	r.must(err)

	err = r.node.Broadcast(r.ctx, tx)
	refusedByScript(t, err)
	if !strings.Contains(err.Error(), "non-BIP68-final") {
		t.Errorf("the node says %v, want non-BIP68-final", err)
	}
	r.mine(1)
	r.must(r.node.Broadcast(r.ctx, tx))
	r.mine(1)
	r.must(r.node.WaitConfirmed(r.ctx, tx.TxHash(), 1))
}

// recoveryStory is a vault with a short timelock, the bank's public file, and the
// key files of three recovery keys of which two are needed.
type recoveryStory struct {
	*schemeVault
	dir      string
	bankFile string
	keys     []*btcec.PrivateKey
	keyFiles []string
}

func newRecoveryStory(t *testing.T) *recoveryStory {
	t.Helper()
	r := &recoveryStory{dir: t.TempDir()}
	policy := taproot.Policy{Threshold: 3, Guardians: 5, Recovery: taproot.Recovery{Threshold: 2, Delay: recoveryDelay}}
	for i := range 3 {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(r.dir, fmt.Sprintf("recovery-%d.key", i))
		if err := os.WriteFile(file, fmt.Appendf(nil, "%x\n", key.Serialize()), 0o600); err != nil {
			t.Fatal(err)
		}
		r.keys, r.keyFiles = append(r.keys, key), append(r.keyFiles, file)
		policy.Recovery.Keys = append(policy.Recovery.Keys, taproot.XOnlyKey(schnorr.SerializePubKey(key.PubKey())))
	}
	r.schemeVault = newSchemeVault(t, bitcoind.Start(t), policy, false)
	r.bankFile = r.writeBankFile()
	return r
}

func (r *recoveryStory) writeBankFile() string {
	r.t.Helper()
	tip, err := r.node.Tip(r.ctx)
	r.must(err)
	raw, err := json.Marshal(map[string]any{"policy": r.Vault().Policy(), "charter": ledger.Charter{
		Name: "lost", Chain: ledger.Hash(*chaincfg.RegressionNetParams.GenesisHash), Operator: ledger.Key(newXOnlyKey(r.t)),
		BirthHeight: uint32(tip.Height), BirthHash: ledger.Hash(tip.Hash), Depth: 1, WithdrawalMin: 1_000}})
	r.must(err)
	path := filepath.Join(r.dir, "bank.json")
	r.must(os.WriteFile(path, raw, 0o644))
	return path
}

// fund pays a deposit address and mines the coin into a block.
func (r *recoveryStory) fund(account uint32, sat int64) taproot.Coin {
	r.t.Helper()
	coin := r.pay(account, sat)
	r.mine(1)
	height, err := r.node.Height(r.ctx)
	r.must(err)
	return taproot.Coin{TxID: coin.Hash, Vout: coin.Index, Branch: taproot.Deposit, Index: account, Amount: sat, Height: uint32(height)}
}

func (r *recoveryStory) pay(account uint32, sat int64) wire.OutPoint {
	r.t.Helper()
	out, err := r.Vault().Output(taproot.Deposit, account)
	r.must(err)
	coin, err := r.node.Fund(r.ctx, out.Script, btcutil.Amount(sat))
	r.must(err)
	return coin
}

func (r *recoveryStory) mine(n int) {
	r.t.Helper()
	_, err := r.node.Mine(r.ctx, n)
	r.must(err)
}

// vault runs "daobank vault" and returns what it printed and its exit status.
func (r *recoveryStory) vault(args ...string) (string, int) {
	r.t.Helper()
	path, err := program()
	r.must(err)
	c := r.node.Config()
	cmd := exec.CommandContext(r.ctx, path, append([]string{"vault"}, args...)...)
	cmd.Env = append(os.Environ(), "DAOBANK_BITCOIND="+c.URL, "DAOBANK_BITCOIND_USER="+c.User, "DAOBANK_BITCOIND_PASSWORD="+c.Password)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (r *recoveryStory) expectOutput(says []string, args ...string) {
	r.t.Helper()
	out, status := r.vault(args...)
	if status != 0 {
		r.t.Fatalf("daobank vault %v: status %d\n%s", args, status, out)
	}
	expectSays(r.t, out, says)
}

func (r *recoveryStory) expectRefused(says string, args ...string) {
	r.t.Helper()
	out, status := r.vault(args...)
	if status == 0 {
		r.t.Fatalf("daobank vault %v: not refused\n%s", args, out)
	}
	expectSays(r.t, out, []string{says})
}

func (r *recoveryStory) expectStatus(want int, says ...string) {
	r.t.Helper()
	out, status := r.vault("status", "--bank", r.bankFile, "--range", "50")
	if status != want {
		r.t.Errorf("vault status: exit status %d, want %d\n%s", status, want, out)
	}
	expectSays(r.t, out, says)
}

func expectSays(t *testing.T, out string, says []string) {
	t.Helper()
	for _, s := range says {
		if !strings.Contains(out, s) {
			t.Errorf("does not say %q:\n%s", s, out)
		}
	}
}
