package audit

import (
	"fmt"
	"slices"

	"github.com/daobank/daobank/ledger"
)

// Report is the result of an audit. Its JSON is stable.
type Report struct {
	Name string        `json:"name"`
	Bank ledger.BankID `json:"bank"`

	OK    bool        `json:"ok"`              // every check that could be made holds
	First *Difference `json:"first,omitempty"` // the first difference, if any

	// The books stand after batch Batches, whose header has the hash Head, at
	// the block Height.
	Batches uint64      `json:"batches"`
	Head    ledger.Hash `json:"head"`
	Height  uint32      `json:"height"`
	Block   string      `json:"block"` // hash, as Bitcoin prints it

	Accounts    uint64 `json:"accounts"` // members'
	Orders      uint64 `json:"orders"`
	Signatures  uint64 `json:"signatures"` // of members and of the operator
	Deposits    uint64 `json:"deposits"`
	Settlements uint64 `json:"settlements"` // posted at depth

	LedgerSat ledger.Amount `json:"ledger_sat"` // sum of all accounts but the vault's
	ChainSat  ledger.Amount `json:"chain_sat"`  // coins of the vault at that block
	Equal     bool          `json:"equal"`      // both, and the vault's account
	// OutsideSat are coins at the vault's addresses that the books rightly do
	// not claim. Only a scan of the node's unspent outputs sees them.
	OutsideSat ledger.Amount `json:"outside_sat"`
	// BlocksLeft are blocks of the books that have left the chain since; the journal
	// goes on from another branch. What was in one that the node has not kept stays
	// unchecked; the coins are those of the branch.
	BlocksLeft uint64 `json:"blocks_left"`

	Checks []Check `json:"checks"`
	// Notes are what a reader should know besides.
	Notes []string `json:"notes,omitempty"`
}

// The names of the checks.
const (
	CheckJournal     = "journal"
	CheckOrders      = "orders"
	CheckChain       = "chain"
	CheckKeys        = "keys"
	CheckSettlements = "settlements"
	CheckSpends      = "spends"
	CheckBalances    = "balances"
	CheckCoins       = "coins"
	CheckScan        = "scan"
	CheckSum         = "sum"
)

// checkNames is the order in which a Report lists them.
var checkNames = []string{CheckJournal, CheckOrders, CheckChain, CheckKeys, CheckSettlements,
	CheckSpends, CheckBalances, CheckCoins, CheckScan, CheckSum}

// Check is one row of a Report.
type Check struct {
	Name    string `json:"name"`
	Counted uint64 `json:"counted"` // what was compared: batches, orders, coins…
	OK      bool   `json:"ok"`      // no difference
	// Skipped says why the check was not made, or not to the end.
	Skipped string `json:"skipped,omitempty"`
	// Differences is how many were found; Difference is the first of them.
	Differences uint64 `json:"differences"`
	Difference  string `json:"difference,omitempty"`
}

// Difference says where the bank and the proof part.
type Difference struct {
	Check    string `json:"check"`
	Batch    uint64 `json:"batch,omitempty"`
	Entry    *int   `json:"entry,omitempty"` // index in the batch
	Height   uint32 `json:"height,omitempty"`
	OutPoint string `json:"outpoint,omitempty"`
	Account  string `json:"account,omitempty"`
	// Headers are the operator's signed headers that prove it, in hex.
	Headers []string `json:"headers,omitempty"`
	Text    string   `json:"text"` // one sentence, place included
}

func newReport(charter *ledger.Charter) *Report {
	r := &Report{Name: charter.Name, Bank: charter.ID(), OK: true}
	for _, name := range checkNames {
		r.Checks = append(r.Checks, Check{Name: name, OK: true})
	}
	return r
}

func (r *Report) clone() *Report {
	c := *r
	c.Checks = slices.Clone(r.Checks)
	return &c
}

// Check returns the row of a name; it is nil for a name that is none.
func (r *Report) Check(name string) *Check {
	i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Checks[i]
}

// differ records a difference.
func (r *Report) differ(d Difference) {
	c := r.Check(d.Check)
	c.OK = false
	if c.Differences++; c.Differences == 1 {
		c.Difference = d.Text
	}
	if r.OK = false; r.First == nil {
		r.First = &d
	}
}

func (r *Report) count(name string, n int) { r.Check(name).Counted += uint64(n) }

func (r *Report) skip(name, format string, args ...any) {
	r.Check(name).Skipped = fmt.Sprintf(format, args...)
}
