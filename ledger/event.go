package ledger

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
)

// Event is an entry that no member signs, because anyone can check it: a fact of
// the chain (*Block, *Deposit, *Settled), a *Cut, or a *Rekey. Only this package
// implements it. A *Draw is neither a fact nor a choice: it says that an instruction
// is due. *Reorganised and *Correct mend what a deep reorganisation broke.
type Event interface {
	Kind() Kind
	append(b []byte) []byte
}

// OutPoint names an output of a Bitcoin transaction. TxID is in wire byte order.
type OutPoint struct {
	TxID Hash
	Vout uint32
}

// String returns txid:vout with the txid reversed, as Bitcoin prints it.
func (o OutPoint) String() string {
	id := o.TxID
	slices.Reverse(id[:])
	return fmt.Sprintf("%s:%d", hex.EncodeToString(id[:]), o.Vout)
}

// Branch tells the two kinds of the vault's addresses apart. The numbers are
// the child numbers in the vault's descriptor, <0;1>.
type Branch byte

// The vault's branches.
const (
	BranchDeposit Branch = 0 // child number: the member's account index
	BranchChange  Branch = 1 // child number: the settlement number
)

// Block says that a block reached the charter's depth. The books know the chain
// only through these.
type Block struct {
	Height   uint32
	Hash     Hash
	Previous Hash
}

// Deposit says that an output paying the vault stands in the books' current
// block (or, for a coinbase output, in one that has become spendable). It
// credits the account whose deposit address was paid, or suspense when there is
// none that is open.
type Deposit struct {
	OutPoint   OutPoint
	Amount     Amount
	Generation uint32 // of the vault's key that the address comes of
	Branch     Branch
	Index      uint32 // child number of the address
	Height     uint32 // height of the block that holds it
	TxIndex    uint32 // place of the transaction in its block; 0 is the coinbase
}

// Cut closes the books for one version of a settlement. It is always the last
// entry of its batch and fixes the Bitcoin transaction to the byte: which coins
// it spends, which withdrawals it pays, and what each of them pays to the miner.
//
// The versions of one settlement replace each other until one of them is mined.
// All spend at least one common coin, so no chain holds two of them.
type Cut struct {
	Settlement uint32 // number of the settlement, from 1
	Version    uint16 // of the settlement, from 1; above 1 it replaces the one before
	FeeRate    uint64 // satoshis per 1,000 vbytes
	Fee        Amount // the whole transaction's fee
	Inputs     []OutPoint
	Payouts    []CutPayout
}

// CutPayout names one withdrawal that a cut takes: one that is held, or that a
// version before has taken.
type CutPayout struct {
	Payer    AccountID
	Sequence uint64
	FeeShare Amount // its part of the miner's fee, at most the order's FeeMax
}

// Settled says that a version of the settlement in flight stands in the books'
// current block.
type Settled struct {
	Settlement uint32
	Version    uint16 // the one that was mined
	TxID       Hash   // wire byte order
	ChangeVout uint32 // output that returns change to the vault, or NoChange
}

// Rekey gives the vault a new key: change goes to it from now on, and settlements
// move the coins of the keys before. It is always the last entry of its batch.
//
// The books do not look into Policy, nor do they know the vault's first key; who
// checks a journal verifies the Signature (netting.Vaults).
type Rekey struct {
	Generation uint32    // of the new key, from 1; the key of the founding is 0
	Policy     []byte    // the vault's new policy, as JSON of package taproot without spaces
	Signature  Signature // by the vault's key of the generation before, untweaked
}

// Draw makes a withdrawal of a standing payout that is due: all that its owner has
// available above what is kept and the highest fee. The books know the rest.
type Draw struct{ Payer AccountID }

// Reorganised moves the books to another branch of the chain, after one that they
// had taken in as deep has left it. The difference in coins goes to suspense or
// comes from it, and what suspense lacks from the treasury. When the branch holds a
// version of the settlement in flight, its Settled follows, and the coins are those
// that the chain would have at Height without it.
type Reorganised struct {
	From    uint32 // height of the lowest block of the books that left the chain
	Height  uint32 // of the block that the books go on from, at least their own
	Hash    Hash
	Removed []OutPoint // coins of the books that the chain does not have at Height
	Added   []Added    // coins at Height that the books do not have
	Paid    []OrderRef // held withdrawals that the chain has paid by Height
}

// Added is a coin of the vault that the books had not, or no longer.
type Added struct {
	OutPoint   OutPoint
	Amount     Amount
	Generation uint32
	Branch     Branch
	Index      uint32
	// Deposit says that the books never had it: it is credited as any deposit.
	// Whoever was credited with another coin keeps that, so it goes to suspense.
	Deposit bool
}

// Correct gives from suspense to an account what is its: coins that arrived at a
// wrong address, or a payout that the chain has lost. It names the entry of the
// journal that it corrects.
type Correct struct {
	Account AccountID // of a member, or the treasury
	Amount  Amount
	Batch   uint64 // that holds the entry
	Index   uint32 // of the entry in it
}

// Digest is what the vault's key of the generation before signs: the tagged hash
// "daobank/rekey" of the bank's id, the generation and the policy.
func (e *Rekey) Digest(bank BankID) Hash {
	return tagRekey.hash(bank[:], be.AppendUint32(nil, e.Generation), e.Policy)
}

// NoChange stands for ChangeVout when a settlement has no change.
const NoChange = ^uint32(0)

// Limits of a cut: what a standard transaction can hold with room to spare.
const (
	MaxInputs  = 1500
	MaxPayouts = 2000
	// MaxVersions is the most versions that a settlement can have.
	MaxVersions = 100
)

// MaxReorganised is the most coins that a Reorganised removes or adds, and the most
// withdrawals that it finds paid.
const MaxReorganised = 900

// MaxPolicySize is the size in bytes of the largest policy that a Rekey carries.
const MaxPolicySize = 16 << 10

const (
	eventVersion = 1
	outPointSize = 36
	payoutSize   = 24
	// MaxEventSize is the size in bytes of the largest event.
	MaxEventSize = 2 + 4 + 2 + 8 + 8 + 2 + MaxInputs*outPointSize + 2 + MaxPayouts*payoutSize

	addedSize    = outPointSize + 8 + 4 + 1 + 4 + 1
	orderRefSize = 16
)

func (*Block) Kind() Kind       { return KindBlock }
func (*Deposit) Kind() Kind     { return KindDeposit }
func (*Cut) Kind() Kind         { return KindCut }
func (*Settled) Kind() Kind     { return KindSettled }
func (*Rekey) Kind() Kind       { return KindRekey }
func (*Draw) Kind() Kind        { return KindDraw }
func (*Reorganised) Kind() Kind { return KindReorganised }
func (*Correct) Kind() Kind     { return KindCorrect }

func (o OutPoint) append(b []byte) []byte {
	return be.AppendUint32(append(b, o.TxID[:]...), o.Vout)
}

func (r *reader) outPoint() OutPoint { return OutPoint{TxID: r.hash(), Vout: r.u32()} }

func (e *Block) append(b []byte) []byte {
	b = be.AppendUint32(b, e.Height)
	b = append(b, e.Hash[:]...)
	return append(b, e.Previous[:]...)
}

func (e *Deposit) append(b []byte) []byte {
	b = e.OutPoint.append(b)
	b = be.AppendUint64(b, uint64(e.Amount))
	b = be.AppendUint32(b, e.Generation)
	b = append(b, byte(e.Branch))
	b = be.AppendUint32(b, e.Index)
	b = be.AppendUint32(b, e.Height)
	return be.AppendUint32(b, e.TxIndex)
}

func (e *Cut) append(b []byte) []byte {
	b = be.AppendUint32(b, e.Settlement)
	b = be.AppendUint16(b, e.Version)
	b = be.AppendUint64(b, e.FeeRate)
	b = be.AppendUint64(b, uint64(e.Fee))
	b = be.AppendUint16(b, uint16(len(e.Inputs)))
	for _, in := range e.Inputs {
		b = in.append(b)
	}
	b = be.AppendUint16(b, uint16(len(e.Payouts)))
	for _, p := range e.Payouts {
		b = be.AppendUint64(b, uint64(p.Payer))
		b = be.AppendUint64(b, p.Sequence)
		b = be.AppendUint64(b, uint64(p.FeeShare))
	}
	return b
}

func (e *Settled) append(b []byte) []byte {
	b = be.AppendUint32(b, e.Settlement)
	b = be.AppendUint16(b, e.Version)
	b = append(b, e.TxID[:]...)
	return be.AppendUint32(b, e.ChangeVout)
}

func (e *Rekey) append(b []byte) []byte {
	b = be.AppendUint32(b, e.Generation)
	b = be.AppendUint16(b, uint16(len(e.Policy)))
	b = append(b, e.Policy...)
	return append(b, e.Signature[:]...)
}

func (e *Draw) append(b []byte) []byte { return be.AppendUint64(b, uint64(e.Payer)) }

func (e *Reorganised) append(b []byte) []byte {
	b = be.AppendUint32(be.AppendUint32(b, e.From), e.Height)
	b = append(b, e.Hash[:]...)
	b = be.AppendUint16(b, uint16(len(e.Removed)))
	for _, at := range e.Removed {
		b = at.append(b)
	}
	b = be.AppendUint16(b, uint16(len(e.Added)))
	for i := range e.Added {
		b = e.Added[i].append(b)
	}
	b = be.AppendUint16(b, uint16(len(e.Paid)))
	for _, ref := range e.Paid {
		b = be.AppendUint64(be.AppendUint64(b, uint64(ref.Payer)), ref.Sequence)
	}
	return b
}

func (a *Added) append(b []byte) []byte {
	b = a.OutPoint.append(b)
	b = be.AppendUint64(b, uint64(a.Amount))
	b = be.AppendUint32(b, a.Generation)
	b = append(b, byte(a.Branch))
	b = be.AppendUint32(b, a.Index)
	if a.Deposit {
		return append(b, 1)
	}
	return append(b, 0)
}

func (e *Correct) append(b []byte) []byte {
	b = be.AppendUint64(be.AppendUint64(b, uint64(e.Account)), uint64(e.Amount))
	return be.AppendUint32(be.AppendUint64(b, e.Batch), e.Index)
}

func decodeEvent(kind Kind, r *reader) (Event, error) {
	switch kind {
	case KindBlock:
		return &Block{Height: r.u32(), Hash: r.hash(), Previous: r.hash()}, nil
	case KindDeposit:
		return &Deposit{OutPoint: r.outPoint(), Amount: r.amount(), Generation: r.u32(), Branch: Branch(r.u8()),
			Index: r.u32(), Height: r.u32(), TxIndex: r.u32()}, nil
	case KindCut:
		return decodeCut(r), nil
	case KindSettled:
		return &Settled{Settlement: r.u32(), Version: r.u16(), TxID: r.hash(), ChangeVout: r.u32()}, nil
	case KindRekey:
		return &Rekey{Generation: r.u32(), Policy: bytes.Clone(r.take(r.count16(MaxPolicySize, 1))), Signature: r.signature()}, nil
	case KindDraw:
		return &Draw{Payer: AccountID(r.u64())}, nil
	case KindReorganised:
		return decodeReorganised(r), nil
	case KindCorrect:
		return &Correct{Account: AccountID(r.u64()), Amount: r.amount(), Batch: r.u64(), Index: r.u32()}, nil
	}
	return nil, fail(CodeMalformed, "entry kind %d is not known here", kind)
}

func decodeCut(r *reader) *Cut {
	c := &Cut{Settlement: r.u32(), Version: r.u16(), FeeRate: r.u64(), Fee: r.amount()}
	c.Inputs = make([]OutPoint, r.count16(MaxInputs, outPointSize))
	for i := range c.Inputs {
		c.Inputs[i] = r.outPoint()
	}
	c.Payouts = make([]CutPayout, r.count16(MaxPayouts, payoutSize))
	for i := range c.Payouts {
		c.Payouts[i] = CutPayout{Payer: AccountID(r.u64()), Sequence: r.u64(), FeeShare: r.amount()}
	}
	return c
}

func decodeReorganised(r *reader) *Reorganised {
	e := &Reorganised{From: r.u32(), Height: r.u32(), Hash: r.hash()}
	e.Removed = make([]OutPoint, r.count16(MaxReorganised, outPointSize))
	for i := range e.Removed {
		e.Removed[i] = r.outPoint()
	}
	e.Added = make([]Added, r.count16(MaxReorganised, addedSize))
	for i := range e.Added {
		e.Added[i] = Added{OutPoint: r.outPoint(), Amount: r.amount(), Generation: r.u32(), Branch: Branch(r.u8()), Index: r.u32()}
		flag := r.u8()
		r.require(flag <= 1)
		e.Added[i].Deposit = flag == 1
	}
	e.Paid = make([]OrderRef, r.count16(MaxReorganised, orderRefSize))
	for i := range e.Paid {
		e.Paid[i] = OrderRef{Payer: AccountID(r.u64()), Sequence: r.u64()}
	}
	return e
}
