package ledger

import (
	"fmt"

	"github.com/daobank/daobank/bip340"
)

// Prepared is a batch with everything done that needs no books: its entries are
// read and hashed, its count and its Merkle root compared with its header. Many
// batches can be prepared at once. No signature is verified yet.
type Prepared struct {
	Batch   *Batch
	entries []Entry
	digests []Hash // of the orders, by index of entries; zero for an event

	differs string        // how the entries differ from the header; "" when they do not
	unread  *HistoryError // the first entry that is none, nil when all are
	signer  Key           // for whom the header's signature was found good
}

// Prepare reads a batch. What is wrong with it is told by who takes it.
func Prepare(b *Batch) *Prepared {
	p := &Prepared{Batch: b, differs: b.differs()}
	if p.differs != "" {
		return p
	}
	p.entries, p.digests = make([]Entry, len(b.Entries)), make([]Hash, len(b.Entries))
	for i, raw := range b.Entries {
		entry, err := DecodeEntry(raw)
		if err != nil {
			p.unread = &HistoryError{Batch: b.Header.Number, Entry: i, Reason: "it cannot be read", Err: err}
			p.entries = p.entries[:i]
			break
		}
		if p.entries[i] = entry; entry.Order != nil {
			p.digests[i] = OrderDigest(raw)
		}
	}
	return p
}

// Entries are the entries up to the first that cannot be read; none of a batch
// that differs from its header.
func (p *Prepared) Entries() []Entry { return p.entries }

// Verify is Batch.Verify. The header's signature is not verified a second time.
func (p *Prepared) Verify(operator Key) error {
	if why := p.tampered(operator); why != "" {
		return &TamperedError{Batch: p.Batch.Header.Number, Reason: why}
	}
	return nil
}

func (p *Prepared) tampered(operator Key) string {
	if p.signer != operator {
		if why := p.Batch.unsigned(operator); why != "" {
			return why
		}
		p.signer = operator
	}
	return p.differs
}

// Verify checks that a batch is what the operator signed: the header's signature,
// the count and the Merkle root of the entries. One that is not says nothing of the
// operator: whoever brought it may have changed it. Error: *TamperedError.
func (b *Batch) Verify(operator Key) error {
	why := b.unsigned(operator)
	if why == "" {
		why = b.differs()
	}
	if why != "" {
		return &TamperedError{Batch: b.Header.Number, Reason: why}
	}
	return nil
}

func (b *Batch) unsigned(operator Key) string {
	if !b.Header.Verify(operator) {
		return fmt.Sprintf("its header is not signed by the operator %s", operator)
	}
	return ""
}

// differs says how the entries differ from what the header commits to.
func (b *Batch) differs() string {
	h := &b.Header
	if int(h.Count) != len(b.Entries) {
		return fmt.Sprintf("its header counts %d entries, it has %d", h.Count, len(b.Entries))
	}
	leaves := make([]Hash, len(b.Entries))
	for i, raw := range b.Entries {
		leaves[i] = EntryLeaf(raw)
	}
	if root := MerkleRoot(leaves); root != h.Root {
		return fmt.Sprintf("its entries have the root %s, its header says %s", root, h.Root)
	}
	return ""
}

// Unverified are the signatures of a batch that AppendUnverified took into the
// books.
type Unverified struct {
	state *State
	batch *Prepared
}

// Header is the operator's signature on the header.
func (u *Unverified) Header() bip340.Item { return u.state.headerSignature(u.batch) }

// Entries are those of the batch.
func (u *Unverified) Entries() []Entry { return u.batch.entries }

// All are the header's signature first, then the members' on their orders.
func (u *Unverified) All() []bip340.Item { return u.state.signatures(u.batch) }

// Forged is the error that Append would have returned because of a bad item of All.
func (u *Unverified) Forged(item int) *HistoryError {
	b := u.batch.Batch
	h := &HistoryError{Batch: b.Header.Number, Entry: -1, Reason: "its header is not signed by the operator " + u.state.charter.Operator.String()}
	for i, entry := range u.batch.entries {
		if entry.Order == nil {
			continue
		}
		if item--; item == 0 {
			h.Entry, h.Reason = i, notSigned(entry.Order)
			break
		}
	}
	return h
}

func notSigned(o *Order) string {
	return fmt.Sprintf("order %d of account %s is not signed by the account's key", o.Sequence, o.signer())
}

// AppendUnverified is Append with CheckAll, but for the signatures: they are left
// to the caller, who can verify those of many batches together while the next are
// appended. Until they are verified nothing that the State says is proved. Error:
// *HistoryError; the State is then of no further use, and signatures of batches
// before it may still be forged.
func (s *State) AppendUnverified(p *Prepared) (*Unverified, error) {
	h := &p.Batch.Header
	if err := s.continues(&h.Header); err != nil {
		return nil, err
	}
	if err := s.applyPrepared(p); err != nil {
		if why := p.tampered(s.charter.Operator); why != "" { // then nothing else is the operator's word
			return nil, &HistoryError{Batch: h.Number, Entry: -1, Reason: why}
		}
		return nil, err
	}
	return &Unverified{state: s, batch: p}, s.Seal(&h.Header)
}

// applyPrepared applies the entries of a batch.
func (s *State) applyPrepared(p *Prepared) error {
	number := p.Batch.Header.Number
	if p.differs != "" {
		return &HistoryError{Batch: number, Entry: -1, Reason: p.differs}
	}
	if p.unread != nil {
		return p.unread
	}
	for i, entry := range p.entries {
		var err error
		if entry.Order != nil {
			_, err = s.ApplyDigested(entry.Order, p.digests[i])
		} else {
			_, err = s.ApplyEvent(entry.Event)
		}
		if err != nil {
			return &HistoryError{Batch: number, Entry: i, Reason: "the books refuse it", Err: err}
		}
	}
	return nil
}

func (s *State) headerSignature(p *Prepared) bip340.Item {
	hash := p.Batch.Header.Hash()
	return bip340.Item{Key: s.charter.Operator, Message: hash[:], Signature: p.Batch.Header.Signature}
}

// signatures lists the header's and those of the orders, which are applied.
func (s *State) signatures(p *Prepared) []bip340.Item {
	items := append(make([]bip340.Item, 0, 1+len(p.entries)), s.headerSignature(p))
	for i, e := range p.entries {
		if e.Order != nil {
			items = append(items, bip340.Item{Key: s.signerKey(e.Order), Message: p.digests[i][:], Signature: e.Order.Signature})
		}
	}
	return items
}

func (s *State) signerKey(o *Order) Key {
	if open, ok := o.Body.(*Open); ok {
		return open.Key
	}
	return s.accounts.at(o.Payer.Index()).key
}
