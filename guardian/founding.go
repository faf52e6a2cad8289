package guardian

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
)

// Founding is the document that guardians agree on before they make a key: who
// they are, how many must sign, and for which bank. With the key it becomes the
// bank's charter and the vault's policy. It is public. Guardians compare its
// Hash by a way that they trust, as the telephone.
//
// A bank has one for each generation of its vault's key. All name the same bank;
// those after the first are successions: they say besides which vault the founding
// made, from where the keys before theirs can be followed.
type Founding struct {
	Name          string        `json:"name"`
	Network       string        `json:"network"` // as taproot.Policy names it
	BirthHeight   uint32        `json:"birth_height"`
	BirthHash     ledger.Hash   `json:"birth_hash"` // wire byte order
	Depth         uint32        `json:"depth"`
	WithdrawalMin ledger.Amount `json:"withdrawal_min_sat"`
	// Operator signs batch headers; Coordinator is the key of the end to which
	// guardians connect.
	Operator    ledger.Key             `json:"operator"`
	Coordinator chilldkg.HostPublicKey `json:"coordinator"`
	// Threshold of Guardians sign. A guardian's place in the list is its id.
	Threshold int                      `json:"threshold"`
	Guardians []chilldkg.HostPublicKey `json:"guardians"`
	Recovery  taproot.Recovery         `json:"recovery"`
	// Generation of the key that is made; 0 for the founding, which leaves the
	// next field out.
	Generation uint32          `json:"generation,omitempty"`
	Founded    *taproot.Policy `json:"founded,omitempty"` // the founding's vault
}

// Validate reports the first thing that makes the document unusable.
func (f *Founding) Validate() error {
	if err := f.Params().Validate(); err != nil {
		return fmt.Errorf("founding: %w", err)
	}
	charter, err := f.Charter()
	if err != nil {
		return err
	}
	if err := charter.Validate(); err != nil {
		return fmt.Errorf("founding: %w", err)
	}
	if err := f.validateSuccession(); err != nil {
		return err
	}
	// Any key will do to check the rest of the policy.
	policy := f.Policy(frost.PublicKey(f.Coordinator))
	if err := policy.Validate(); err != nil {
		return fmt.Errorf("founding: %w", err)
	}
	return nil
}

func (f *Founding) validateSuccession() error {
	switch {
	case (f.Generation == 0) != (f.Founded == nil):
		return errors.New("founding: a succession has a generation above 0 and names the founding's vault, a founding neither")
	case f.Founded == nil:
		return nil
	case f.Founded.Network != f.Network:
		return fmt.Errorf("founding: the founding's vault is on %s, the document is for %s", f.Founded.Network, f.Network)
	}
	if err := f.Founded.Validate(); err != nil {
		return fmt.Errorf("founding: the founding's vault: %w", err)
	}
	return nil
}

// Hash names the document: the tagged hash "daobank/founding" of its compact
// JSON with the fields in their order.
func (f *Founding) Hash() ledger.Hash {
	raw, err := json.Marshal(f)
	if err != nil {
		panic("guardian: a founding document does not encode: " + err.Error()) // no field can fail
	}
	return ledger.Hash(*chainhash.TaggedHash([]byte("daobank/founding"), raw))
}

// Params are what key generation needs.
func (f *Founding) Params() chilldkg.Params {
	return chilldkg.Params{Threshold: f.Threshold, HostKeys: f.Guardians}
}

// Charter is the charter of the bank that is founded.
func (f *Founding) Charter() (ledger.Charter, error) {
	net, err := taproot.NetworkParams(f.Network)
	if err != nil {
		return ledger.Charter{}, fmt.Errorf("founding: %w", err)
	}
	return ledger.Charter{Name: f.Name, Chain: ledger.Hash(*net.GenesisHash), Operator: f.Operator,
		BirthHeight: f.BirthHeight, BirthHash: f.BirthHash, Depth: f.Depth, WithdrawalMin: f.WithdrawalMin}, nil
}

// Policy is the vault's policy once the group has a key.
func (f *Founding) Policy(key frost.PublicKey) taproot.Policy {
	return taproot.Policy{Threshold: f.Threshold, Guardians: len(f.Guardians), GroupKey: key,
		Recovery: f.Recovery, Network: f.Network}
}

// foundingMax is the size in bytes of the largest founding document.
const foundingMax = 64 << 10

// ParseFounding reads and validates a founding document.
func ParseFounding(raw []byte) (*Founding, error) {
	if len(raw) > foundingMax {
		return nil, fmt.Errorf("founding: the document has more than %d bytes", foundingMax)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	f := &Founding{}
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("founding: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("founding: something follows the document")
	}
	return f, f.Validate()
}
