package ledger

import (
	"bytes"

	"github.com/btcsuite/btcd/btcec/v2"
)

// Kind is the second byte of an entry's canonical bytes. Orders stay below
// firstEvent, chain events at and above it.
type Kind byte

// The kinds of entries in the journal.
const (
	KindOpen     Kind = 1
	KindTransfer Kind = 2
	KindWithdraw Kind = 3
	KindClose    Kind = 4
	KindCancel   Kind = 5
	KindStanding Kind = 6

	firstEvent           = 64
	KindBlock       Kind = 64
	KindDeposit     Kind = 65
	KindCut         Kind = 66
	KindSettled     Kind = 67
	KindRekey       Kind = 68
	KindDraw        Kind = 69
	KindReorganised Kind = 70
	KindCorrect     Kind = 71
)

func (k Kind) String() string {
	switch k {
	case KindOpen:
		return "open"
	case KindTransfer:
		return "transfer"
	case KindWithdraw:
		return "withdraw"
	case KindClose:
		return "close"
	case KindCancel:
		return "cancel"
	case KindStanding:
		return "standing"
	case KindBlock:
		return "block"
	case KindDeposit:
		return "deposit"
	case KindCut:
		return "cut"
	case KindSettled:
		return "settled"
	case KindRekey:
		return "rekey"
	case KindDraw:
		return "draw"
	case KindReorganised:
		return "reorganised"
	case KindCorrect:
		return "correct"
	}
	return "unknown"
}

// EndsBatch reports whether an entry of this kind is the last one of its batch: what
// comes after it, it changes the meaning of.
func (k Kind) EndsBatch() bool { return k == KindCut || k == KindRekey }

// Limits of an order's size.
const (
	MaxPayees    = 1000 // payments in one transfer
	MaxReference = 64   // bytes of a transfer's reference
	maxScript    = 42   // bytes of a payout script; the longest that is paid has 34

	orderPrefix = 2 + 32 + 8 + 8 + 32 + 4
	// MaxOrderSize is the size in bytes of the largest order.
	MaxOrderSize = orderPrefix + 1 + MaxReference + 2 + 16*MaxPayees + 64
)

const orderVersion = 1

// Order is an instruction signed by a member. Its canonical bytes are described
// in docs/formats.md; its signature is BIP-340 over Digest.
type Order struct {
	// Bank is the id of the bank that shall carry it out.
	Bank BankID
	// Payer is the signer's account; 0 in an Open, whose account has no number yet.
	Payer AccountID
	// Sequence is 0 in an Open and one more in each later order of the payer.
	Sequence uint64
	// Previous is the digest of the payer's previous order; zero in an Open.
	Previous Hash
	// Expiry is the last height of the books at which the order may be
	// accepted; 0 means that it does not expire.
	Expiry uint32
	// Body says what is ordered: *Open, *Transfer, *Withdraw, *Close, *Cancel or
	// *Standing.
	Body Body
	// Signature is the payer's.
	Signature Signature
}

// Body is what an order asks for. Only this package implements it.
type Body interface {
	Kind() Kind
	append(b []byte) []byte
}

// Open makes an account for a key. Every key has at most one account, for ever.
type Open struct{ Key Key }

// Transfer pays one or many accounts of the bank under one signature: all of
// it, or none of it.
type Transfer struct {
	Payments  []Payment
	Reference []byte // free bytes for the payees, at most MaxReference; everyone can read them
}

// Payment is one payee of a transfer.
type Payment struct {
	Payee  AccountID
	Amount Amount
}

// Withdraw pays coins to a script on chain in a coming settlement. Amount is
// what the script receives; the miner's fee for its output is paid besides and
// is at most FeeMax. Both are held from acceptance on.
type Withdraw struct {
	Amount Amount
	FeeMax Amount
	Script []byte // P2PKH, P2SH, P2WPKH, P2WSH or P2TR
}

// Close ends an account that is empty and owes nothing.
type Close struct{}

// Cancel takes back a withdrawal that waits for a cut: what it held is available
// again. One that a cut has taken may be paid any moment and cannot be taken back.
type Cancel struct{ Sequence uint64 } // of the payer's order that asked for it

// Standing tells the bank to pay out, again and again, what an account has above
// Keep. It replaces the one before; with an empty Script and all else zero it ends it.
//
// When it is due, a Draw makes a withdrawal of it, which is named by the account and
// the sequence number of this order.
type Standing struct {
	Keep   Amount // stays in the account
	Every  uint32 // at least so many blocks between two draws, from 1
	FeeMax Amount // of each payout, as in a Withdraw
	Script []byte // as in a Withdraw
}

func (*Open) Kind() Kind     { return KindOpen }
func (*Transfer) Kind() Kind { return KindTransfer }
func (*Withdraw) Kind() Kind { return KindWithdraw }
func (*Close) Kind() Kind    { return KindClose }
func (*Cancel) Kind() Kind   { return KindCancel }
func (*Standing) Kind() Kind { return KindStanding }

func (o *Open) append(b []byte) []byte { return append(b, o.Key[:]...) }

func (t *Transfer) append(b []byte) []byte {
	b = append(b, byte(len(t.Reference)))
	b = append(b, t.Reference...)
	b = be.AppendUint16(b, uint16(len(t.Payments)))
	for _, p := range t.Payments {
		b = be.AppendUint64(b, uint64(p.Payee))
		b = be.AppendUint64(b, uint64(p.Amount))
	}
	return b
}

func (w *Withdraw) append(b []byte) []byte {
	b = be.AppendUint64(b, uint64(w.Amount))
	b = be.AppendUint64(b, uint64(w.FeeMax))
	b = append(b, byte(len(w.Script)))
	return append(b, w.Script...)
}

func (*Close) append(b []byte) []byte { return b }

func (c *Cancel) append(b []byte) []byte { return be.AppendUint64(b, c.Sequence) }

func (s *Standing) append(b []byte) []byte {
	b = be.AppendUint64(b, uint64(s.Keep))
	b = be.AppendUint32(b, s.Every)
	b = be.AppendUint64(b, uint64(s.FeeMax))
	b = append(b, byte(len(s.Script)))
	return append(b, s.Script...)
}

// Total is the sum of a transfer's payments. It reports false when it passes
// MaxAmount or a payment is out of range.
func (t *Transfer) Total() (Amount, bool) {
	var total Amount
	for _, p := range t.Payments {
		if !p.Amount.Valid() {
			return 0, false
		}
		var ok bool
		if total, ok = addAmounts(total, p.Amount); !ok {
			return 0, false
		}
	}
	return total, true
}

// Kind is the kind of the order's body.
func (o *Order) Kind() Kind { return o.Body.Kind() }

func (o *Order) appendUnsigned(b []byte) []byte {
	b = append(b, orderVersion, byte(o.Body.Kind()))
	b = append(b, o.Bank[:]...)
	b = be.AppendUint64(b, uint64(o.Payer))
	b = be.AppendUint64(b, o.Sequence)
	b = append(b, o.Previous[:]...)
	b = be.AppendUint32(b, o.Expiry)
	return o.Body.append(b)
}

// AppendBinary appends the order's canonical bytes, signature included. Call
// it only on orders that Check or DecodeOrder accepted: lengths that a format
// cannot hold are cut short.
func (o *Order) AppendBinary(b []byte) ([]byte, error) {
	return append(o.appendUnsigned(b), o.Signature[:]...), nil
}

// Bytes returns the order's canonical bytes, signature included.
func (o *Order) Bytes() []byte {
	size := orderPrefix + 1 + MaxReference + 2 + 16 + 64
	if t, ok := o.Body.(*Transfer); ok {
		size = orderPrefix + 1 + len(t.Reference) + 2 + 16*len(t.Payments) + 64
	}
	b, _ := o.AppendBinary(make([]byte, 0, size))
	return b
}

// Digest is what the payer signs and what the payer's next order names as its
// Previous: the tagged hash "daobank/order" of the canonical bytes without the
// signature. It identifies the order whichever valid signature it carries.
func (o *Order) Digest() Hash {
	var buf [orderPrefix + 256]byte
	return tagOrder.hash(o.appendUnsigned(buf[:0]))
}

// OrderDigest is the Digest of the order with these canonical bytes, for whoever
// has them already.
func OrderDigest(canonical []byte) Hash { return tagOrder.hash(canonical[:len(canonical)-64]) }

// Sign sets the order's signature.
func (o *Order) Sign(priv *btcec.PrivateKey) error {
	sig, err := sign(priv, o.Digest())
	if err != nil {
		return err
	}
	o.Signature = sig
	return nil
}

// Verify checks the signature against the payer's key. Error: CodeSignature.
func (o *Order) Verify(key Key) error {
	if !key.Verify(o.Digest(), o.Signature) {
		return fail(CodeSignature, "the signature is not by the key of account %s: sign with the key that opened it", o.signer())
	}
	return nil
}

func (o *Order) signer() string {
	if open, ok := o.Body.(*Open); ok {
		return "opened for " + open.Key.String()
	}
	return o.Payer.String()
}

// DecodeOrder reads one order that fills data exactly. It accepts canonical
// bytes only: what it returns encodes to data again. Errors: CodeMalformed,
// CodeOversized.
func DecodeOrder(data []byte) (*Order, error) {
	o, rest, err := DecodeOrderPrefix(data)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, fail(CodeMalformed, "%d bytes follow the order: send each order's canonical bytes and nothing else", len(rest))
	}
	return o, nil
}

// DecodeOrderPrefix reads one order off the front of data and returns what
// follows it, so that orders can be sent one after another.
func DecodeOrderPrefix(data []byte) (o *Order, rest []byte, err error) {
	r := &reader{rest: data}
	version, kind := r.u8(), Kind(r.u8())
	if r.bad {
		return nil, nil, fail(CodeMalformed, "the order is cut short: it has %d bytes", len(data))
	}
	if version != orderVersion {
		return nil, nil, fail(CodeMalformed, "order version %d is not known here: this bank reads version %d", version, orderVersion)
	}
	o = &Order{Bank: r.hash(), Payer: AccountID(r.u64()), Sequence: r.u64(), Previous: r.hash(), Expiry: r.u32()}
	if o.Body, err = decodeBody(kind, r); err != nil {
		return nil, nil, err
	}
	o.Signature = r.signature()
	if r.bad {
		return nil, nil, fail(CodeMalformed, "the %s order is cut short or has a length beyond its limits (%d bytes)", kind, len(data))
	}
	return o, r.rest, nil
}

func decodeBody(kind Kind, r *reader) (Body, error) {
	switch kind {
	case KindOpen:
		return &Open{Key: r.key()}, nil
	case KindTransfer:
		return decodeTransfer(r)
	case KindWithdraw:
		return &Withdraw{Amount: r.amount(), FeeMax: r.amount(), Script: r.short(maxScript)}, nil
	case KindClose:
		return &Close{}, nil
	case KindCancel:
		return &Cancel{Sequence: r.u64()}, nil
	case KindStanding:
		return &Standing{Keep: r.amount(), Every: r.u32(), FeeMax: r.amount(), Script: r.short(maxScript)}, nil
	}
	return nil, fail(CodeMalformed, "entry kind %d is not an order: members send open, transfer, withdraw, close, cancel or standing", kind)
}

func decodeTransfer(r *reader) (Body, error) {
	if len(r.rest) > 0 && r.rest[0] > MaxReference {
		return nil, fail(CodeOversized, "the reference has %d bytes: at most %d fit", r.rest[0], MaxReference)
	}
	t := &Transfer{Reference: r.short(MaxReference)}
	declared := 0
	if len(r.rest) >= 2 && !r.bad {
		declared = int(be.Uint16(r.rest))
	}
	if declared > MaxPayees {
		return nil, fail(CodeOversized, "the transfer has %d payees: send at most %d in one order", declared, MaxPayees)
	}
	n := r.count16(MaxPayees, 16)
	t.Payments = make([]Payment, n)
	for i := range t.Payments {
		t.Payments[i] = Payment{Payee: AccountID(r.u64()), Amount: r.amount()}
	}
	return t, nil
}

// SameOrder reports whether a and b are one instruction, whichever signature
// each carries.
func SameOrder(a, b *Order) bool {
	return bytes.Equal(a.appendUnsigned(nil), b.appendUnsigned(nil))
}
