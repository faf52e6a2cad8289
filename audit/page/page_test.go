package page_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/page"
	"github.com/daobank/daobank/ledger"
)

// story is a bank with members, payments and some settlements.
func story(t *testing.T) *audittest.Bank {
	t.Helper()
	b := audittest.New(t)
	b.Deposit(ledger.Treasury, 100_000)
	var members []*audittest.Member
	for i := range 12 {
		m := b.Open(fmt.Sprintf("member %d", i))
		members = append(members, m)
		b.Deposit(m.ID, ledger.Amount(200_000+50_000*i*i))
	}
	for n := range 4 {
		for i := range 5 * (n + 1) {
			b.Pay(members[i%12], members[(i+5)%12], ledger.Amount(1000*(i+1)))
		}
		b.Withdraw(members[n], 50_000, 1_000, audittest.Script("outside"))
		b.Settle(2_000)
	}
	b.Pay(members[0], members[1], 5)
	return b
}

// data audits a bank, with what change does to the audit before.
func data(t *testing.T, b *audittest.Bank, change func(*audit.Config)) page.Data {
	t.Helper()
	c := audit.Config{Charter: b.Charter, Vault: b.Vault, Journal: b.Journal, Chain: b.Chain}
	if change != nil {
		change(&c)
	}
	a, err := audit.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return page.Data{Report: r, History: a.History(), Holdings: a.Holdings(10), Network: "regtest", Made: time.Unix(1_800_000_000, 0)}
}

func write(t *testing.T, d page.Data) string {
	t.Helper()
	var out bytes.Buffer
	if err := page.Write(&out, d); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The page of an honest bank: figures, drawings, every settlement and every check; no
// account is named unless it is asked for.
func TestPage(t *testing.T) {
	b := story(t)
	d := data(t, b, nil)
	if len(d.History.Settlements) != 4 || len(d.History.Blocks) < 20 {
		t.Fatalf("history %+v", d.History)
	}
	text := write(t, d)
	checkStrictly(t, text)
	want := []string{"The books hold", "Bank of the Audits", ledger.Amount.BTC(d.Report.LedgerSat), d.Report.Head.String(), "no difference",
		"not made: no account table was given", "No. 1", "Largest accounts", "Gini", "payments per output", "Waiting for guardians and for Bitcoin", "this page cannot show it over blocks"}
	for _, s := range d.History.Settlements {
		want = append(want, `href="#`+s.TxID+`"`, `id="`+s.TxID+`"`)
		if s.Outputs != 3 || s.Payouts != 1 || s.PaidSat != 50_000 || s.Transfers != uint64(5*s.Number) || s.MovedSat == 0 {
			t.Errorf("settlement %+v", s)
		}
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
	if strings.Contains(text, "account 27") {
		t.Error("an account is named, and nobody asked for it")
	}
	if strings.Count(text, "<svg") != 4 {
		t.Errorf("%d drawings", strings.Count(text, "<svg"))
	}
	attested := d.Report.Batches - 3
	d.Named, d.Attested, d.Network = true, &attested, "signet"
	for i, b := range d.History.Blocks {
		point := page.AttestedPoint{Height: b.Height, Batch: b.Batch, Covered: b.Batch + uint64(i%3)}
		if i == len(d.History.Blocks)-1 {
			point.Covered = 0
		}
		d.Attesting = append(d.Attesting, point)
	}
	text = write(t, d)
	checkStrictly(t, text)
	if strings.Contains(text, "cannot show it over blocks") {
		t.Error("the page shows what is attested and says that it cannot")
	}
	for _, w := range []string{"account 27", "Not attested yet", `<path class="line attested"`, "as the bank shows", "https://mempool.space/signet/tx/" + d.History.Settlements[0].TxID} {
		if !strings.Contains(text, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}

// A difference is what the page says first, and a name cannot become a part of it.
func TestPageOfADifference(t *testing.T) {
	b := story(t)
	d := data(t, b, func(c *audit.Config) { c.Heads = map[uint64]ledger.Hash{3: {1}} })
	d.Report.Name = `<script>alert(1)</script>"><img src=x onerror=alert(1)>`
	text := write(t, d)
	checkStrictly(t, text)
	if !strings.Contains(text, "The books do not hold. First difference: batch 3 has the header") || strings.Contains(text, "The books hold") {
		t.Error("the page does not say the difference first")
	}
	d.Explorer = `javascript:alert("{txid}")`
	if err := page.Write(io.Discard, d); err == nil {
		t.Error("links may run something")
	}
}

// The page of an audit without members' signatures does not say that the books hold.
func TestPageWithoutSignatures(t *testing.T) {
	text := write(t, data(t, story(t), func(c *audit.Config) { c.WithoutSignatures = true }))
	checkStrictly(t, text)
	if strings.Contains(text, "The books hold") || !strings.Contains(text, `class="verdict partly">NOT A WHOLE AUDIT`) {
		t.Error("the page does not say first what was left out")
	}
}

// A bank without anything, and one with more than can be drawn point by point.
func TestPageOfLittleAndMuch(t *testing.T) {
	checkStrictly(t, write(t, data(t, audittest.New(t), nil)))
	d := data(t, audittest.New(t), nil)
	for i := range 100_000 {
		d.History.Blocks = append(d.History.Blocks, audit.BlockPoint{Height: uint32(i), Batch: uint64(10 * i), OwedSat: ledger.Amount(i) * 1e6, CoinsSat: ledger.Amount(i) * 1e6, Anchored: uint64(10*i - i%10)})
	}
	for i := range 1000 {
		d.History.Settlements = append(d.History.Settlements, audit.SettlementPoint{Number: uint32(i + 1), TxID: fmt.Sprintf("%064x", i), Outputs: 3, Transfers: uint64(i)})
	}
	text := write(t, d)
	checkStrictly(t, text)
	if len(text) > 200_000 || !strings.Contains(text, "950 older ones are not listed") {
		t.Errorf("%d bytes", len(text))
	}
}

// voids are elements without an end.
var voids = []string{"meta", "!doctype"}

// checkStrictly parses the page as it is, not as a browser would mend it: elements are
// closed in order, ids are there once, links to them lead somewhere, nothing is loaded
// and nothing runs.
func checkStrictly(t *testing.T, text string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(text))
	var open []string
	ids, targets := map[string]int{}, map[string]bool{}
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			break
		}
		token := z.Token()
		switch kind {
		case html.StartTagToken:
			if !slices.Contains(voids, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "form", "base"}, token.Data) {
			t.Errorf("the page has a <%s>", token.Data)
		}
		for _, a := range token.Attr {
			switch {
			case a.Key == "id":
				ids[a.Val]++
			case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
				targets[a.Val[1:]] = true
			case a.Key == "href" && token.Data == "a" && !strings.HasPrefix(a.Val, "https://"):
				t.Errorf("a link to %q", a.Val)
			case a.Key == "src" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s> has %s=%q", token.Data, a.Key, a.Val)
			case strings.Contains(a.Val, "NaN") || strings.Contains(a.Val, "Inf"):
				t.Errorf("<%s> has %s=%q", token.Data, a.Key, a.Val)
			}
		}
	}
	if len(open) != 0 {
		t.Errorf("not closed: %v", open)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %q is there %d times", id, n)
		}
	}
	for id := range targets {
		if ids[id] != 1 {
			t.Errorf("a link leads to %q, which is not there", id)
		}
	}
	for _, bad := range []string{"ZgotmplZ", "url(", "@import", "<no value>", "%!"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// In a browser, when there is one: it lays the page out without scripts and without a
// network, wide and narrow, and nothing is wider than the window.
func TestPageInABrowser(t *testing.T) {
	browser := findBrowser()
	if browser == "" {
		t.Log("no Chromium on this machine: the page was parsed strictly, and not laid out")
		return
	}
	file := filepath.Join(t.TempDir(), "index.html")
	d := data(t, story(t), nil)
	for _, b := range d.History.Blocks {
		d.Attesting = append(d.Attesting, page.AttestedPoint{Height: b.Height, Batch: b.Batch, Covered: b.Batch + 1})
	}
	if err := os.WriteFile(file, []byte(write(t, d)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{1280, 600} {
		shot := filepath.Join(t.TempDir(), "page.png")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
			"--user-data-dir="+t.TempDir(), fmt.Sprintf("--window-size=%d,3600", width), "--screenshot="+shot, "file://"+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		checkShot(t, shot, width)
	}
}

func findBrowser() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// checkShot looks at a picture of the page: there is something on it from its head to
// its foot, and its margins are empty, since nothing is wider than the window.
func checkShot(t *testing.T, path string, width int) {
	t.Helper()
	if keep := os.Getenv("DAOBANK_KEEP_SHOTS"); keep != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(keep, fmt.Sprintf("page-%d.png", width)), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	size := picture.Bounds()
	if size.Dx() != width {
		t.Fatalf("the picture is %d wide, want %d", size.Dx(), width)
	}
	paper := picture.At(2, 2)
	inked := func(x0, x1, y0, y1 int) (n int) {
		for y := y0; y < y1; y += 2 {
			for x := x0; x < x1; x += 2 {
				if picture.At(x, y) != paper {
					n++
				}
			}
		}
		return n
	}
	for part := range 8 { // the page fills most of the height
		if from := part * size.Dy() / 16; inked(0, width, from, from+size.Dy()/16) == 0 {
			t.Errorf("%d wide: part %d of the page is empty", width, part)
		}
	}
	if n := inked(0, 14, 0, size.Dy()) + inked(width-14, width, 0, size.Dy()); n != 0 {
		t.Errorf("%d wide: %d points in the margins: something is wider than the window", width, n)
	}
}
