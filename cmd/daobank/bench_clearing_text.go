package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// writeText prints the runs as a table, and the targets.
func (b *clearingBench) writeText(out io.Writer, targets []benchTarget) error {
	fmt.Fprintf(out, "%s/%s, %d cores, %s; %s\n\n", b.Machine.GOOS, b.Machine.GOARCH, b.Machine.Cores, b.Machine.Go, b.Postgres)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "run\taccounts\ttransfers/s\tp50 ms\tp99 ms\tverify/s\tbtcec/s\tCOPY/s\tceiling/s\tratio\tµs each\tµs later\tacknowledged\tfound\tMB\t")
	for _, r := range b.Runs {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.1f\t%.1f\t%d\t%d\t%d\t\n", r.Name, r.Accounts, r.PerSecond, r.P50, r.P99,
			r.Verify, r.BtcecVerify, r.Copy, r.Ceiling, r.Ratio, r.cost(), r.Deferred, r.Acknowledged, r.Found, r.RSS>>20)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if b.options.All {
		fmt.Fprintf(out, "\nA lone payment: p50 %.1f ms, p99 %.1f ms. At a quarter of the peak: p50 %.1f ms, p99 %.1f ms.\n",
			b.Lone.P50, b.Lone.P99, b.Quarter.P50, b.Quarter.P99)
	}
	fmt.Fprintln(out, "\nTargets:")
	for _, t := range targets {
		fmt.Fprintln(out, " ", t)
	}
	return nil
}

// The table of the document stands between these marks.
const (
	tableBegins = "<!-- daobank bench clearing: begin -->\n"
	tableEnds   = "<!-- daobank bench clearing: end -->\n"
)

// writeMarkdown replaces what stands between the marks of a document.
func (b *clearingBench) writeMarkdown(path string, targets []benchTarget) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, begins := bytes.Cut(text, []byte(tableBegins))
	_, tail, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table: put the two lines %q and %q there", path, tableBegins, tableEnds)
	}
	var out bytes.Buffer
	out.Write(head)
	out.WriteString(tableBegins)
	b.markdown(&out, targets)
	out.WriteString(tableEnds)
	out.Write(tail)
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func (b *clearingBench) markdown(out io.Writer, targets []benchTarget) {
	fmt.Fprintf(out, "%d cores, %s/%s, %s, %s.\n\n", b.Machine.Cores, b.Machine.GOOS, b.Machine.GOARCH, b.Machine.Go, b.Postgres)
	fmt.Fprint(out, "| target | measured | limit | met |\n| --- | --- | --- | --- |\n")
	for _, t := range targets {
		limit, bound, met := t.AtLeast, "at least", "no"
		if limit == nil {
			limit, bound = t.AtMost, "at most"
		}
		if t.Met {
			met = "yes"
		}
		fmt.Fprintf(out, "| `%s` | %s %s | %s %s | %s |\n", t.Name, plainNumber(t.Value), t.Unit, bound, plainNumber(*limit), met)
	}
	fmt.Fprint(out, "\n| run | accounts | transfers/s | p50 ms | p99 ms | verify/s | btcec/s | COPY/s | ceiling/s | ratio | µs each | µs later | acknowledged | found |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range b.Runs {
		fmt.Fprintf(out, "| %s | %d | %.0f | %.1f | %.1f | %.0f | %.0f | %.0f | %.0f | %.2f | %.1f | %.1f | %d | %d |\n", r.Name, r.Accounts, r.PerSecond,
			r.P50, r.P99, r.Verify, r.BtcecVerify, r.Copy, r.Ceiling, r.Ratio, r.cost(), r.Deferred, r.Acknowledged, r.Found)
	}
	fmt.Fprint(out, "\n| offered/s | answered/s | p50 ms | p99 ms |\n| --- | --- | --- | --- |\n")
	for _, o := range b.Offered {
		fmt.Fprintf(out, "| %.0f | %.0f | %.1f | %.1f |\n", o.Offered, o.Answered, o.P50, o.P99)
	}
}

// plainNumber has no more places than the figure is worth.
func plainNumber(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
