package guardian

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/roast"
)

// KeyProof shows to anyone that the guardians of a document made a key together,
// and that each of them can recover its share. It is public.
type KeyProof struct {
	Recovery []byte   `json:"recovery"` // ChillDKG's recovery data
	Acks     [][]byte `json:"acks"`     // each guardian's acknowledgement, by id
}

// Group checks the proof against the document and returns the group. Every signature
// of the key generation is verified, and every acknowledgement.
func (p *KeyProof) Group(f *Founding) (*frost.Group, error) {
	result, err := chilldkg.RecoverCoordinator(p.Recovery)
	if err != nil {
		return nil, fmt.Errorf("proof of the key: %w", err)
	}
	got, err := result.Params.Hash()
	if err != nil {
		return nil, fmt.Errorf("proof of the key: %w", err)
	}
	if want, err := f.Params().Hash(); err != nil || got != want {
		return nil, errors.New("proof of the key: it is of other guardians, or of another threshold, than the document's")
	}
	acks, err := chilldkg.NewAcknowledgements(result)
	if err != nil {
		return nil, fmt.Errorf("proof of the key: %w", err)
	}
	for i, ack := range p.Acks {
		if err := acks.Add(frost.ID(i), ack); err != nil {
			return nil, fmt.Errorf("proof of the key: %w", err)
		}
	}
	group, err := acks.Group()
	if err != nil {
		return nil, fmt.Errorf("proof of the key: %w", err)
	}
	return group, nil
}

// Rekey is the entry that gives the vault the key of the document's guardians, not
// signed yet.
func (f *Founding) Rekey(key frost.PublicKey) (*ledger.Rekey, error) {
	if f.Generation == 0 {
		return nil, errors.New("the founding gives the vault its first key, which is no entry of the books")
	}
	policy, err := netting.EncodePolicy(f.Policy(key))
	if err != nil {
		return nil, err
	}
	return &ledger.Rekey{Generation: f.Generation, Policy: policy}, nil
}

// Succession asks the guardians of the vault's key to hand it to the guardians of
// another document, who have made theirs.
type Succession struct {
	Document ledger.Hash `json:"document"`
	Proof    KeyProof    `json:"proof"`
}

// Agree lets the guardian sign over the vault to the guardians of a document, to
// which its owner has agreed, and to no other. The document has been kept before.
// Nil takes an agreement back: what was signed until then stands.
func (g *Guardian) Agree(f *Founding) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.successor = f
}

func (g *Guardian) agreed() *Founding {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.successor
}

// examineSuccession rebuilds the entry that the books would get, from the document
// that the guardian's owner has agreed to and the proof that its guardians made
// the key. The coordinator's word counts for nothing.
func (g *Guardian) examineSuccession(p Proposal) (*round, error) {
	s, f := p.Succession, g.agreed()
	newest := g.replay.Books().Generation()
	switch {
	case p.Settlement != 0 || len(p.Tx) > 0:
		return nil, refusal("it is both a settlement and a succession")
	case p.Generation != newest:
		return nil, refusal("generation %d of the vault's key hands it over, not %d", newest, p.Generation)
	case f == nil:
		return nil, refusal("its owner has agreed to no change of guardians")
	case f.Hash() != s.Document:
		return nil, refusal("its owner has agreed to the document %s, not to %s", f.Hash(), s.Document)
	}
	if reason := g.succeeds(f); reason != "" {
		return nil, refusal("%s", reason)
	}
	group, err := s.Proof.Group(f)
	if err != nil {
		return nil, refusal("%v", err)
	}
	rekey, err := f.Rekey(group.Key())
	if err == nil {
		err = g.replay.Vaults().CheckUnsigned(rekey) // the books would not take it
	}
	if err != nil {
		return nil, refusal("%v", err)
	}
	digest := rekey.Digest(g.config.Charter.ID())
	return &round{kind: succession, document: s.Document, messages: []roast.Message{{Digest: digest}}}, nil
}

// succeeds says why a document is not for the next guardians of this vault; "" when
// it is.
func (g *Guardian) succeeds(f *Founding) string {
	next := g.replay.Books().Generation() + 1
	charter, err := f.Charter()
	switch {
	case err != nil:
		return err.Error()
	case f.Generation != next:
		return fmt.Sprintf("the document is for generation %d of the vault's key, the next is %d", f.Generation, next)
	case charter.ID() != g.config.Charter.ID():
		return "the document is of another bank"
	case !f.SucceedsVault(g.config.Vault.Policy()):
		return "the document names another vault of the founding"
	}
	return ""
}

// SucceedsVault reports whether a succession names this vault as the founding's.
func (f *Founding) SucceedsVault(p taproot.Policy) bool {
	if f.Founded == nil {
		return false
	}
	named, err := netting.EncodePolicy(*f.Founded)
	if err != nil {
		return false
	}
	own, err := netting.EncodePolicy(p)
	return err == nil && bytes.Equal(named, own)
}

// stillAgreed says why a succession that was right at Commit is so no more; ""
// when it is.
func (g *Guardian) stillAgreed(document ledger.Hash) string {
	f := g.agreed()
	if f == nil || f.Hash() != document {
		return "its owner has agreed to another document since, or to none"
	}
	return g.succeeds(f)
}
