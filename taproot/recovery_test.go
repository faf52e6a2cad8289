package taproot

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/taproot/frost"
)

// recoveryTip is the height at which testCoins are looked at.
const recoveryTip = 1000

// testCoins are three coins whose timelock of 144 blocks is over at recoveryTip,
// one that is worth less than its fee, and one that is a block too young.
func testCoins() []Coin {
	return []Coin{
		{TxID: chainhash.Hash{3}, Vout: 1, Branch: Deposit, Index: 17, Amount: 70_000, Height: recoveryTip - 143},
		{TxID: chainhash.Hash{1}, Branch: Change, Index: 4, Amount: 5_000_000, Height: 200},
		{TxID: chainhash.Hash{2}, Branch: Deposit, Index: 16, Amount: 30_000, Height: 300},
		{TxID: chainhash.Hash{4}, Branch: Deposit, Index: 18, Amount: 400, Height: 300},
		{TxID: chainhash.Hash{5}, Branch: Deposit, Index: 18, Amount: 90_000, Height: recoveryTip - 142},
	}
}

const recoveryAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

func newTestRecovery(t testing.TB, v testVault) (*RecoveryPlan, *RecoverySpend) {
	t.Helper()
	plan, err := PlanRecovery(v.Vault, testCoins(), recoveryTip, recoveryAddress, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	spend, err := NewRecoverySpend(plan)
	if err != nil {
		t.Fatal(err)
	}
	return plan, spend
}

// Two holders of recovery keys sign apart what they read from the plan's file,
// and a third person finishes.
func TestRecoverySpend(t *testing.T) {
	v := newTestVault(t)
	plan, spend := newTestRecovery(t, v)
	if len(plan.Coins) != 3 || plan.Total() != 5_100_000 {
		t.Fatalf("the plan takes %d coins of %d sat, want 3 of 5,100,000", len(plan.Coins), plan.Total())
	}
	file, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var parts []RecoverySignatures
	for _, holder := range []int{2, 0} {
		read, err := ParseRecoveryPlan(file)
		if err != nil {
			t.Fatal(err)
		}
		own, err := NewRecoverySpend(read)
		if err != nil {
			t.Fatal(err)
		}
		part, err := own.Sign(v.recovery[holder])
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if _, err := spend.Finish(parts[:1]); !errors.Is(err, ErrRecoveryQuorum) {
		t.Errorf("one of two: error %v, want %v", err, ErrRecoveryQuorum)
	}
	if _, err := spend.Finish([]RecoverySignatures{parts[0], parts[0]}); !errors.Is(err, ErrRecoveryQuorum) {
		t.Errorf("one key twice: error %v, want %v", err, ErrRecoveryQuorum)
	}
	tx, err := spend.Finish(parts)
	if err != nil {
		t.Fatal(err)
	}
	if tx.TxHash() != spend.TxID() || tx.TxOut[0].Value != spend.Amount() {
		t.Errorf("transaction %s of %d sat, announced %s of %d", tx.TxHash(), tx.TxOut[0].Value, spend.TxID(), spend.Amount())
	}
	weight := blockchain.GetTransactionWeight(btcutil.NewTx(tx))
	if weight != spend.Weight() || plan.FeeSat != FeeForWeight(weight, 10_000) {
		t.Errorf("weight %d, announced %d; fee %d", weight, spend.Weight(), plan.FeeSat)
	}
	third, err := spend.Sign(v.recovery[1])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spend.Finish(append(parts, third)); err != nil {
		t.Errorf("all three sign: %v", err)
	}
}

func TestPlanRecoveryRefuses(t *testing.T) {
	v := newTestVault(t)
	for _, c := range []struct {
		name        string
		coins       []Coin
		tip         uint32
		destination string
		rate        int64
		want        error
	}{
		{"no coins", nil, recoveryTip, recoveryAddress, 1000, ErrRecoveryPlan},
		{"a block early", testCoins()[4:], recoveryTip, recoveryAddress, 1000, ErrTimelock},
		{"not in a block", []Coin{{Amount: 1e6}}, recoveryTip, recoveryAddress, 1000, ErrTimelock},
		{"no address", testCoins(), recoveryTip, "bcrt1q", 1000, ErrAddressMalformed},
		{"address of mainnet", testCoins(), recoveryTip, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", 1000, ErrAddressNetwork},
		{"fees eat all", testCoins()[2:4], recoveryTip, recoveryAddress, 1_000_000, ErrRecoveryPlan},
		{"a coin twice", []Coin{testCoins()[1], testCoins()[1]}, recoveryTip, recoveryAddress, 1000, ErrRecoveryPlan},
		{"no such branch", []Coin{{Branch: 2, Amount: 1e6, Height: 1}}, recoveryTip, recoveryAddress, 1000, ErrRecoveryPlan},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := PlanRecovery(v.Vault, c.coins, c.tip, c.destination, c.rate); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	var early *TimelockError
	_, err := PlanRecovery(v.Vault, testCoins(), 342, recoveryAddress, 1000)
	if !errors.As(err, &early) || early.Left != 1 || early.First.Height != 200 {
		t.Errorf("error %v, want one more block for the coin of block 200", err)
	}
}

// More coins than a standard transaction holds: the largest go first.
func TestPlanRecoveryFitsOneTransaction(t *testing.T) {
	v := newTestVault(t)
	var coins []Coin
	for i := range 1200 {
		coins = append(coins, Coin{Vout: uint32(i), Amount: int64(10_000 + i), Height: 1})
	}
	plan, err := PlanRecovery(v.Vault, coins, recoveryTip, recoveryAddress, 1000)
	if err != nil {
		t.Fatal(err)
	}
	spend, err := NewRecoverySpend(plan)
	if err != nil {
		t.Fatal(err)
	}
	if w := spend.Weight(); w > maxStandardWeight || w < maxStandardWeight-1000 {
		t.Errorf("weight %d", w)
	}
	for _, coin := range plan.Coins {
		if coin.Amount < int64(10_000+1200-len(plan.Coins)) {
			t.Errorf("a coin of %d sat is among the %d largest", coin.Amount, len(plan.Coins))
		}
	}
}

func TestRecoverySignaturesRefused(t *testing.T) {
	v := newTestVault(t)
	plan, spend := newTestRecovery(t, v)
	other := *plan
	other.FeeSat++
	otherSpend, err := NewRecoverySpend(&other)
	if err != nil {
		t.Fatal(err)
	}
	good, err := spend.Sign(v.recovery[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func(s *RecoverySignatures)
		says  string
	}{
		{"another plan", func(s *RecoverySignatures) { s.TxID = otherSpend.TxID() }, "the plan is"},
		{"another key's", func(s *RecoverySignatures) { s.Key = plan.Policy.Recovery.Keys[1] }, "does not verify"},
		{"unknown key", func(s *RecoverySignatures) { s.Key[5] ^= 1 }, "not one of the policy's"},
		{"one too few", func(s *RecoverySignatures) { s.Signatures = s.Signatures[:2] }, "2 signatures for 3"},
		{"damaged", func(s *RecoverySignatures) { s.Signatures[1][9] ^= 1 }, "input 1 does not verify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := good
			bad.Signatures = append([]frost.Signature(nil), good.Signatures...)
			c.spoil(&bad)
			if _, err := spend.Finish([]RecoverySignatures{bad}); !errors.Is(err, ErrRecoverySignature) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, ErrRecoverySignature, c.says)
			}
		})
	}
	stranger, _ := btcec.PrivKeyFromBytes([]byte{31: 77})
	if _, err := spend.Sign(stranger); !errors.Is(err, ErrRecoverySignature) {
		t.Errorf("a stranger's key: error %v, want %v", err, ErrRecoverySignature)
	}
}

func TestParseRecoveryPlanRefuses(t *testing.T) {
	plan, _ := newTestRecovery(t, newTestVault(t))
	file, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":          "",
		"unknown field":    strings.Replace(string(file), `{"policy"`, `{"note":"","policy"`, 1),
		"text after":       string(file) + "{}",
		"negative fee":     strings.Replace(string(file), `"fee_sat":`, `"fee_sat":-`, 1),
		"fee above all":    strings.Replace(string(file), `"fee_sat":`, `"fee_sat":900000`, 1),
		"negative coin":    strings.Replace(string(file), `"amount_sat":`, `"amount_sat":-`, 1),
		"coin of 22e6 BTC": strings.Replace(string(file), `"amount_sat":5000000`, `"amount_sat":2200000000000000`, 1),
		"bad policy":       strings.Replace(string(file), `"threshold":3`, `"threshold":9`, 1),
	} {
		if _, err := ParseRecoveryPlan([]byte(text)); !errors.Is(err, ErrRecoveryPlan) {
			t.Errorf("%s: error %v, want %v", name, err, ErrRecoveryPlan)
		}
	}
}

// The recovery leaf opens the vault whatever the guardians' scheme.
func TestRecoveryOfEveryScheme(t *testing.T) {
	random := rand.New(seeded(7))
	keys := newTestVault(t).recovery
	for _, scheme := range []Scheme{MuSig2, MuSig2Leaves, CheckSigAdd} {
		n := 2 + random.IntN(3)
		v, err := NewVault(guardianPolicy(t, scheme, n, n))
		if err != nil {
			t.Fatal(err)
		}
		plan, err := PlanRecovery(v, testCoins(), recoveryTip, recoveryAddress, 1000)
		if err != nil {
			t.Fatal(err)
		}
		spend, err := NewRecoverySpend(plan)
		if err != nil {
			t.Fatal(err)
		}
		var parts []RecoverySignatures
		for _, key := range keys[1:] {
			part, err := spend.Sign(key)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, part)
		}
		if _, err := spend.Finish(parts); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// Whatever the bytes, a plan that is read can be built, and says nothing but
// what its transaction does.
func FuzzParseRecoveryPlan(f *testing.F) {
	plan, _ := newTestRecovery(f, newTestVault(f))
	file, err := json.Marshal(plan)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add([]byte(strings.Replace(string(file), `"fee_sat":`, `"fee_sat":9223372036854775807,"x":`, 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if strings.Contains(string(b), "musig2_leaves") {
			return // right or wrong, its tree takes seconds
		}
		plan, err := ParseRecoveryPlan(b)
		if err != nil {
			if !errors.Is(err, ErrRecoveryPlan) {
				t.Fatalf("error %v does not wrap %v", err, ErrRecoveryPlan)
			}
			return
		}
		spend, err := NewRecoverySpend(plan)
		if err != nil {
			t.Fatal(err)
		}
		if spend.Amount()+plan.FeeSat != plan.Total() || spend.Amount() <= 0 {
			t.Fatalf("%d sat in, %d out, %d fee", plan.Total(), spend.Amount(), plan.FeeSat)
		}
	})
}
