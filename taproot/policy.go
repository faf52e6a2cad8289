package taproot

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/taproot/frost"
)

// ErrPolicy is wrapped by every error that finds fault with a Policy.
var ErrPolicy = errors.New("taproot: bad vault policy")

// MaxRecoveryKeys bounds the recovery quorum, as MaxParticipants bounds the
// guardians.
const MaxRecoveryKeys = frost.MaxParticipants

// Policy is all that decides where the vault's coins lie: from equal policies
// come equal addresses. It holds no secret. Its JSON is stable and is what the
// guardians agree on and what recovery starts from.
type Policy struct {
	Scheme    Scheme          `json:"scheme,omitempty"` // FROST when it is not named
	Threshold int             `json:"threshold"`        // t guardians spend
	Guardians int             `json:"guardians"`        // n guardians there are
	GroupKey  frost.PublicKey `json:"group_key"`        // before derivation, 33 bytes
	// GuardianKeys are the guardians' own keys, in the order of their numbers.
	// FROST has none: there a guardian holds a share of GroupKey.
	GuardianKeys []frost.PublicKey `json:"guardian_keys,omitempty"`
	Recovery     Recovery          `json:"recovery"`
	Network      string            `json:"network"` // mainnet, testnet, signet or regtest
}

// Recovery is the script path: any Threshold of Keys may spend a coin once it is
// Delay blocks old (BIP-68, BIP-112).
type Recovery struct {
	Threshold int        `json:"threshold"`
	Keys      []XOnlyKey `json:"keys"`
	Delay     uint16     `json:"delay_blocks"`
}

// XOnlyKey is a public key as BIP-340 writes it, 32 bytes.
type XOnlyKey [schnorr.PubKeyBytesLen]byte

// ParsePolicy reads a policy from JSON, refuses unknown fields and anything
// after the object, and validates it. The error wraps ErrPolicy.
func ParsePolicy(b []byte) (Policy, error) {
	var p Policy
	if err := decodeStrictly(b, &p); err != nil {
		return Policy{}, fmt.Errorf("%w: %w", ErrPolicy, err)
	}
	if err := p.Validate(); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Validate says what is wrong with the policy first. The error wraps ErrPolicy.
func (p Policy) Validate() error {
	if p.Guardians < 1 || p.Guardians > frost.MaxParticipants {
		return fmt.Errorf("%w: guardians is %d, must be 1 to %d", ErrPolicy, p.Guardians, frost.MaxParticipants)
	}
	if p.Threshold < 1 || p.Threshold > p.Guardians {
		return fmt.Errorf("%w: threshold is %d, must be 1 to %d, the number of guardians", ErrPolicy, p.Threshold, p.Guardians)
	}
	if _, err := frost.ParsePublicKey(p.GroupKey[:]); err != nil {
		return fmt.Errorf("%w: group_key: %w", ErrPolicy, err)
	}
	if err := p.validateScheme(); err != nil {
		return err
	}
	if _, err := NetworkParams(p.Network); err != nil {
		return err
	}
	return p.Recovery.validate()
}

func (r Recovery) validate() error {
	if len(r.Keys) < 1 || len(r.Keys) > MaxRecoveryKeys {
		return fmt.Errorf("%w: recovery has %d keys, must be 1 to %d", ErrPolicy, len(r.Keys), MaxRecoveryKeys)
	}
	if r.Threshold < 1 || r.Threshold > len(r.Keys) {
		return fmt.Errorf("%w: recovery threshold is %d, must be 1 to %d, the number of recovery keys", ErrPolicy, r.Threshold, len(r.Keys))
	}
	if r.Delay == 0 {
		return fmt.Errorf("%w: recovery delay_blocks is 0, must be 1 to 65535: without a delay the recovery quorum could spend at once", ErrPolicy)
	}
	seen := make(map[XOnlyKey]int, len(r.Keys))
	for i, key := range r.Keys {
		if _, err := schnorr.ParsePubKey(key[:]); err != nil {
			return fmt.Errorf("%w: recovery key %d (%s) is not a public key: %w", ErrPolicy, i, key, err)
		}
		if first, found := seen[key]; found {
			return fmt.Errorf("%w: recovery keys %d and %d are the same (%s)", ErrPolicy, first, i, key)
		}
		seen[key] = i
	}
	return nil
}

// networks maps the names that a policy may use.
var networks = []struct {
	name   string
	params *chaincfg.Params
}{
	{"mainnet", &chaincfg.MainNetParams},
	{"testnet", &chaincfg.TestNet3Params},
	{"signet", &chaincfg.SigNetParams},
	{"regtest", &chaincfg.RegressionNetParams},
}

// NetworkParams gives the parameters of a network by the name that Policy uses.
// The error wraps ErrPolicy.
func NetworkParams(name string) (*chaincfg.Params, error) {
	for _, network := range networks {
		if network.name == name {
			return network.params, nil
		}
	}
	return nil, fmt.Errorf("%w: network is %q, must be mainnet, testnet, signet or regtest", ErrPolicy, name)
}

// String is lower-case hex.
func (k XOnlyKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText writes lower-case hex, so JSON holds a string.
func (k XOnlyKey) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

// UnmarshalText reads 32 bytes of hex; Validate finds whether they are a key.
func (k *XOnlyKey) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("taproot: x-only key is not hex: %w", err)
	}
	if len(b) != len(k) {
		return fmt.Errorf("taproot: x-only key has %d bytes, must have %d", len(b), len(k))
	}
	*k = XOnlyKey(b)
	return nil
}
