package taproot

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/txscript"

	"github.com/daobank/daobank/taproot/frost"
)

// seeded gives the same bytes at every run, so that a failure can be repeated.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// testVault is a regtest vault of 3 of 5 guardians with a 2-of-3 recovery quorum
// after 144 blocks.
type testVault struct {
	*Vault
	group    *frost.Group
	shares   []*frost.Share
	recovery []*btcec.PrivateKey
}

func newTestVault(t testing.TB) testVault {
	t.Helper()
	group, shares, err := frost.TrustedDealer(3, 5, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{
		Threshold: 3, Guardians: 5, GroupKey: group.Key(), Network: "regtest",
		Recovery: Recovery{Threshold: 2, Delay: 144},
	}
	v := testVault{group: group, shares: shares}
	for i := range 3 {
		private, public := btcec.PrivKeyFromBytes([]byte{31: byte(i + 1)})
		v.recovery = append(v.recovery, private)
		p.Recovery.Keys = append(p.Recovery.Keys, XOnlyKey(schnorr.SerializePubKey(public)))
	}
	if v.Vault, err = NewVault(p); err != nil {
		t.Fatal(err)
	}
	return v
}

// The derivation written out in this package against hdkeychain's and txscript's.
func TestOutputAgreesWithLibraries(t *testing.T) {
	v := newTestVault(t)
	master, err := hdkeychain.NewKeyFromString(v.xpub)
	if err != nil {
		t.Fatal(err)
	}
	for _, branch := range []Branch{Deposit, Change} {
		parent, err := master.Derive(uint32(branch))
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range []uint32{0, 1, 2, 3, 1000, 1<<31 - 1} {
			child, err := parent.Derive(index)
			if err != nil {
				t.Fatal(err)
			}
			key, err := child.ECPubKey()
			if err != nil {
				t.Fatal(err)
			}
			root := v.MerkleRoot()
			script, err := txscript.PayToTaprootScript(txscript.ComputeTaprootOutputKey(key, root[:]))
			if err != nil {
				t.Fatal(err)
			}
			out, err := v.Output(branch, index)
			if err != nil {
				t.Fatal(err)
			}
			if string(out.Script) != string(script) {
				t.Errorf("%d/%d: script %x, want %x", branch, index, out.Script, script)
			}
			if out.InternalKey != [32]byte(schnorr.SerializePubKey(key)) {
				t.Errorf("%d/%d: internal key %x", branch, index, out.InternalKey)
			}
			tweaked, err := frost.TweakedKey(v.group.Key(), out.Tweaks)
			if err != nil || tweaked != out.OutputKey {
				t.Errorf("%d/%d: tweaks lead to %x, error %v, want %x", branch, index, tweaked, err, out.OutputKey)
			}
			address, err := v.Address(branch, index)
			if err != nil {
				t.Fatal(err)
			}
			if parsed, err := ParseAddress(address, v.Params()); err != nil || string(parsed) != string(script) {
				t.Errorf("%d/%d: address %s, error %v", branch, index, address, err)
			}
		}
	}
}

func TestScriptsAreOutputs(t *testing.T) {
	v := newTestVault(t)
	const count = 2*scanChunk + 1
	scripts, err := v.Scripts(Change, 5, 5+count)
	if err != nil || len(scripts) != count {
		t.Fatalf("%d scripts, error %v", len(scripts), err)
	}
	for i, script := range scripts {
		out, err := v.Output(Change, uint32(5+i))
		if err != nil || string(out.Script) != string(script) {
			t.Errorf("1/%d: %x, error %v, want %x", 5+i, script, err, out.Script)
		}
	}
}

func TestScriptsAtTheEnds(t *testing.T) {
	v := newTestVault(t)
	if scripts, err := v.Scripts(Deposit, 9, 9); err != nil || len(scripts) != 0 {
		t.Errorf("empty range: %d scripts, error %v", len(scripts), err)
	}
	scripts, err := v.Scripts(Deposit, 1<<31-1, 1<<31)
	if err != nil || len(scripts) != 1 {
		t.Fatalf("last index: %d scripts, error %v", len(scripts), err)
	}
	if out, err := v.Output(Deposit, 1<<31-1); err != nil || string(out.Script) != string(scripts[0]) {
		t.Errorf("last index: %x, error %v, want %x", scripts[0], err, out.Script)
	}
}

func TestOutputRefuses(t *testing.T) {
	v := newTestVault(t)
	for _, c := range []struct {
		branch Branch
		index  uint32
	}{{2, 0}, {1<<32 - 1, 0}, {Deposit, 1 << 31}, {Change, 1<<32 - 1}} {
		if _, err := v.Output(c.branch, c.index); !errors.Is(err, ErrDerivation) {
			t.Errorf("output %d/%d: error %v, want %v", c.branch, c.index, err, ErrDerivation)
		}
		if _, err := v.Address(c.branch, c.index); !errors.Is(err, ErrDerivation) {
			t.Errorf("address %d/%d: error %v, want %v", c.branch, c.index, err, ErrDerivation)
		}
	}
	for _, c := range []struct {
		branch   Branch
		from, to uint32
	}{{2, 0, 1}, {Deposit, 2, 1}, {Deposit, 0, 1<<31 + 1}} {
		if _, err := v.Scripts(c.branch, c.from, c.to); !errors.Is(err, ErrDerivation) {
			t.Errorf("scripts %d/%d-%d: error %v, want %v", c.branch, c.from, c.to, err, ErrDerivation)
		}
	}
}

func TestVaultIsImmutable(t *testing.T) {
	v := newTestVault(t)
	want, err := v.Address(Deposit, 7)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			out, err := v.Output(Deposit, 7)
			if err != nil {
				t.Error(err)
				return
			}
			out.Script[2] ^= 1
			out.Tweaks[0].Value[0] ^= 1
			v.Policy().Recovery.Keys[0] = XOnlyKey{}
			clear(v.RecoveryScript())
		})
	}
	wg.Wait()
	out, err := v.Output(Deposit, 7)
	if err != nil {
		t.Fatal(err)
	}
	got, err := FormatScript(out.Script, v.Params())
	if err != nil || got != want {
		t.Errorf("the vault changed: %s, error %v, want %s", got, err, want)
	}
	if err := v.Policy().Validate(); err != nil {
		t.Error(err)
	}
}

func TestPolicyRefuses(t *testing.T) {
	good := newTestVault(t).Policy()
	for _, c := range []struct {
		name   string
		change func(p *Policy)
		says   string
	}{
		{"no guardians", func(p *Policy) { p.Guardians = 0 }, "guardians is 0"},
		{"too many guardians", func(p *Policy) { p.Guardians = 129 }, "guardians is 129"},
		{"threshold zero", func(p *Policy) { p.Threshold = 0 }, "threshold is 0"},
		{"threshold above guardians", func(p *Policy) { p.Threshold = 6 }, "threshold is 6"},
		{"no group key", func(p *Policy) { p.GroupKey = frost.PublicKey{} }, "group_key"},
		{"unknown network", func(p *Policy) { p.Network = "testnet3" }, `network is "testnet3"`},
		{"no recovery keys", func(p *Policy) { p.Recovery.Keys = nil }, "recovery has 0 keys"},
		{"too many recovery keys", func(p *Policy) { p.Recovery.Keys = make([]XOnlyKey, 129) }, "recovery has 129 keys"},
		{"recovery threshold zero", func(p *Policy) { p.Recovery.Threshold = 0 }, "recovery threshold is 0"},
		{"recovery threshold above keys", func(p *Policy) { p.Recovery.Threshold = 4 }, "recovery threshold is 4"},
		{"no delay", func(p *Policy) { p.Recovery.Delay = 0 }, "delay_blocks is 0"},
		{"recovery key twice", func(p *Policy) { p.Recovery.Keys[2] = p.Recovery.Keys[0] }, "keys 0 and 2 are the same"},
		{"recovery key not a key", func(p *Policy) { p.Recovery.Keys[1] = XOnlyKey{} }, "recovery key 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := good.clone()
			c.change(&p)
			_, err := NewVault(p)
			if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, ErrPolicy, c.says)
			}
		})
	}
}

func TestPolicyJSON(t *testing.T) {
	const golden = `{"threshold":1,"guardians":2,` +
		`"group_key":"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",` +
		`"recovery":{"threshold":1,"keys":["c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"],"delay_blocks":1008},` +
		`"network":"signet"}`
	p, err := ParsePolicy([]byte(golden))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(p); err != nil || string(text) != golden {
		t.Errorf("written as %s, error %v", text, err)
	}
	for name, text := range map[string]string{
		"nothing":        ``,
		"unknown field":  strings.Replace(golden, `"network"`, `"extra":1,"network"`, 1),
		"text after":     golden + `{}`,
		"long key":       strings.Replace(golden, `9ee5"`, `9ee500"`, 1),
		"key not hex":    strings.Replace(golden, `9ee5"`, `9eez"`, 1),
		"delay too long": strings.Replace(golden, `1008`, `65536`, 1),
		"delay negative": strings.Replace(golden, `1008`, `-1`, 1),
	} {
		if _, err := ParsePolicy([]byte(text)); !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: error %v, want %v", name, err, ErrPolicy)
		}
	}
}

func BenchmarkScripts(b *testing.B) {
	v := newTestVault(b)
	const batch = 1000
	for b.Loop() {
		if _, err := v.Scripts(Deposit, 0, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/batch, "µs/script")
}
