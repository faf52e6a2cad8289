package audit

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes the report for people: a table of the checks, the sums, and
// the verdict in the last line.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "bank\t%s\n\t%s\n", r.Name, r.Bank)
	fmt.Fprintf(t, "books\tbatch %d, block %d\n\thead %s\n", r.Batches, r.Height, r.Head)
	fmt.Fprintf(t, "counted\t%d accounts, %d orders, %d deposits, %d settlements, %d signatures\n",
		r.Accounts, r.Orders, r.Deposits, r.Settlements, r.Signatures)
	fmt.Fprintln(t)
	fmt.Fprintf(t, "check\tcounted\tresult\n")
	for _, c := range r.Checks {
		fmt.Fprintf(t, "%s\t%d\t%s\n", c.Name, c.Counted, c.result())
	}
	fmt.Fprintln(t)
	fmt.Fprintf(t, "sum of wallets\t%d sat\t%s BTC\n", int64(r.LedgerSat), r.LedgerSat.BTC())
	fmt.Fprintf(t, "coins on chain\t%d sat\t%s BTC\n", int64(r.ChainSat), r.ChainSat.BTC())
	if r.OutsideSat != 0 {
		fmt.Fprintf(t, "outside the books\t%d sat\t%s BTC\n", int64(r.OutsideSat), r.OutsideSat.BTC())
	}
	for _, note := range r.Notes {
		fmt.Fprintf(t, "note\t%s\n", note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Verdict())
	return err
}

func (c *Check) result() string {
	switch {
	case c.Differences > 1:
		return fmt.Sprintf("%d DIFFERENCES, the first: %s", c.Differences, c.Difference)
	case !c.OK:
		return "DIFFERENCE: " + c.Difference
	case c.Skipped != "":
		return "not made: " + c.Skipped
	}
	return "ok"
}

// Verdict is the report in a sentence or two. Books of which the members' signatures
// were not verified are not said to hold: anybody could have ordered what is in them.
func (r *Report) Verdict() string {
	switch {
	case r.First != nil:
		return "The books do not hold. First difference: " + r.First.Text
	case !r.Whole():
		return "NOT A WHOLE AUDIT: members' signatures were not verified, so payments that nobody ordered would not have been found. All else agrees: the sum of all wallets equals the coins on chain."
	}
	return "The books hold: the sum of all wallets equals the coins on chain."
}

// Whole reports whether every member's signature up to here was verified.
func (r *Report) Whole() bool { return r.Check(CheckOrders).Skipped == "" }
