package ledger_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

// The tests' bank. Depth 3 tells a block from the block at which its coinbase
// can be spent; the birth is high enough for that difference to be above zero.
const (
	birthHeight   = 200
	depth         = 3
	withdrawalMin = 1000
)

// privateKey is a key made from a name: the same in every run.
func privateKey(name string) *btcec.PrivateKey {
	seed := sha256.Sum256([]byte("daobank test key " + name))
	priv, _ := btcec.PrivKeyFromBytes(seed[:])
	return priv
}

func hashOf(format string, args ...any) ledger.Hash {
	return sha256.Sum256(fmt.Appendf(nil, format, args...))
}

func testCharter() ledger.Charter {
	return ledger.Charter{
		Name:          "Bank of the Tests",
		Chain:         hashOf("genesis"),
		Operator:      ledger.KeyOf(privateKey("operator")),
		BirthHeight:   birthHeight,
		BirthHash:     hashOf("block %d", birthHeight),
		Depth:         depth,
		WithdrawalMin: withdrawalMin,
	}
}

// bank drives one State the way the clearing engine does, and keeps what it
// sealed so that it can be replayed.
type bank struct {
	testing.TB
	*ledger.State
	pending  [][]byte // entries since the last seal
	batches  []*ledger.Batch
	deposits uint32 // in the current block
}

func newBank(t testing.TB) *bank { return newBankOf(t, testCharter()) }

func newBankOf(t testing.TB, charter ledger.Charter) *bank {
	t.Helper()
	state, err := ledger.NewState(charter)
	if err != nil {
		t.Fatal(err)
	}
	return &bank{TB: t, State: state}
}

// member is somebody with a key and, after opening, an account.
type member struct {
	name string
	key  *btcec.PrivateKey
	id   ledger.AccountID
}

func (b *bank) open(name string) *member {
	b.Helper()
	m := &member{name: name, key: privateKey(name)}
	effects := b.apply(ledger.Entry{Order: b.openOrder(name)})
	m.id = effects.Opened
	return m
}

func (b *bank) openOrder(name string) *ledger.Order {
	b.Helper()
	priv := privateKey(name)
	return signed(b, priv, &ledger.Order{Bank: b.Bank(), Body: &ledger.Open{Key: ledger.KeyOf(priv)}})
}

func signed(t testing.TB, priv *btcec.PrivateKey, o *ledger.Order) *ledger.Order {
	t.Helper()
	if err := o.Sign(priv); err != nil {
		t.Fatal(err)
	}
	return o
}

// next is the order that continues m's chain, not yet signed.
func (b *bank) next(m *member, body ledger.Body) *ledger.Order {
	a, _ := b.Account(m.id)
	return &ledger.Order{Bank: b.Bank(), Payer: m.id, Sequence: a.Sequence + 1, Previous: a.Last, Body: body}
}

func (b *bank) order(m *member, body ledger.Body) ledger.Effects {
	b.Helper()
	return b.apply(ledger.Entry{Order: signed(b, m.key, b.next(m, body))})
}

func (b *bank) event(e ledger.Event) ledger.Effects {
	b.Helper()
	return b.apply(ledger.Entry{Event: e})
}

func (b *bank) apply(e ledger.Entry) ledger.Effects {
	b.Helper()
	effects, err := b.Apply(e)
	if err != nil {
		b.Fatalf("the books refuse a good %s: %v", e.Kind(), err)
	}
	if err := b.CheckInvariants(); err != nil {
		b.Fatalf("after the %s: %v", e.Kind(), err)
	}
	b.pending = append(b.pending, e.Bytes())
	return effects
}

func (b *bank) block() {
	b.Helper()
	height, hash := b.Block()
	b.event(&ledger.Block{Height: height + 1, Hash: hashOf("block %d", height+1), Previous: hash})
	b.deposits = 0
}

// nextDeposit is a deposit that stands behind all others in the current block.
func (b *bank) nextDeposit(id ledger.AccountID, amount ledger.Amount) *ledger.Deposit {
	height, _ := b.Block()
	n := b.deposits + 1
	return &ledger.Deposit{
		OutPoint: ledger.OutPoint{TxID: hashOf("deposit %d/%d", height, n), Vout: 1},
		Amount:   amount, Branch: ledger.BranchDeposit, Index: id.Index(), Height: height, TxIndex: n,
	}
}

func (b *bank) deposit(id ledger.AccountID, amount ledger.Amount) ledger.OutPoint {
	b.Helper()
	d := b.nextDeposit(id, amount)
	b.event(d)
	b.deposits++
	return d.OutPoint
}

// fund mines a block with one deposit of each amount.
func (b *bank) fund(id ledger.AccountID, amounts ...ledger.Amount) (coins []ledger.OutPoint) {
	b.Helper()
	b.block()
	for _, amount := range amounts {
		coins = append(coins, b.deposit(id, amount))
	}
	return coins
}

// seal ends the batch, as the operator does.
func (b *bank) seal() *ledger.Batch {
	b.Helper()
	batch := signBatch(b, b.State, b.pending)
	if err := b.Seal(&batch.Header.Header); err != nil {
		b.Fatal(err)
	}
	b.pending = nil
	b.batches = append(b.batches, batch)
	return batch
}

// signBatch makes the batch of these entries that continues the books.
func signBatch(t testing.TB, s *ledger.State, entries [][]byte) *ledger.Batch {
	t.Helper()
	number := s.Last().Number + 1
	header := s.Next(rootOf(entries), uint32(len(entries)), 1, 1_700_000_000_000+1000*number)
	return &ledger.Batch{Header: signHeader(t, header), Entries: entries}
}

func rootOf(entries [][]byte) ledger.Hash {
	leaves := make([]ledger.Hash, len(entries))
	for i, entry := range entries {
		leaves[i] = ledger.EntryLeaf(entry)
	}
	return ledger.MerkleRoot(leaves)
}

func signHeader(t testing.TB, h ledger.Header) ledger.SignedHeader {
	t.Helper()
	signed, err := h.Sign(privateKey("operator"))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// refuse asserts that the books refuse an entry with a code and a sentence,
// and that not one field of them changed.
func (b *bank) refuse(e ledger.Entry, want ledger.Code) {
	b.Helper()
	before := b.Fingerprint()
	effects, err := b.Apply(e)
	if got := ledger.CodeOf(err); got != want {
		b.Fatalf("got code %q (%v), want %q", got, err, want)
	}
	var refusal *ledger.Error
	if !errors.As(err, &refusal) || !errors.Is(err, &ledger.Error{Code: want}) || len(refusal.Message) < 20 {
		b.Errorf("a refusal is an *Error with a sentence, got %#v", err)
	}
	if len(effects.Postings) != 0 || effects.Opened != 0 {
		b.Errorf("a refused entry had the effects %+v", effects)
	}
	if after := b.Fingerprint(); after != before {
		b.Errorf("a refused entry changed the books\nbefore %s\nafter  %s", before, after)
	}
	if e.Order != nil {
		if may := b.CanApplyOrder(e.Order); ledger.CodeOf(may) != want {
			b.Errorf("CanApplyOrder says %v, ApplyOrder says %v", may, err)
		}
	}
}

// balances asserts what the named accounts hold, and what is available.
type wantBalance struct {
	id                 ledger.AccountID
	balance, available ledger.Amount
}

func (b *bank) expect(step string, want ...wantBalance) {
	b.Helper()
	for _, w := range want {
		a, ok := b.Account(w.id)
		if !ok || a.Balance != w.balance || a.Available() != w.available {
			b.Errorf("%s: account %s has %d sat, %d sat available; want %d and %d",
				step, w.id, a.Balance, a.Available(), w.balance, w.available)
		}
		if b.Balance(w.id) != a.Balance {
			b.Errorf("%s: Balance(%s) is %v, Account says %v", step, w.id, b.Balance(w.id), a.Balance)
		}
	}
}

// Payout scripts of the five standard forms; the bytes between are arbitrary.
var (
	scriptP2PKH  = concat([]byte{0x76, 0xa9, 20}, make([]byte, 20), []byte{0x88, 0xac})
	scriptP2SH   = concat([]byte{0xa9, 20}, make([]byte, 20), []byte{0x87})
	scriptP2WPKH = concat([]byte{0x00, 20}, make([]byte, 20))
	scriptP2WSH  = concat([]byte{0x00, 32}, make([]byte, 32))
	scriptP2TR   = concat([]byte{0x51, 32}, make([]byte, 32))
)

func pay(payee ledger.AccountID, amount ledger.Amount) *ledger.Transfer {
	return &ledger.Transfer{Payments: []ledger.Payment{{Payee: payee, Amount: amount}}}
}

func withdraw(amount, feeMax ledger.Amount) *ledger.Withdraw {
	return &ledger.Withdraw{Amount: amount, FeeMax: feeMax, Script: scriptP2WPKH}
}
