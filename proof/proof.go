package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Kind says what a proof proves. It stands in the file and never changes its meaning.
type Kind string

// The kinds of proofs.
const (
	KindReceipt      Kind = "receipt"      // an order was accepted
	KindPayment      Kind = "payment"      // an accepted order is in an anchored journal
	KindBalance      Kind = "balance"      // a balance is part of an anchored total
	KindCoins        Kind = "coins"        // an anchored total was at most the vault's coins
	KindConsistency  Kind = "consistency"  // one anchored journal is the beginning of another
	KindOmission     Kind = "omission"     // an anchored journal lacks an order that was accepted
	KindEquivocation Kind = "equivocation" // the operator signed two headers of one number
	KindDoubleOrder  Kind = "double-order" // a member signed two orders of one number
	KindSpend        Kind = "stray-spend"  // the vault's key signed what is no settlement
	KindReserves     Kind = "reserves"     // the guardians signed a message with the vault's coins
)

// Body is what is proved, without the bank. Only this package implements it.
type Body interface {
	Kind() Kind
	verify(c *check) error
}

// bodies makes an empty body of each kind, to be read from a file.
var bodies = map[Kind]func() Body{
	KindReceipt:      func() Body { return &Receipt{} },
	KindPayment:      func() Body { return &Payment{} },
	KindBalance:      func() Body { return &Balance{} },
	KindCoins:        func() Body { return &Coins{} },
	KindConsistency:  func() Body { return &Consistency{} },
	KindOmission:     func() Body { return &Omission{} },
	KindEquivocation: func() Body { return &Equivocation{} },
	KindDoubleOrder:  func() Body { return &DoubleOrder{} },
	KindSpend:        func() Body { return &StraySpend{} },
	KindReserves:     func() Body { return &Reserves{} },
}

// Proof is a proof about one bank.
type Proof struct {
	Charter ledger.Charter
	Body    Body
}

// Version of the files.
const Version = 1

// MaxSize is the size in bytes of the largest file that is read. The settlement's
// transaction, of at most 100 KB, and the transactions of coins are nearly all of
// what is ever large.
const MaxSize = 16 << 20

type file struct {
	Version int             `json:"daobank_proof"`
	Kind    Kind            `json:"kind"`
	Charter ledger.Charter  `json:"charter"`
	Body    json.RawMessage `json:"body"`
}

// Encode writes a proof as a file's content: one line of JSON.
func (p *Proof) Encode() ([]byte, error) {
	body, err := json.Marshal(p.Body)
	if err != nil {
		return nil, fmt.Errorf("encode a proof: %w", err)
	}
	text, err := json.Marshal(file{Version: Version, Kind: p.Body.Kind(), Charter: p.Charter, Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode a proof: %w", err)
	}
	return append(text, '\n'), nil
}

// ErrNotProof says that a file is none that this package has written.
var ErrNotProof = errors.New("this is not a proof")

// Decode reads a file's content. It verifies nothing. Error: ErrNotProof.
func Decode(data []byte) (*Proof, error) {
	bad := func(err error) error { return fmt.Errorf("%w: %w", ErrNotProof, err) }
	if len(data) > MaxSize {
		return nil, bad(fmt.Errorf("it has more than %d bytes", MaxSize))
	}
	var f file
	if err := decodeStrictly(data, &f); err != nil {
		return nil, bad(err)
	}
	if f.Version != Version {
		return nil, bad(fmt.Errorf("it has version %d; this program reads version %d", f.Version, Version))
	}
	empty, known := bodies[f.Kind]
	if !known {
		return nil, bad(fmt.Errorf("its kind %.40q is not known here", string(f.Kind)))
	}
	if err := f.Charter.Validate(); err != nil {
		return nil, bad(err)
	}
	if len(f.Body) == 0 || f.Body[0] != '{' {
		return nil, bad(errors.New("it has no body"))
	}
	p := &Proof{Charter: f.Charter, Body: empty()}
	if err := decodeStrictly(f.Body, p.Body); err != nil {
		return nil, bad(fmt.Errorf("its body: %w", err))
	}
	return p, nil
}

func decodeStrictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

// Trust is all that a proof is verified against: what the verifier knows without
// the file.
type Trust struct {
	// Bank is the id of the bank that is meant. A proof of any other is refused.
	Bank ledger.BankID
	// Vaults are the vault's policies, by generation of its key, as the bank's
	// public file has them. Proofs that speak of a Bitcoin transaction need them.
	Vaults []*taproot.Vault
	// Chain are the block headers. Proofs that speak of a block need them.
	Chain *Chain
	// Unspent is what a node says of the coins of a proof of reserves; nil when none was
	// asked.
	Unspent *Unspent
}

// InvalidError says that a file proves nothing, and the first thing that is wrong.
type InvalidError struct {
	Kind   Kind
	Reason string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("this %s proves nothing: %s", e.Kind, e.Reason)
}

// NeedError says that the verifier has to bring more to judge the file. It says
// nothing for or against the proof.
type NeedError struct {
	Kind Kind
	What string
}

func (e *NeedError) Error() string {
	return fmt.Sprintf("this %s cannot be judged yet: %s", e.Kind, e.What)
}

// Finding is what a proof proves, and no more.
type Finding struct {
	Kind     Kind          `json:"kind"`
	Bank     ledger.BankID `json:"bank"`
	BankName string        `json:"bank_name"`
	// Proves is what holds, in a sentence or two; Against is whom it accuses, empty
	// when it accuses nobody; NotProved is what must not be read into it.
	Proves    string   `json:"proves"`
	Against   string   `json:"against,omitempty"`
	NotProved []string `json:"not_proved"`
	// Anchors are the Bitcoin transactions that it rests on.
	Anchors []Anchored `json:"anchors,omitempty"`
}

// Anchored is a Bitcoin transaction of the vault in a block.
type Anchored struct {
	Settlement    uint32        `json:"settlement,omitempty"`
	TxID          string        `json:"txid"`
	Block         string        `json:"block"`
	Height        uint32        `json:"height,omitempty"`        // 0 when only the block's hash is trusted
	Confirmations uint32        `json:"confirmations,omitempty"` // in the headers that were given
	Batch         uint64        `json:"batch,omitempty"`         // last of the journal that is anchored
	Total         ledger.Amount `json:"total_sat,omitempty"`     // that the bank owed
}

// Verify checks a proof offline. Errors: *InvalidError, *NeedError.
func (p *Proof) Verify(t Trust) (*Finding, error) {
	c := &check{Trust: t, charter: &p.Charter, bank: p.Charter.ID(), kind: p.Body.Kind()}
	if c.bank != t.Bank {
		return nil, c.invalid("it is of the bank %q with the id %s, not of %s", p.Charter.Name, c.bank, t.Bank)
	}
	c.found = Finding{Kind: c.kind, Bank: c.bank, BankName: p.Charter.Name}
	if err := p.Body.verify(c); err != nil {
		return nil, err
	}
	return &c.found, nil
}

// A check is one run of Verify.
type check struct {
	Trust
	charter *ledger.Charter
	bank    ledger.BankID
	kind    Kind
	found   Finding
}

func (c *check) invalid(format string, args ...any) error {
	return &InvalidError{Kind: c.kind, Reason: fmt.Sprintf(format, args...)}
}

func (c *check) need(format string, args ...any) error {
	return &NeedError{Kind: c.kind, What: fmt.Sprintf(format, args...)}
}

func (c *check) proves(format string, args ...any) { c.found.Proves = fmt.Sprintf(format, args...) }

func (c *check) doesNotProve(list ...string) { c.found.NotProved = append(c.found.NotProved, list...) }

// account writes an account as people do.
func (c *check) account(id ledger.AccountID) string {
	if id.IsMember() {
		return ledger.FormatAccount(c.bank, id)
	}
	return id.String()
}
