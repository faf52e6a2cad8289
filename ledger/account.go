package ledger

import (
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/bech32"
)

// AccountID names an account: the clearing shard in the upper 32 bits, the
// account's index within the shard in the lower 32. Members' accounts are
// numbered from FirstMember in the order in which they were opened; the index
// is also the child number of the account's deposit address, so it stays below
// the hardened range of BIP-32.
type AccountID uint64

// The bank's own accounts. Vault is the asset: its balance is minus the coins.
// All others are what the bank owes, and never go below zero.
const (
	Vault              AccountID = 1 // the coins on chain
	Treasury           AccountID = 2 // the bank's own money; pays for inputs, anchor and change
	WithdrawalsPending AccountID = 3 // taken by a cut, not yet settled at depth
	MinerFees          AccountID = 4 // fees of the settlement in flight
	Suspense           AccountID = 5 // coins that arrived for nobody, corrections

	// FirstMember is the first number that a member's account can have.
	FirstMember AccountID = 16
)

// MaxAccounts bounds the accounts of one shard (BIP-32 child numbers).
const MaxAccounts = 1 << 31

// Index is the account's number within its shard.
func (id AccountID) Index() uint32 { return uint32(id) }

// Shard is the clearing shard that owns the account.
func (id AccountID) Shard() uint32 { return uint32(id >> 32) }

// IsMember reports whether the number is in the members' range.
func (id AccountID) IsMember() bool { return id.Index() >= uint32(FirstMember) }

// String returns the number in decimal, or the name of a system account.
func (id AccountID) String() string {
	switch id {
	case Vault:
		return "vault"
	case Treasury:
		return "treasury"
	case WithdrawalsPending:
		return "withdrawals-pending"
	case MinerFees:
		return "miner-fees"
	case Suspense:
		return "suspense"
	}
	return fmt.Sprint(uint64(id))
}

// accountHRP is the human-readable part of account addresses.
const accountHRP = "dao"

// FormatAccount writes an account for people: bech32m of the first four bytes
// of the bank's id and the number, so that a mistyped account and an account of
// another bank are both caught before anything is signed.
func FormatAccount(bank BankID, id AccountID) string {
	var data [12]byte
	copy(data[:4], bank[:4])
	binary.BigEndian.PutUint64(data[4:], uint64(id))
	words, err := bech32.ConvertBits(data[:], 8, 5, true)
	if err != nil {
		panic("ledger: 12 bytes do not convert to 5-bit words: " + err.Error())
	}
	text, err := bech32.EncodeM(accountHRP, words)
	if err != nil {
		panic("ledger: bech32m refuses its own words: " + err.Error())
	}
	return text
}

// ParseAccount reads what FormatAccount wrote. Errors: CodeMalformed for a
// mistyped address, CodeWrongBank for an account of another bank.
func ParseAccount(bank BankID, text string) (AccountID, error) {
	if len(text) > 90 {
		return 0, fail(CodeMalformed, "this is not an account: accounts begin with dao1 and have 30 characters")
	}
	hrp, words, version, err := bech32.DecodeGeneric(text)
	if err != nil || hrp != accountHRP || version != bech32.VersionM {
		return 0, fail(CodeMalformed, "%q is not an account: check it for a typing error (accounts begin with dao1)", text)
	}
	data, err := bech32.ConvertBits(words, 5, 8, false)
	if err != nil || len(data) != 12 {
		return 0, fail(CodeMalformed, "%q is not an account: check it for a typing error (accounts begin with dao1)", text)
	}
	if [4]byte(data[:4]) != [4]byte(bank[:4]) {
		return 0, fail(CodeWrongBank, "the account %s belongs to another bank: ask the payee for an account at this one", text)
	}
	return AccountID(binary.BigEndian.Uint64(data[4:])), nil
}
