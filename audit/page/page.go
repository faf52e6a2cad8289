// Package page draws an audit as one HTML page: coins and liabilities over blocks, what
// is anchored and what is not yet, the settlements, how money is spread, and the checks
// with their outcome. The page is one file that loads nothing, runs no script and can
// be read, printed and kept without the program that wrote it. It says what an
// audit.Report says and checks nothing itself.
package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/ledger"
)

// Data is what a page shows.
type Data struct {
	Report   *audit.Report
	History  *audit.History
	Holdings audit.Holdings
	// Network is the name of the Bitcoin network; it decides where txids link to.
	Network string
	// Explorer is where a txid is looked at, with {txid} in it; empty for a well-known
	// one of the network, or none on regtest.
	Explorer string
	// Attested is the last batch that enough guardians have attested, as the bank says;
	// nil when nobody said it.
	Attested *uint64
	// Attesting is how far they had come at some of the blocks, ascending; empty when
	// nobody said it.
	Attesting []AttestedPoint
	// Named shows account numbers beside the largest holdings.
	Named bool
	Made  time.Time
}

// AttestedPoint says that as many guardians as must sign had attested the batch that
// stood at a block by the time when the journal had another.
type AttestedPoint struct {
	Height  uint32
	Batch   uint64
	Covered uint64 // at least Batch; 0 when they have not yet
}

//go:embed page.html
var text string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"sat": sat, "btc": ledger.Amount.BTC, "count": count[uint64], "whole": func(n any) string { return grouped(fmt.Sprint(n)) }, "short": short, "percent": percent,
}).Parse(text))

// settlementsMost is how many settlements the table lists, the newest first.
const settlementsMost = 50

// view is what the template sees.
type view struct {
	Data
	Outcome     string
	Coins, Lag  *chart
	Netting     *chart
	Spread      *chart
	Settlements []settlementRow
	More        int // settlements that are not listed
	Unanchored  uint64
	Unattested  uint64
	Transfers   uint64
	Paid        ledger.Amount
	Top         []topRow
	Shares      []shareRow
	Skipped     int // checks
}

type settlementRow struct {
	audit.SettlementPoint
	Link  string
	Ratio string
}

type topRow struct {
	Name   string
	Amount ledger.Amount
	Share  float64
}

type shareRow struct {
	Who   string
	Share float64
}

// Write writes the page. Error: the writer's, or an Explorer that is no web address.
func Write(w io.Writer, d Data) error {
	if d.Explorer != "" && !strings.HasPrefix(d.Explorer, "https://") && !strings.HasPrefix(d.Explorer, "http://") {
		return fmt.Errorf("the explorer %q is no web address: write https://…/{txid}", d.Explorer)
	}
	v := view{Data: d, Outcome: "holds"}
	switch {
	case !d.Report.OK:
		v.Outcome = "differs"
	case !d.Report.Whole():
		v.Outcome = "partly"
	}
	for i := range d.Report.Checks {
		if d.Report.Checks[i].OK && d.Report.Checks[i].Skipped != "" {
			v.Skipped++
		}
	}
	v.Coins, v.Lag = coinsChart(d.History), lagChart(&d)
	v.Netting, v.Spread = nettingChart(d.History), spreadChart(&d.Holdings)
	v.addSettlements()
	v.addHoldings()
	return page.Execute(w, &v)
}

func (v *view) addSettlements() {
	all := v.History.Settlements
	var anchored uint64
	for i := range slices.Backward(all) {
		s := &all[i]
		v.Transfers, v.Paid = v.Transfers+s.Transfers, v.Paid+s.PaidSat
		anchored = max(anchored, s.Batch)
		if len(v.Settlements) < settlementsMost {
			v.Settlements = append(v.Settlements, settlementRow{*s, v.link(s.TxID), fmt.Sprintf("%.1f", s.NettingRatio())})
		}
	}
	v.More = len(all) - len(v.Settlements)
	v.Unanchored = v.Report.Batches - anchored
	if v.Attested != nil {
		v.Unattested = v.Report.Batches - min(*v.Attested, v.Report.Batches)
	}
}

// explorers are where txids of public networks are commonly looked at.
var explorers = map[string]string{
	"mainnet": "https://mempool.space/tx/{txid}",
	"testnet": "https://mempool.space/testnet/tx/{txid}",
	"signet":  "https://mempool.space/signet/tx/{txid}",
}

// link is where a transaction can be looked at: its own row when there is no place.
func (v *view) link(txid string) string {
	at := v.Explorer
	if at == "" {
		at = explorers[v.Network]
	}
	if at == "" {
		return "#" + txid
	}
	return strings.ReplaceAll(at, "{txid}", txid)
}

func (v *view) addHoldings() {
	h := &v.Holdings
	for i, l := range h.Largest {
		name := fmt.Sprintf("No. %d", i+1)
		if v.Named {
			name = "account " + l.Account.String()
		}
		v.Top = append(v.Top, topRow{name, l.Amount, float64(l.Amount) / float64(h.Total)})
	}
	if h.Lorenz == nil {
		return
	}
	for _, most := range []int{1, 10, 50} {
		if h.Accounts*most >= 100 { // at least one account
			v.Shares = append(v.Shares, shareRow{fmt.Sprintf("the richest %d %%", most), 1 - h.Lorenz[len(h.Lorenz)-1-most]})
		}
	}
}

// count writes a number with its thousands apart.
func count[N ~int64 | ~uint64](n N) string { return grouped(fmt.Sprint(n)) }

func grouped(text string) string {
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	var parts []string
	for len(text) > 3 {
		parts = append([]string{text[len(text)-3:]}, parts...)
		text = text[:len(text)-3]
	}
	return sign + strings.Join(append([]string{text}, parts...), "\u202f") // a narrow space that does not break
}

func sat(a ledger.Amount) string { return count(int64(a)) }

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// short is the beginning and end of a long hash.
func short(hash string) string {
	if len(hash) < 20 {
		return hash
	}
	return hash[:8] + "…" + hash[len(hash)-8:]
}
