package netting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Vaults are a bank's vaults, one for each generation of its key: the one of the
// founding, and those that ledger.Rekey entries added. Each policy is signed by
// the key before, so who knows the first knows them all. It is safe for
// concurrent use.
type Vaults struct {
	bank ledger.BankID

	mu   sync.RWMutex
	list []*taproot.Vault // by generation; it only grows
}

// A RekeyError says why the books' new key is not the vault's.
type RekeyError struct {
	Generation uint32
	Reason     string
	Err        error // nil when there is no more to say
}

func (e *RekeyError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("generation %d of the vault's key: %s: %v", e.Generation, e.Reason, e.Err)
	}
	return fmt.Sprintf("generation %d of the vault's key: %s", e.Generation, e.Reason)
}

func (e *RekeyError) Unwrap() error { return e.Err }

// NewVaults begins with the vault of the founding.
func NewVaults(bank ledger.BankID, founding *taproot.Vault) *Vaults {
	return &Vaults{bank: bank, list: []*taproot.Vault{founding}}
}

// All are the vaults by generation. The caller must not change the slice.
func (v *Vaults) All() []*taproot.Vault {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.list[:len(v.list):len(v.list)]
}

// Newest is the vault that change and deposits go to, and its generation.
func (v *Vaults) Newest() (*taproot.Vault, uint32) {
	list := v.All()
	return list[len(list)-1], uint32(len(list) - 1)
}

// Of is the vault of a generation.
func (v *Vaults) Of(generation uint32) (*taproot.Vault, error) {
	list := v.All()
	if uint64(generation) >= uint64(len(list)) {
		return nil, fmt.Errorf("the vault has no key of generation %d, the newest is %d", generation, len(list)-1)
	}
	return list[generation], nil
}

// Output derives an output of a generation's vault.
func (v *Vaults) Output(generation uint32, branch ledger.Branch, index uint32) (taproot.Output, error) {
	vault, err := v.Of(generation)
	if err != nil {
		return taproot.Output{}, err
	}
	return vault.Output(taproot.Branch(branch), index)
}

// Check verifies the next key against the one before: its signature, its policy's
// canonical form, network and scheme. Error: *RekeyError.
func (v *Vaults) Check(e *ledger.Rekey) error {
	_, err := v.next(v.All(), e)
	return err
}

// CheckUnsigned is Check for those who are asked to sign the next key: all but the
// signature. Error: *RekeyError.
func (v *Vaults) CheckUnsigned(e *ledger.Rekey) error {
	list := v.All()
	if err := follows(list, e); err != nil {
		return err
	}
	_, err := newVault(list, e)
	return err
}

// Follow adds the keys that the books have taken since. Error: *RekeyError, and
// the keys before it are added.
func (v *Vaults) Follow(books *ledger.State) error { return v.Extend(books.Rekeys()) }

// Extend adds those of these keys that are new; the first is generation 1. Error:
// *RekeyError, and the keys before it are added.
func (v *Vaults) Extend(rekeys []ledger.Rekey) error {
	for list := v.All(); len(list) <= len(rekeys); {
		vault, err := v.next(list, &rekeys[len(list)-1])
		if err != nil {
			return err
		}
		list = append(list, vault) // a copy: All leaves no room
		v.mu.Lock()
		if len(v.list) < len(list) { // nobody else was faster
			v.list = list
		}
		v.mu.Unlock()
	}
	return nil
}

// next is the vault that a key leads to from those before.
func (v *Vaults) next(list []*taproot.Vault, e *ledger.Rekey) (*taproot.Vault, error) {
	if err := follows(list, e); err != nil {
		return nil, err
	}
	old := list[len(list)-1].Policy()
	if !ledger.Key(old.GroupKey.XOnly()).Verify(e.Digest(v.bank), e.Signature) {
		return nil, &RekeyError{Generation: e.Generation, Reason: "it is not signed by the key before"}
	}
	return newVault(list, e)
}

// follows checks the place of a key. Guardians may have signed two for one place, of
// which the books took one: the other must not come after it.
func follows(list []*taproot.Vault, e *ledger.Rekey) error {
	switch {
	case e.Generation == 0:
		return &RekeyError{Generation: e.Generation, Reason: "it is the founding's"}
	case uint64(e.Generation) != uint64(len(list)):
		return &RekeyError{Generation: e.Generation, Reason: fmt.Sprintf("it does not follow generation %d", len(list)-1)}
	}
	return nil
}

// newVault checks all of a key but its place and its signature.
func newVault(list []*taproot.Vault, e *ledger.Rekey) (*taproot.Vault, error) {
	bad := func(reason string, err error) error {
		return &RekeyError{Generation: e.Generation, Reason: reason, Err: err}
	}
	old := list[len(list)-1].Policy()
	policy, err := taproot.ParsePolicy(e.Policy)
	if err != nil {
		return nil, bad("its policy cannot be used", err)
	}
	if canonical, err := EncodePolicy(policy); err != nil || !bytes.Equal(canonical, e.Policy) {
		return nil, bad("its policy is not in canonical form", err)
	}
	switch {
	case policy.Network != old.Network:
		return nil, bad(fmt.Sprintf("it is for %s, the vault is on %s", policy.Network, old.Network), nil)
	case policy.Scheme != taproot.FROST:
		return nil, bad(fmt.Sprintf("its scheme is %s, settlements are signed with FROST", policy.Scheme), nil)
	}
	for generation, vault := range list {
		// Who holds shares of that key would hold the vault again.
		if vault.Policy().GroupKey.XOnly() == policy.GroupKey.XOnly() {
			return nil, bad(fmt.Sprintf("it is the key of generation %d again", generation), nil)
		}
	}
	vault, err := taproot.NewVault(policy)
	if err != nil {
		return nil, bad("its addresses cannot be derived", err)
	}
	return vault, nil
}

// EncodePolicy writes a policy as a Rekey carries it.
func EncodePolicy(p taproot.Policy) ([]byte, error) { return json.Marshal(p) }
