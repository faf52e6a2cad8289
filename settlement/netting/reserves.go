package netting

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// Reserves are the transactions of a proof of reserves (BIP-127): together they
// spend every coin of the vault, and none of them can ever be mined.
//
// The first input of each spends an output that does not exist: its txid is
// SHA256("Proof-of-Reserves: " || message). A txid is SHA256 of another SHA256, of
// 32 bytes, and what is hashed here is always longer: a transaction with this txid
// would be a collision of SHA-256. The signatures of the other inputs commit to that
// input (BIP-341, SIGHASH_DEFAULT), and to its amount and script as well: 0 satoshis
// and OP_TRUE, which no output of the books has. Should all of that fail, the one
// output pays the vault itself.
type Reserves struct {
	Statement
	Total ledger.Amount
	Parts []ReservesPart
}

// Statement is what the guardians say with their signatures.
type Statement struct {
	Bank   ledger.BankID
	Height uint32      // of the last block of the books
	Block  ledger.Hash // wire byte order
	// Generation of the vault's key is the newest at that block.
	Generation uint32
	Text       string // as the auditor asked for it
}

// ReservesPart is one of the transactions. Input 0 is the commitment; input i+1 spends
// Coins[i].
type ReservesPart struct {
	Tx      *wire.MsgTx
	Spent   []*wire.TxOut // in the order of the inputs
	Coins   []ledger.Coin
	Signers []Signer // of Coins
}

// ReservesCoinsMax is how many coins one of the transactions spends.
const ReservesCoinsMax = 500

// StatementMax is the size in bytes of the longest text.
const StatementMax = 500

// reservesIndex is the change address that the output pays: settlements are counted
// from 1, so that none has it.
const reservesIndex = 0

// ErrNoReserves says that there is nothing to prove.
var ErrNoReserves = errors.New("the vault has no coins")

// CheckStatement refuses a text that an owner could not read before saying yes to it.
func CheckStatement(text string) error {
	switch {
	case text == "" || len(text) > StatementMax:
		return fmt.Errorf("a message of %d bytes: want 1 to %d", len(text), StatementMax)
	case !utf8.ValidString(text):
		return errors.New("the message is not UTF-8")
	case !isPrintable(text):
		return errors.New("the message holds characters that are not printed: want one line of letters, digits, signs and spaces")
	}
	return nil
}

func isPrintable(text string) bool {
	return !slices.ContainsFunc([]rune(text), func(r rune) bool { return !unicode.IsPrint(r) })
}

// Message is the commitment message of BIP-127. It names the bank and the block, so
// that no signature can be shown for another bank or as of another day, and is longer
// than what a txid is the hash of.
func (s *Statement) Message() string {
	return fmt.Sprintf("daobank %s, reserves at block %d %s, key %d: %s", s.Bank, s.Height, chainhash.Hash(s.Block), s.Generation, s.Text)
}

// Commitment is the output that the first input spends, and that does not exist.
func (s *Statement) Commitment() wire.OutPoint {
	return wire.OutPoint{Hash: sha256.Sum256([]byte("Proof-of-Reserves: " + s.Message()))}
}

// commitmentOutput is what the signatures say of that output: BIP-127 takes its amount
// to be 0 and its script to be OP_TRUE.
func commitmentOutput() *wire.TxOut { return wire.NewTxOut(0, []byte{txscript.OP_TRUE}) }

// ReservesOf makes the transactions for the coins of the books, as anyone does who has
// the same books.
func ReservesOf(books *ledger.State, vaults *Vaults, text string) (*Reserves, error) {
	s := Statement{Bank: books.Bank(), Generation: books.Generation(), Text: text}
	s.Height, s.Block = books.Block()
	return NewReserves(s, books.Coins(), vaults.Output)
}

// NewReserves makes the transactions of a statement and coins. They depend on nothing
// else: who signs and who verifies each makes them anew. output derives the vault's
// addresses, as Vaults.Output does. Errors: ErrNoReserves; the text cannot be taken,
// a coin is there twice, or the coins are more than there can be.
func NewReserves(s Statement, coins []ledger.Coin, output func(generation uint32, branch ledger.Branch, index uint32) (taproot.Output, error)) (*Reserves, error) {
	if err := CheckStatement(s.Text); err != nil {
		return nil, err
	}
	if len(coins) == 0 {
		return nil, ErrNoReserves
	}
	coins = slices.SortedFunc(slices.Values(coins), func(a, b ledger.Coin) int { return compareOutPoints(a.OutPoint, b.OutPoint) })
	r := &Reserves{Statement: s}
	for i, c := range coins {
		if i > 0 && c.OutPoint == coins[i-1].OutPoint {
			return nil, fmt.Errorf("coin %s is there twice", c.OutPoint)
		}
		if !c.Amount.Valid() {
			return nil, fmt.Errorf("coin %s of %d sat is not there", c.OutPoint, c.Amount)
		}
		if r.Total += c.Amount; r.Total > ledger.MaxAmount {
			return nil, errors.New("the coins are more than there are")
		}
	}
	to, err := output(s.Generation, ledger.BranchChange, reservesIndex)
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(coins, ReservesCoinsMax) {
		p, err := s.part(part, to.Script, output)
		if err != nil {
			return nil, err
		}
		r.Parts = append(r.Parts, *p)
	}
	return r, nil
}

// part makes the transaction of some coins: version 2, final, without a fee.
func (s *Statement) part(coins []ledger.Coin, to []byte, output func(uint32, ledger.Branch, uint32) (taproot.Output, error)) (*ReservesPart, error) {
	at := s.Commitment()
	p := &ReservesPart{Tx: wire.NewMsgTx(2), Spent: []*wire.TxOut{commitmentOutput()}, Coins: coins}
	p.Tx.AddTxIn(wire.NewTxIn(&at, nil, nil))
	var sum ledger.Amount
	for _, c := range coins {
		own, err := output(c.Generation, c.Branch, c.Index)
		if err != nil {
			return nil, fmt.Errorf("address of coin %s: %w", c.OutPoint, err)
		}
		p.Tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.Hash(c.TxID), Index: c.Vout}, nil, nil))
		p.Spent = append(p.Spent, wire.NewTxOut(int64(c.Amount), own.Script))
		p.Signers = append(p.Signers, Signer{Generation: c.Generation, Output: own})
		sum += c.Amount
	}
	p.Tx.AddTxOut(wire.NewTxOut(int64(sum), to))
	return p, nil
}

// Sighashes returns what is signed for each coin: BIP-341, SIGHASH_DEFAULT.
func (p *ReservesPart) Sighashes() ([][32]byte, error) {
	all, err := taproot.Sighashes(p.Tx, p.Spent)
	if err != nil {
		return nil, err
	}
	return all[1:], nil
}

// Signed is the transaction with a signature for each coin, which are not verified
// here. The commitment stays without one.
func (p *ReservesPart) Signed(signatures []ledger.Signature) (*wire.MsgTx, error) {
	if len(signatures) != len(p.Coins) {
		return nil, fmt.Errorf("%d signatures for %d coins", len(signatures), len(p.Coins))
	}
	tx := p.Tx.Copy()
	for i, sig := range signatures {
		tx.TxIn[i+1].Witness = wire.TxWitness{slices.Clone(sig[:])}
	}
	return tx, nil
}

func compareOutPoints(a, b ledger.OutPoint) int {
	return cmp.Or(bytes.Compare(a.TxID[:], b.TxID[:]), cmp.Compare(a.Vout, b.Vout))
}
