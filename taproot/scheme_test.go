package taproot

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript"

	"github.com/daobank/daobank/taproot/frost"
)

// guardianPolicy is a policy of t of n guardians with keys 1·G … n·G.
func guardianPolicy(t testing.TB, scheme Scheme, threshold, n int) Policy {
	t.Helper()
	p := newTestVault(t).Policy()
	p.Scheme, p.Threshold, p.Guardians = scheme, threshold, n
	for i := range n {
		_, public := btcec.PrivKeyFromBytes([]byte{31: byte(i + 1)})
		p.GuardianKeys = append(p.GuardianKeys, frost.PublicKey(public.SerializeCompressed()))
	}
	var err error
	if p.GroupKey, err = AggregateKey(p.GuardianKeys); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSchemePolicyRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		scheme Scheme
		t, n   int
		change func(p *Policy)
		says   string
	}{
		{"frost with keys", FROST, 2, 3, func(*Policy) {}, "hold shares"},
		{"unknown scheme", "multisig", 2, 3, func(*Policy) {}, `"multisig" is unknown`},
		{"musig2 with a threshold", MuSig2, 2, 3, func(*Policy) {}, "needs all 3"},
		{"musig2 alone", MuSig2, 1, 1, func(*Policy) {}, "two or more"},
		{"musig2 that nobody can spend", MuSig2, 3, 3, func(p *Policy) { p.GroupKey = Unspendable }, "not the MuSig2 aggregate"},
		{"another group key", CheckSigAdd, 2, 3, func(p *Policy) { p.GroupKey = p.GuardianKeys[0] }, "not the MuSig2 aggregate"},
		{"a key too few", CheckSigAdd, 2, 3, func(p *Policy) { p.GuardianKeys = p.GuardianKeys[:2] }, "2 guardian_keys"},
		{"a key twice", CheckSigAdd, 2, 3, func(p *Policy) { p.GuardianKeys[2] = p.GuardianKeys[0] }, "0 and 2 are the same"},
		{"a key and its negative", CheckSigAdd, 2, 3, func(p *Policy) {
			p.GuardianKeys[2] = p.GuardianKeys[0]
			p.GuardianKeys[2][0] ^= 1
		}, "0 and 2 are the same"},
		{"not a key", CheckSigAdd, 2, 3, func(p *Policy) { p.GuardianKeys[1] = frost.PublicKey{} }, "guardian key 1"},
		{"a leaf of one", MuSig2Leaves, 1, 3, func(*Policy) {}, "two or more"},
		{"too many leaves", MuSig2Leaves, 33, 50, func(*Policy) {}, "more than 10000 sets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := guardianPolicy(t, c.scheme, c.t, c.n)
			c.change(&p)
			if err := p.Validate(); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, ErrPolicy, c.says)
			}
		})
	}
}

func TestSchemeJSON(t *testing.T) {
	p := guardianPolicy(t, CheckSigAdd, 2, 3)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	if want, got := fmt.Sprint(p), fmt.Sprint(again); got != want {
		t.Errorf("read back as %s, want %s", got, want)
	}
	text, err = json.Marshal(newTestVault(t).Policy())
	if err != nil || strings.Contains(string(text), "scheme") || strings.Contains(string(text), "guardian_keys") {
		t.Errorf("a frost policy reads %s, error %v", text, err)
	}
	named := strings.Replace(string(text), `{`, `{"scheme":"frost",`, 1)
	if p, err := ParsePolicy([]byte(named)); err != nil || p.Scheme != FROST {
		t.Errorf("scheme frost by name: %q, error %v", p.Scheme, err)
	}
	named = strings.Replace(string(text), `{`, `{"scheme":"FROST",`, 1)
	if _, err := ParsePolicy([]byte(named)); !errors.Is(err, ErrPolicy) {
		t.Errorf("scheme FROST: error %v, want %v", err, ErrPolicy)
	}
}

// The tree written out here against txscript's, leaf by leaf.
func TestControlBlocksLeadToTheOutput(t *testing.T) {
	for _, c := range []struct {
		scheme Scheme
		t, n   int
		leaves int
	}{{FROST, 0, 0, 1}, {CheckSigAdd, 2, 3, 2}, {MuSig2Leaves, 3, 5, 11}, {MuSig2Leaves, 2, 9, 37}} {
		t.Run(fmt.Sprintf("%s %d of %d", c.scheme, c.t, c.n), func(t *testing.T) {
			v := newTestVault(t).Vault
			if c.scheme != FROST {
				var err error
				if v, err = NewVault(guardianPolicy(t, c.scheme, c.t, c.n)); err != nil {
					t.Fatal(err)
				}
			}
			if len(v.tree.leaves) != c.leaves {
				t.Fatalf("%d leaves, want %d", len(v.tree.leaves), c.leaves)
			}
			for index := range uint32(4) { // both parities
				out, err := v.Output(Deposit, index)
				if err != nil {
					t.Fatal(err)
				}
				for i := range v.tree.leaves {
					l := &v.tree.leaves[i]
					b, err := l.controlBlock(v.tree.root, out)
					if err != nil {
						t.Fatal(err)
					}
					control, err := txscript.ParseControlBlock(b)
					if err != nil {
						t.Fatal(err)
					}
					if err := txscript.VerifyTaprootLeafCommitment(control, out.OutputKey[:], l.script); err != nil {
						t.Errorf("leaf %d of output %d: %v", i, index, err)
					}
				}
			}
		})
	}
}

func TestSubsets(t *testing.T) {
	for _, c := range []struct{ n, t, want int }{
		{3, 2, 3}, {5, 3, 10}, {10, 7, 120}, {15, 10, 3003}, {16, 8, MaxLeaves + 1},
		{50, 33, MaxLeaves + 1}, {128, 64, MaxLeaves + 1}, {128, 128, 1}, {128, 127, 128}, {4, 5, 0},
	} {
		if got := Subsets(c.n, c.t); got != c.want {
			t.Errorf("%d of %d: %d sets, want %d", c.t, c.n, got, c.want)
		}
	}
	var sets []string
	eachSubset(4, 2, func(set []int) { sets = append(sets, fmt.Sprint(set)) })
	if want := []string{"[0 1]", "[0 2]", "[0 3]", "[1 2]", "[1 3]", "[2 3]"}; !slices.Equal(sets, want) {
		t.Errorf("sets %v, want %v", sets, want)
	}
}
