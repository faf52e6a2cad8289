package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// writeText prints the figures as tables, and the targets.
func (b *custodyBench) writeText(out io.Writer, targets []benchTarget) error {
	fmt.Fprintf(out, "%s/%s, %d cores, %s. One btcec verification: %.0f µs. Times for one party; × counts verifications.\n\n",
		b.Machine.GOOS, b.Machine.GOARCH, b.Machine.Cores, b.Machine.Go, b.UnitUS)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "scheme\tkey generation\tround 1\tbetween\tsession values\tround 2\taggregate\tverify\tkey gen. bytes\tsigning bytes\tvB\t")
	for _, row := range b.Schemes {
		if row.Not != "" {
			fmt.Fprintf(w, "%s\tnot possible: %s\t\t\t\t\t\t\t\t\t\t\n", row.name(), row.Not)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t\n", row.name(), row.KeyGeneration, row.Round1, row.Prepare,
			row.SessionValues, row.Round2, row.Aggregate, row.Verify, row.KeyGenerationBytes, row.SigningBytes, row.VBytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nA member joins a DAO:")
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "members\taccount and address\tof it: account\taddress\tbesides: member signs\tbank checks\t")
	for _, row := range b.Joining {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t\n", row.Members, row.Join, row.Open, row.Address, row.Sign, row.Check)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, row := range b.Settlement {
		fmt.Fprintf(out, "\nA settlement of %d coins, %d of %d guardians in processes of their own, %s: signed in %.2f s\n",
			row.Inputs, settleThreshold, settleGuardians, row.Guardians, row.Seconds)
	}
	fmt.Fprintln(out, "\nTargets:")
	for _, t := range targets {
		fmt.Fprintln(out, " ", t)
	}
	return nil
}

// String writes a figure for people: the time and its multiple.
func (f benchFigure) String() string {
	if f.Microseconds < 0.5 && f.Verifications < 0.01 {
		return "-"
	}
	return fmt.Sprintf("%s %.1f×", shortTime(f.Microseconds), f.Verifications)
}

// String writes a target with its limit.
func (t benchTarget) String() string {
	verdict, limit, bound := "MISSED", t.AtMost, "at most"
	if t.Met {
		verdict = "met"
	}
	if limit == nil {
		limit, bound = t.AtLeast, "at least"
	}
	return fmt.Sprintf("%-41s %8.2f %s, %s %g: %s", t.Name, t.Value, t.Unit, bound, *limit, verdict)
}

var (
	_ fmt.Stringer = benchFigure{}
	_ fmt.Stringer = benchTarget{}
)
