package netting_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
)

// Each row spoils a good change of the vault's key and says why it is none.
func TestVaultsRefuseAKey(t *testing.T) {
	resigned := func(b *audittest.Bank, e *ledger.Rekey, old, new string) {
		if !bytes.Contains(e.Policy, []byte(old)) {
			t.Fatalf("%s is not in %s", old, e.Policy)
		}
		e.Policy = bytes.Replace(e.Policy, []byte(old), []byte(new), 1)
		b.SignRekey(e)
	}
	for _, tt := range []struct {
		name  string
		spoil func(b *audittest.Bank, e *ledger.Rekey)
		want  string
	}{
		{"signature damaged", func(_ *audittest.Bank, e *ledger.Rekey) { e.Signature[63] ^= 1 }, "not signed by the key before"},
		{"no signature", func(_ *audittest.Bank, e *ledger.Rekey) { e.Signature = ledger.Signature{} }, "not signed by the key before"},
		{"policy changed after signing", func(_ *audittest.Bank, e *ledger.Rekey) {
			e.Policy = bytes.Replace(e.Policy, []byte("2"), []byte("1"), 1)
		}, "not signed by the key before"},
		{"signed for another generation", func(b *audittest.Bank, e *ledger.Rekey) { e.Generation = 7; b.SignRekey(e); e.Generation = 1 }, "not signed by the key before"},
		{"of the founding", func(b *audittest.Bank, e *ledger.Rekey) { e.Generation = 0; b.SignRekey(e) }, "it is the founding's"},
		{"two generations on", func(b *audittest.Bank, e *ledger.Rekey) { e.Generation = 2; b.SignRekey(e) }, "it does not follow"},
		{"signed, not a policy", func(b *audittest.Bank, e *ledger.Rekey) { e.Policy = []byte("{}"); b.SignRekey(e) }, "its policy cannot be used"},
		{"signed, with a space", func(b *audittest.Bank, e *ledger.Rekey) { resigned(b, e, ",", ", ") }, "not in canonical form"},
		{"signed, for mainnet", func(b *audittest.Bank, e *ledger.Rekey) { resigned(b, e, "regtest", "mainnet") }, "it is for mainnet, the vault is on regtest"},
		{"signed, the old key again", func(b *audittest.Bank, e *ledger.Rekey) {
			e.Policy, _ = netting.EncodePolicy(b.Vault.Policy())
			b.SignRekey(e)
		}, "it is the key of generation 0 again"},
		{"signed, threshold above the guardians", func(b *audittest.Bank, e *ledger.Rekey) { resigned(b, e, `"threshold":2`, `"threshold":9`) }, "its policy cannot be used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _, _ := newBank(t, 10_000)
			e, _, _ := b.NextKey(2, 4)
			if err := b.Vaults.Check(e); err != nil {
				t.Fatalf("a good key is refused: %v", err)
			}
			tt.spoil(b, e)
			err := b.Vaults.Check(e)
			if refused := (*netting.RekeyError)(nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("refused with %v, want %q", err, tt.want)
			}
			if len(b.Vaults.All()) != 1 {
				t.Error("a key that was refused is there")
			}
		})
	}
}

// Guardians who sign two keys for one generation, because the first was taken back,
// have not signed a chain of both: neither comes after the other.
func TestVaultsRefuseTwoKeysOfOneGeneration(t *testing.T) {
	b, _, _ := newBank(t, 10_000)
	kept, _, _ := b.NextKey(2, 4)
	back, _, _ := b.NextKey(2, 4)
	policy, err := taproot.ParsePolicy(back.Policy)
	if err != nil {
		t.Fatal(err)
	}
	policy.GroupKey, policy.Recovery.Delay = otherKey(t), 7
	if back.Policy, err = netting.EncodePolicy(policy); err != nil {
		t.Fatal(err)
	}
	b.SignRekey(back)
	for _, e := range []*ledger.Rekey{kept, back} {
		if err := b.Vaults.Check(e); err != nil {
			t.Fatalf("alone it is refused: %v", err)
		}
	}
	for _, tt := range []struct {
		name   string
		rekeys []ledger.Rekey
		want   int // vaults
		ok     bool
	}{
		{"the first", []ledger.Rekey{*kept}, 2, true},
		{"the other", []ledger.Rekey{*back}, 2, true},
		{"both", []ledger.Rekey{*kept, *back}, 2, false},
		{"both, the other way", []ledger.Rekey{*back, *kept}, 2, false},
		{"one twice", []ledger.Rekey{*kept, *kept}, 2, false},
	} {
		vaults := netting.NewVaults(b.Charter.ID(), b.Vault)
		err := vaults.Extend(tt.rekeys)
		refused := (*netting.RekeyError)(nil)
		if (err == nil) != tt.ok || !tt.ok && (!errors.As(err, &refused) || refused.Generation != 1) || len(vaults.All()) != tt.want {
			t.Errorf("%s: %d vaults, %v", tt.name, len(vaults.All()), err)
		}
	}
	if err := b.Vaults.Extend([]ledger.Rekey{*kept}); err != nil {
		t.Fatal(err)
	}
	if err := b.Vaults.Check(back); err == nil {
		t.Error("a second key of generation 1 is good beside the first")
	}
}

// otherKey is the key of a group that is in no test.
func otherKey(t *testing.T) frost.PublicKey {
	t.Helper()
	group, _, err := frost.TrustedDealer(2, 4, rand.NewChaCha8([32]byte{99}))
	if err != nil {
		t.Fatal(err)
	}
	return group.Key()
}

// Vaults are extended by many at once: each key is there once.
func TestVaultsGrowAtOnce(t *testing.T) {
	b, _, _ := newBank(t, 10_000)
	b.Rekey(2, 4)
	b.Rekey(3, 5)
	vaults := netting.NewVaults(b.Charter.ID(), b.Vault)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := vaults.Follow(b.Books); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if newest, generation := vaults.Newest(); generation != 2 || newest.Policy().Threshold != 3 {
		t.Errorf("the newest is generation %d, %+v", generation, newest.Policy())
	}
}

// A new key moves every coin: first those that fit, then the rest, and none of
// them before its guardians can sign.
func TestPlanMovesCoinsToTheNewKey(t *testing.T) {
	b, ann, _ := newBank(t, 50_000, 60_000, 60_000)
	b.Settle(relayRate)
	b.Deposit(ann.ID, 70_000)
	b.Mine()
	b.Rekey(2, 4)
	if cut, err := netting.Plan(b.Books, b.Vaults, relayRate, netting.Limits{InputsMax: 9, PayoutsMax: 9, WeightMax: netting.WeightMax, Away: []uint32{0}}); !errors.Is(err, netting.ErrNothingToSettle) {
		t.Errorf("with the guardians of the founding away the plan is %+v, %v", cut, err)
	}
	one := netting.Limits{InputsMax: 1, PayoutsMax: 9, WeightMax: netting.WeightMax}
	for old := 2; old > 0; old-- {
		cut := plan(b, relayRate, one)
		b.Apply(ledger.Entry{Event: cut})
		b.Seal()
		built := b.Build()
		if got := built.Signers[0].Generation; got != 0 {
			t.Fatalf("with %d coins of the founding left the plan spends one of generation %d", old, got)
		}
		b.Mine(b.Sign(built))
		b.Bury()
	}
	for _, c := range b.Books.Coins() {
		if c.Generation != 1 {
			t.Errorf("coin %s is still of generation %d", c.OutPoint, c.Generation)
		}
	}
	if _, err := netting.Plan(b.Books, b.Vaults, relayRate, netting.StandardLimits); !errors.Is(err, netting.ErrNothingToSettle) {
		t.Errorf("with all coins moved the plan says %v", err)
	}
	b.Deposit(ann.ID, 5_000) // to an address that was given out before
	built := b.Cut(relayRate)
	signers := []uint32{built.Signers[0].Generation, built.Signers[1].Generation, built.Signers[2].Generation}
	if slices.Sort(signers); !slices.Equal(signers, []uint32{0, 1, 1}) {
		t.Errorf("the sweep of a late deposit spends coins of generations %v", signers)
	}
	if err := taproot.VerifySpend(b.Sign(built), built.Spent); err != nil {
		t.Error(err)
	}
}

// While the guardians of the founding are away, withdrawals are paid from what lies
// at the new key and the rest waits; when they are back, all of it moves.
func TestPlanWithoutTheOldGuardians(t *testing.T) {
	b, ann, _ := newBank(t, 50_000, 60_000)
	b.Rekey(2, 4)
	b.Mine(b.Payment(b.ToGeneration(1, taproot.Deposit, ann.ID.Index(), 40_000)))
	b.Bury()
	b.Withdraw(ann, 70_000, 1_000, audittest.Script("more than is at the new key"))
	b.Withdraw(ann, 10_000, 1_000, audittest.Script("less"))
	for _, step := range []struct {
		name     string
		away     []uint32
		inputs   []uint32 // generations
		payouts  []uint64 // sequence numbers
		atNewKey int      // coins there afterwards
	}{
		{"the founding's are away", []uint32{0}, []uint32{1}, []uint64{2}, 1},
		{"they are back", nil, []uint32{0, 0, 1}, []uint64{1}, 1},
	} {
		limits := netting.StandardLimits
		limits.Away = step.away
		cut := plan(b, relayRate, limits)
		b.Apply(ledger.Entry{Event: cut})
		b.Seal()
		built := b.Build()
		var inputs []uint32
		for _, s := range built.Signers {
			inputs = append(inputs, s.Generation)
		}
		slices.Sort(inputs)
		var payouts []uint64
		for _, p := range cut.Payouts {
			payouts = append(payouts, p.Sequence)
		}
		if !slices.Equal(inputs, step.inputs) || !slices.Equal(payouts, step.payouts) {
			t.Errorf("%s: coins of %v pay %v, want %v and %v", step.name, inputs, payouts, step.inputs, step.payouts)
		}
		b.Mine(b.Sign(built))
		b.Bury()
		at := 0
		for _, c := range b.Books.Coins() {
			if c.Generation == 1 {
				at++
			}
		}
		if at != step.atNewKey {
			t.Errorf("%s: %d coins are at the new key, want %d", step.name, at, step.atNewKey)
		}
	}
	// The newest is never away, whatever is said: without it nothing is signed.
	b.Withdraw(ann, 5_000, 1_000, audittest.Script("last"))
	all := netting.StandardLimits
	all.Away = []uint32{0, 1}
	if cut := plan(b, relayRate, all); len(cut.Inputs) != 1 || len(cut.Payouts) != 1 {
		t.Errorf("the plan is %+v", cut)
	}
}

// A settlement in flight when the key changes is the same transaction afterwards; its
// change is a coin of the old key, and the next settlement moves it.
func TestKeyChangesWhileASettlementIsInFlight(t *testing.T) {
	b, _, _ := newBank(t, 50_000, 60_000)
	built := b.Cut(relayRate)
	b.Rekey(2, 4)
	b.Rekey(3, 5) // and once more, before any coin has moved
	if again := b.Build(); again.TxID != built.TxID {
		t.Fatalf("the transaction is %s, was %s", again.TxID, built.TxID)
	}
	b.Mine(b.Sign(built))
	b.Bury()
	coins := b.Books.Coins()
	if len(coins) != 1 || coins[0].Generation != 0 {
		t.Fatalf("the coins are %+v", coins)
	}
	b.Settle(relayRate)
	if coins = b.Books.Coins(); len(coins) != 1 || coins[0].Generation != 2 {
		t.Errorf("after the next settlement they are %+v", coins)
	}
}

// Books that are ahead of the vaults give no plan and no transaction, rather
// than one to a key that was replaced.
func TestVaultsBehindTheBooks(t *testing.T) {
	b, _, _ := newBank(t, 50_000)
	behind := netting.NewVaults(b.Charter.ID(), b.Vault)
	b.Rekey(2, 4)
	if cut, err := netting.Plan(b.Books, behind, relayRate, netting.StandardLimits); err == nil {
		t.Errorf("the plan is %+v", cut)
	}
	b.Cut(relayRate)
	if built, err := netting.Build(b.Books.Open(), behind); err == nil {
		t.Errorf("the transaction is %+v", built)
	}
	if err := behind.Follow(b.Books); err != nil || len(behind.All()) != 2 {
		t.Fatal(err)
	}
	if built, err := netting.Build(b.Books.Open(), behind); err != nil || built.TxID != b.Build().TxID {
		t.Errorf("the transaction is %+v, %v", built, err)
	}
}

// A watch that grows by a key sees both keys' addresses.
func TestWatchOfTwoKeys(t *testing.T) {
	b, ann, _ := newBank(t, 50_000)
	b.Rekey(2, 4)
	w := netting.NewWatch(b.Vaults)
	if err := w.Extend(b.Books.Accounts(), b.Books.Settlements()); err != nil {
		t.Fatal(err)
	}
	height, _ := b.Books.Block()
	b.Chain.Mine(b.Payment(b.To(taproot.Deposit, ann.ID.Index(), 700), b.ToGeneration(1, taproot.Deposit, ann.ID.Index(), 800), wire.NewTxOut(900, []byte{0x51})))
	blocks, err := netting.ReadBlocks(t.Context(), b.Chain, &b.Charter, height+2)
	if err != nil {
		t.Fatal(err)
	}
	got := w.Facts(&b.Charter, height+2, blocks, nil)
	if len(got) != 3 {
		t.Fatalf("the watch sees %+v", got)
	}
	for generation, e := range got[1:] {
		if d := e.(*ledger.Deposit); d.Generation != uint32(generation) || d.Index != ann.ID.Index() || d.Amount != ledger.Amount(700+100*generation) {
			t.Errorf("deposit %d is %+v", generation, d)
		}
	}
}
