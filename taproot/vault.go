package taproot

import (
	"errors"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/taproot/frost"
)

// Branch is the first step of derivation.
type Branch uint32

// The branches of the vault's keys. On Deposit the index is the member's
// account, on Change it is the settlement's number.
const (
	Deposit Branch = 0
	Change  Branch = 1
)

// branches is how many there are.
const branches = 2

// ErrDerivation is wrapped when an output cannot be derived: a branch or index
// that does not exist, or (with a chance of 2^-127) a hash outside the group.
var ErrDerivation = errors.New("taproot: no such vault output")

// Output is one output script of the vault and how to sign for it.
type Output struct {
	Branch      Branch
	Index       uint32
	Script      []byte   // 34 bytes: OP_1 and the output key
	InternalKey [32]byte // x-only, after derivation
	OutputKey   [32]byte // x-only, on chain
	// Tweaks lead from the policy's GroupKey to OutputKey: two plain steps of
	// BIP-32, then the x-only tweak of BIP-341. A session of frost or MuSig2
	// with these signs for the output's key path.
	Tweaks []frost.Tweak
}

// Vault derives the outputs of one Policy. It is immutable, holds no secret and
// is safe for concurrent use.
type Vault struct {
	policy   Policy
	params   *chaincfg.Params
	xpub     string
	branches [branches]extendedKey
	tree     *scriptTree
	cache    *outputCache
}

// NewVault validates the policy, builds its script tree and derives both branch
// keys. The error wraps ErrPolicy or ErrDerivation.
func NewVault(p Policy) (*Vault, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	params, err := NetworkParams(p.Network)
	if err != nil {
		return nil, err
	}
	tree, err := newScriptTree(&p)
	if err != nil {
		return nil, err
	}
	root, err := newExtendedKey(p.GroupKey)
	if err != nil {
		return nil, err
	}
	v := &Vault{policy: p.clone(), params: params, tree: tree, cache: newOutputCache()}
	if v.xpub, err = SyntheticXpub(p.GroupKey, params); err != nil {
		return nil, err
	}
	for b := range v.branches {
		if v.branches[b], err = root.child(uint32(b)); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Policy is a copy of what the vault was made from.
func (v *Vault) Policy() Policy { return v.policy.clone() }

// Params are the chain parameters of the vault's network.
func (v *Vault) Params() *chaincfg.Params { return v.params }

// Output derives one output. The error wraps ErrDerivation.
func (v *Vault) Output(b Branch, index uint32) (Output, error) {
	if out, found := v.cache.get(b, index); found {
		return out.clone(), nil
	}
	key, err := v.branch(b)
	if err != nil {
		return Output{}, err
	}
	child, err := key.child(index)
	if err != nil {
		return Output{}, err
	}
	outputKey, tapTweak, err := child.taproot(v.tree.root[:])
	if err != nil {
		return Output{}, err
	}
	out := Output{
		Branch:      b,
		Index:       index,
		Script:      payToTaproot(outputKey),
		InternalKey: child.xOnly(),
		OutputKey:   outputKey,
		Tweaks: []frost.Tweak{
			{Value: key.tweak},
			{Value: child.tweak},
			{Value: tapTweak, XOnly: true},
		},
	}
	v.cache.put(out)
	return out.clone(), nil
}

// Address is the output as its network writes it. The error wraps ErrDerivation.
func (v *Vault) Address(b Branch, index uint32) (string, error) {
	out, err := v.Output(b, index)
	if err != nil {
		return "", err
	}
	address, err := btcutil.NewAddressTaproot(out.OutputKey[:], v.params)
	if err != nil {
		return "", fmt.Errorf("taproot: address of %d/%d: %w", b, index, err)
	}
	return address.EncodeAddress(), nil
}

func (v *Vault) branch(b Branch) (*extendedKey, error) {
	if b >= branches {
		return nil, fmt.Errorf("%w: branch %d, must be 0 (deposit) or 1 (change)", ErrDerivation, b)
	}
	return &v.branches[b], nil
}

func (p Policy) clone() Policy {
	p.Recovery.Keys = slices.Clone(p.Recovery.Keys)
	p.GuardianKeys = slices.Clone(p.GuardianKeys)
	return p
}

func (o Output) clone() Output {
	o.Script = slices.Clone(o.Script)
	o.Tweaks = slices.Clone(o.Tweaks)
	return o
}
