package taproot

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/input"

	"github.com/daobank/daobank/taproot/frost"
)

// Scheme is a way of owning the vault together. All of them derive their
// addresses alike and have the recovery leaf; they differ in whose signatures a
// spend shows.
type Scheme string

const (
	// FROST: any t of n sign for GroupKey, which a key generation made. One
	// signature on the key path, whatever t and n.
	FROST Scheme = ""
	// MuSig2: all n sign for GroupKey, the MuSig2 aggregate (BIP-327) of the
	// guardians' keys. One signature on the key path.
	MuSig2 Scheme = "musig2"
	// MuSig2Leaves: one leaf for each set of t guardians, with the aggregate of
	// their keys. One signature and a Merkle path; at most MaxLeaves sets.
	MuSig2Leaves Scheme = "musig2_leaves"
	// CheckSigAdd: one leaf on which t of n guardians sign each for itself
	// (BIP-342). No rounds, t signatures and n keys on chain.
	CheckSigAdd Scheme = "checksigadd"
)

// MaxLeaves bounds the tree of MuSig2Leaves. Building one of this size takes
// some seconds, and every verifier of the policy has to.
const MaxLeaves = 10_000

// Unspendable is the internal key that nobody can sign for (H of BIP-341, with
// even y): schemes of leaves take it as GroupKey when no key path shall exist.
var Unspendable = frost.PublicKey{
	0x02, 0x50, 0x92, 0x9b, 0x74, 0xc1, 0xa0, 0x49, 0x54, 0xb7, 0x8b, 0x4b, 0x60, 0x35, 0xe9, 0x7a, 0x5e,
	0x07, 0x8a, 0x5a, 0x0f, 0x28, 0xec, 0x96, 0xd5, 0x47, 0xbf, 0xee, 0x9a, 0xce, 0x80, 0x3a, 0xc0,
}

// String is the scheme's name, "frost" for the default.
func (s Scheme) String() string {
	if s == FROST {
		return "frost"
	}
	return string(s)
}

// UnmarshalText also reads "frost", which is never written: a policy without a
// scheme keeps its meaning and its bytes.
func (s *Scheme) UnmarshalText(text []byte) error {
	scheme := Scheme(text)
	if scheme == "frost" {
		scheme = FROST
	}
	if !slices.Contains(schemes, scheme) {
		return fmt.Errorf("%w: scheme %q is unknown", ErrPolicy, text)
	}
	*s = scheme
	return nil
}

var schemes = []Scheme{FROST, MuSig2, MuSig2Leaves, CheckSigAdd}

// AggregateKey is the key for which all of keys sign together by MuSig2
// (BIP-327 KeyAgg over the sorted keys), in any order. The error wraps
// ErrPolicy.
func AggregateKey(keys []frost.PublicKey) (frost.PublicKey, error) {
	points, err := guardianPoints(keys)
	if err != nil {
		return frost.PublicKey{}, err
	}
	return aggregate(points)
}

func aggregate(keys []*btcec.PublicKey) (frost.PublicKey, error) {
	if len(keys) == 0 {
		return frost.PublicKey{}, fmt.Errorf("%w: no keys to aggregate", ErrPolicy)
	}
	combined, err := input.MuSig2CombineKeys(input.MuSig2Version100RC2, keys, true, &input.MuSig2Tweaks{})
	if err != nil {
		return frost.PublicKey{}, fmt.Errorf("%w: aggregate key: %w", ErrPolicy, err)
	}
	return frost.PublicKey(combined.FinalKey.SerializeCompressed()), nil
}

// validateScheme checks that keys and numbers fit the scheme.
func (p *Policy) validateScheme() error {
	if !slices.Contains(schemes, p.Scheme) {
		return fmt.Errorf("%w: scheme %q is unknown", ErrPolicy, string(p.Scheme))
	}
	if p.Scheme == FROST {
		if len(p.GuardianKeys) != 0 {
			return fmt.Errorf("%w: guardian_keys are given, with frost guardians hold shares of group_key", ErrPolicy)
		}
		return nil
	}
	if err := p.validateGuardianKeys(); err != nil {
		return err
	}
	all, err := AggregateKey(p.GuardianKeys)
	if err != nil {
		return err
	}
	switch {
	case p.GroupKey == all:
	case p.Scheme != MuSig2 && p.GroupKey == Unspendable:
	default:
		return fmt.Errorf("%w: group_key is not the MuSig2 aggregate of guardian_keys", ErrPolicy)
	}
	switch p.Scheme {
	case MuSig2:
		if p.Guardians < 2 {
			return fmt.Errorf("%w: guardians is %d, musig2 needs two or more", ErrPolicy, p.Guardians)
		}
		if p.Threshold != p.Guardians {
			return fmt.Errorf("%w: threshold is %d, musig2 needs all %d guardians", ErrPolicy, p.Threshold, p.Guardians)
		}
	case MuSig2Leaves:
		if p.Threshold < 2 {
			return fmt.Errorf("%w: threshold is %d, a musig2 leaf needs two or more; checksigadd does not", ErrPolicy, p.Threshold)
		}
		if leaves := Subsets(p.Guardians, p.Threshold); leaves > MaxLeaves {
			return fmt.Errorf("%w: there are more than %d sets of %d among %d guardians, too many leaves for musig2_leaves",
				ErrPolicy, MaxLeaves, p.Threshold, p.Guardians)
		}
	}
	return nil
}

func (p *Policy) validateGuardianKeys() error {
	if len(p.GuardianKeys) != p.Guardians {
		return fmt.Errorf("%w: %d guardian_keys for %d guardians", ErrPolicy, len(p.GuardianKeys), p.Guardians)
	}
	seen := make(map[[32]byte]int, len(p.GuardianKeys))
	for i, key := range p.GuardianKeys {
		if _, err := frost.ParsePublicKey(key[:]); err != nil {
			return fmt.Errorf("%w: guardian key %d is not a public key: %w", ErrPolicy, i, err)
		}
		// A leaf holds the x coordinate, so a key and its negative are one.
		if first, found := seen[key.XOnly()]; found {
			return fmt.Errorf("%w: guardian keys %d and %d are the same (%s)", ErrPolicy, first, i, key)
		}
		seen[key.XOnly()] = i
	}
	return nil
}

// Subsets is how many sets of t there are among n, or MaxLeaves+1 when there
// are more than that.
func Subsets(n, t int) int {
	if t < 0 || t > n {
		return 0
	}
	count := uint64(1)
	for i := range min(t, n-t) {
		// count is C(n, i), so that the division leaves no rest.
		hi, lo := bits.Mul64(count, uint64(n-i))
		if hi != 0 {
			return MaxLeaves + 1
		}
		count = lo / uint64(i+1)
		if count > MaxLeaves {
			return MaxLeaves + 1
		}
	}
	return int(count)
}

// eachSubset calls f with every ascending set of t numbers below n, in
// lexicographic order. f must not keep the slice.
func eachSubset(n, t int, f func(set []int)) {
	set := make([]int, t)
	for i := range set {
		set[i] = i
	}
	for {
		f(set)
		i := t - 1
		for i >= 0 && set[i] == n-t+i {
			i--
		}
		if i < 0 {
			return
		}
		set[i]++
		for j := i + 1; j < t; j++ {
			set[j] = set[j-1] + 1
		}
	}
}

// xOnlyKeys are the x coordinates of the guardians' keys.
func (p *Policy) xOnlyKeys() []XOnlyKey {
	keys := make([]XOnlyKey, len(p.GuardianKeys))
	for i, key := range p.GuardianKeys {
		keys[i] = XOnlyKey(key.XOnly())
	}
	return keys
}

// guardianPoints decodes the guardians' keys.
func guardianPoints(keys []frost.PublicKey) ([]*btcec.PublicKey, error) {
	points := make([]*btcec.PublicKey, len(keys))
	for i, key := range keys {
		var err error
		if points[i], err = btcec.ParsePubKey(key[:]); err != nil {
			return nil, fmt.Errorf("%w: guardian key %d: %w", ErrPolicy, i, err)
		}
	}
	return points, nil
}
