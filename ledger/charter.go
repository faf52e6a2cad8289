package ledger

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// BankID names a bank: the tagged hash of its charter. Every signature made
// for a bank covers it, so nothing signed for one bank means anything at
// another.
type BankID = Hash

// Charter is what a bank is from its first day and can never change: whose
// signature orders its payments, which chain it settles on, and the depths at
// which it believes that chain. It is public.
type Charter struct {
	// Name is for people, 1 to 64 bytes of UTF-8.
	Name string `json:"name"`
	// Chain is the hash of the chain's genesis block, in wire byte order.
	Chain Hash `json:"chain"`
	// Operator is the x-only key that signs batch headers.
	Operator Key `json:"operator"`
	// BirthHeight and BirthHash name the block after which the books begin.
	// Coins paid to the vault before it are not the bank's.
	BirthHeight uint32 `json:"birth_height"`
	BirthHash   Hash   `json:"birth_hash"`
	// Depth is the number of confirmations at which a deposit is credited and
	// a settlement posted; 1 is the block itself. A reorganisation shallower
	// than it changes nothing in the books.
	Depth uint32 `json:"depth"`
	// WithdrawalMin is the smallest withdrawal in satoshis. It is at least 546,
	// Bitcoin Core's dust limit for the largest of the payout scripts.
	WithdrawalMin Amount `json:"withdrawal_min_sat"`
}

const (
	charterVersion = 1
	largestDust    = 546
	maxCharterName = 64
	// CoinbaseDepth is the number of confirmations after which consensus lets
	// a coinbase output be spent (COINBASE_MATURITY).
	CoinbaseDepth = 100
)

// Validate reports the first thing that makes the charter unusable.
func (c *Charter) Validate() error {
	switch {
	case len(c.Name) == 0 || len(c.Name) > maxCharterName:
		return fmt.Errorf("charter: the name has %d bytes, want 1 to %d", len(c.Name), maxCharterName)
	case !utf8.ValidString(c.Name):
		return fmt.Errorf("charter: the name is not UTF-8")
	case c.Chain.IsZero():
		return fmt.Errorf("charter: the chain's genesis hash is missing")
	case c.Depth < 1 || c.Depth > CoinbaseDepth:
		return fmt.Errorf("charter: depth %d, want 1 to %d confirmations", c.Depth, CoinbaseDepth)
	case c.WithdrawalMin < largestDust || c.WithdrawalMin > MaxAmount:
		return fmt.Errorf("charter: smallest withdrawal %d sat, want at least %d (the largest dust limit)", c.WithdrawalMin, largestDust)
	}
	if err := c.Operator.Validate(); err != nil {
		return fmt.Errorf("charter: operator: %w", err)
	}
	return nil
}

// ID returns the bank's id: the tagged hash "daobank/charter" of the charter's
// canonical bytes (docs/formats.md).
func (c *Charter) ID() BankID {
	b := []byte{charterVersion, byte(len(c.Name))}
	b = append(b, c.Name...)
	b = append(b, c.Chain[:]...)
	b = append(b, c.Operator[:]...)
	b = binary.BigEndian.AppendUint32(b, c.BirthHeight)
	b = append(b, c.BirthHash[:]...)
	b = binary.BigEndian.AppendUint32(b, c.Depth)
	b = binary.BigEndian.AppendUint64(b, uint64(c.WithdrawalMin))
	return tagCharter.hash(b)
}
