package proof

import (
	"time"

	"github.com/daobank/daobank/ledger"
)

// Receipt proves that an order was accepted: that it stands in a batch that the
// operator signed. The bank answers every order with one.
type Receipt struct {
	Order   Bytes          `json:"order"` // canonical bytes
	Receipt ledger.Receipt `json:"receipt"`
}

// Kind implements Body.
func (*Receipt) Kind() Kind { return KindReceipt }

func (p *Receipt) verify(c *check) error {
	order, err := c.accepted(p)
	if err != nil {
		return err
	}
	c.proves("%s stands in batch %d as entry %d, in a header that the operator of %q signed at %s by its own clock.",
		c.describe(order), p.Receipt.Header.Number, p.Receipt.Index, c.charter.Name,
		time.UnixMilli(int64(p.Receipt.Header.Time)).UTC().Format(time.RFC3339))
	c.doesNotProve("that the order is attested or anchored: the operator has promised it, and nobody else has looked",
		"that it stands in the history that others are shown: compare, or prove it anchored")
	return nil
}

// accepted checks a receipt and returns its order.
func (c *check) accepted(p *Receipt) (*ledger.Order, error) {
	order, err := ledger.DecodeOrder(p.Order)
	if err == nil {
		err = p.Receipt.Verify(c.charter, p.Order)
	}
	if err == nil {
		err = order.Check(c.bank)
	}
	if err != nil {
		return nil, c.invalid("%v", err)
	}
	return order, nil
}

func (c *check) describe(o *ledger.Order) string {
	if open, ok := o.Body.(*ledger.Open); ok {
		return "The order that opens an account for the key " + open.Key.String()
	}
	return "The " + o.Kind().String() + " order " + ledger.OrderRef{Payer: o.Payer, Sequence: o.Sequence}.String() + " of account " + c.account(o.Payer)
}

// A promise is an accepted order beside an anchor: what its batch is, or should be, in
// the journal that is anchored.
type promise struct {
	order  *ledger.Order
	header *ledger.SignedHeader // of the receipt
	books  *ledger.Books        // that are anchored
}

// promised checks a receipt and an anchor.
func (c *check) promised(r *Receipt, a *Anchor) (*promise, error) {
	order, err := c.accepted(r)
	if err != nil {
		return nil, err
	}
	books, err := c.anchor("the anchor", a)
	if err != nil {
		return nil, err
	}
	return &promise{order, &r.Receipt.Header, books}, nil
}

// stands reports whether the anchored journal has a header, by its hash, under the number
// of the receipt's.
func (p *promise) stands(hash ledger.Hash, path Hashes) bool {
	return ledger.VerifyJournalPath(p.books.Journal, hash, p.header.Number, p.books.Batch, path)
}

// Payment proves that an order is in an anchored journal: its receipt, the place of
// its batch in the journal tree, and the anchor.
type Payment struct {
	Receipt
	Path   Hashes `json:"path"` // of the batch in the journal tree
	Anchor Anchor `json:"anchor"`
}

// Kind implements Body.
func (*Payment) Kind() Kind { return KindPayment }

func (p *Payment) verify(c *check) error {
	made, err := c.promised(&p.Receipt, &p.Anchor)
	if err != nil {
		return err
	}
	number := made.header.Number
	if !made.stands(made.header.Hash(), p.Path) {
		return c.invalid("batch %d of the receipt is not in the journal of %d batches that is anchored", number, made.books.Batch)
	}
	c.proves("%s stands in batch %d of the one journal that the vault's guardians committed to in the chain. It cannot be taken out without undoing that block.",
		c.describe(made.order), number)
	c.doesNotProve("that the money is still there: the payee may have spent it since", "that the coins exist: a proof of coins or an audit does")
	return nil
}

// Balance proves that a balance is part of an anchored total.
type Balance struct {
	Account ledger.AccountID `json:"account"`
	Owed    ledger.Amount    `json:"owed_sat"`
	Path    SumPath          `json:"path"` // of the account in the sum tree
	Anchor  Anchor           `json:"anchor"`
}

// Kind implements Body.
func (*Balance) Kind() Kind { return KindBalance }

func (p *Balance) verify(c *check) error {
	books, err := c.anchor("the anchor", &p.Anchor)
	if err != nil {
		return err
	}
	if !ledger.VerifySumPath(books.Root, p.Account, p.Owed, books.Accounts, p.Path) {
		return c.invalid("a balance of %d sat of account %s is not part of the anchored total of %d sat", p.Owed, c.account(p.Account), books.Root.Sum)
	}
	c.proves("At batch %d the bank owed account %s %d sat, and they are counted in the %d sat that it owed all accounts together. Nothing beside them on the way to that total is below zero, so it cannot be less than all balances that are shown so.",
		books.Batch, c.account(p.Account), p.Owed, books.Root.Sum)
	c.doesNotProve("what the account holds now: payments after that batch are not in it",
		"that the coins exist: a proof of coins or an audit does",
		"that the balance is right: compare it with your own receipts")
	return nil
}

// Consistency proves that one anchored journal is the beginning of another: nothing
// was changed or taken out between them, only added.
type Consistency struct {
	Path Hashes `json:"path"` // RFC 6962, section 2.1.2
	From Anchor `json:"from"`
	To   Anchor `json:"to"`
}

// Kind implements Body.
func (*Consistency) Kind() Kind { return KindConsistency }

func (p *Consistency) verify(c *check) error {
	from, err := c.anchor("the first anchor", &p.From)
	if err != nil {
		return err
	}
	to, err := c.anchor("the second anchor", &p.To)
	if err != nil {
		return err
	}
	if !ledger.VerifyConsistency(from.Journal, to.Journal, from.Batch, to.Batch, p.Path) {
		return c.invalid("the journal of %d batches is not shown to be the beginning of that of %d", from.Batch, to.Batch)
	}
	c.proves("The journal of %d batches that the chain commits to is the beginning of the journal of %d batches that it commits to later: between the two, batches were only added.", from.Batch, to.Batch)
	c.doesNotProve("that what was added keeps the rules: an audit replays it")
	return nil
}

// Omission proves that an order which the operator accepted is not in an anchored
// journal: where its batch should stand, there stands another.
type Omission struct {
	Receipt
	Stands ledger.Hash `json:"stands"` // hash of the header of that number in the anchored journal
	Path   Hashes      `json:"path"`   // of Stands in the journal tree
	Anchor Anchor      `json:"anchor"`
}

// Kind implements Body.
func (*Omission) Kind() Kind { return KindOmission }

func (p *Omission) verify(c *check) error {
	made, err := c.promised(&p.Receipt, &p.Anchor)
	if err != nil {
		return err
	}
	number := made.header.Number
	switch {
	case number > made.books.Batch:
		return c.invalid("batch %d of the receipt comes after the %d batches that are anchored", number, made.books.Batch)
	case p.Stands == made.header.Hash():
		return c.invalid("batch %d of the receipt is the one that is anchored: the order is not left out", number)
	case !made.stands(p.Stands, p.Path):
		return c.invalid("the header %s is not shown to be number %d of the anchored journal", p.Stands, number)
	}
	c.found.Against = "the operator, who signed the receipt"
	c.proves("The operator promised in batch %d: %s. In the journal that the chain commits to, batch %d is another one.", number, c.describe(made.order), number)
	c.doesNotProve("that the order was not accepted again, in another batch", "that the guardians knew of the receipt")
	return nil
}

// Equivocation proves that the operator showed two histories: two headers of one
// number, both signed, that differ.
type Equivocation struct {
	A Bytes `json:"a"` // signed header, canonical bytes
	B Bytes `json:"b"`
}

// NewEquivocation makes the proof of two signed headers.
func NewEquivocation(a, b *ledger.SignedHeader) *Equivocation {
	return &Equivocation{A: a.Bytes(), B: b.Bytes()}
}

// Kind implements Body.
func (*Equivocation) Kind() Kind { return KindEquivocation }

// Headers are the two headers, as the file has them.
func (p *Equivocation) Headers() (a, b ledger.SignedHeader, err error) {
	if a, err = ledger.DecodeSignedHeader(p.A); err == nil {
		b, err = ledger.DecodeSignedHeader(p.B)
	}
	return a, b, err
}

func (p *Equivocation) verify(c *check) error {
	a, b, err := p.Headers()
	if err != nil {
		return c.invalid("%v", err)
	}
	for _, h := range []*ledger.SignedHeader{&a, &b} {
		switch {
		case h.Bank != c.bank:
			return c.invalid("a header is of another bank")
		case !h.Verify(c.charter.Operator):
			return c.invalid("the operator did not sign the header %s of batch %d", h.Hash(), h.Number)
		}
	}
	switch {
	case a.Number != b.Number:
		return c.invalid("the headers are of batches %d and %d", a.Number, b.Number)
	case a.Hash() == b.Hash():
		return c.invalid("both headers are the same")
	}
	c.found.Against = "the operator"
	c.proves("The operator of %q signed two headers for batch %d, %s and %s: it showed two histories, or somebody else has its key.", c.charter.Name, a.Number, a.Hash(), b.Hash())
	c.doesNotProve("which of the two histories is anchored, or that anybody lost money")
	return nil
}

// DoubleOrder proves that the holder of a key signed two orders with one number.
type DoubleOrder struct {
	Key ledger.Key `json:"key"`
	A   Bytes      `json:"a"` // order, canonical bytes
	B   Bytes      `json:"b"`
}

// Kind implements Body.
func (*DoubleOrder) Kind() Kind { return KindDoubleOrder }

func (p *DoubleOrder) verify(c *check) error {
	var both [2]*ledger.Order
	for i, raw := range [][]byte{p.A, p.B} {
		o, err := ledger.DecodeOrder(raw)
		if err == nil {
			err = o.Check(c.bank)
		}
		if err == nil {
			err = o.Verify(p.Key)
		}
		if err != nil {
			return c.invalid("%v", err)
		}
		both[i] = o
	}
	a, b := both[0], both[1]
	switch {
	case a.Kind() == ledger.KindOpen || b.Kind() == ledger.KindOpen:
		return c.invalid("an order that opens an account has no number of its own")
	case a.Payer != b.Payer || a.Sequence != b.Sequence:
		return c.invalid("the orders are %s and %s: they do not have one number", ledger.OrderRef{Payer: a.Payer, Sequence: a.Sequence}, ledger.OrderRef{Payer: b.Payer, Sequence: b.Sequence})
	case a.Digest() == b.Digest():
		return c.invalid("both are one order")
	}
	c.found.Against = "the holder of the key " + p.Key.String()
	c.proves("The holder of the key %s signed two orders with the number %d for account %s, %s and %s. At most one of them can ever be carried out.",
		p.Key, a.Sequence, c.account(a.Payer), a.Digest(), b.Digest())
	c.doesNotProve("bad faith: an order that the bank refused leaves its number free, and the next order has it again",
		"that the key is the account's: the bank shows it, and the order that opened the account has it",
		"which of the two was accepted: a receipt does")
	return nil
}
