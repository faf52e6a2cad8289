package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// A story is a bank with some history, and the auditor's view of it, which a
// test may tamper with.
type story struct {
	*audittest.Bank
	ann, bob *audittest.Member
	journal  *audittest.Journal
	table    *audit.Table
	scanner  *audittest.Scanner
	heads    map[uint64]ledger.Hash
	dropped  []*wire.MsgBlock
}

// newStory: two members and the treasury get coins, ann pays bob, bob withdraws
// twice to one script, one settlement is posted, and life goes on after it.
func newStory(t *testing.T) *story {
	t.Helper()
	b := audittest.New(t)
	s := &story{Bank: b, ann: b.Open("ann"), bob: b.Open("bob")}
	b.Deposit(ledger.Treasury, 50_000)
	b.Deposit(s.ann.ID, 1_000_000, 2_000_000)
	b.Pay(s.ann, s.bob, 700_000)
	b.Withdraw(s.bob, 100_000, 1_000, audittest.Script("bob outside"))
	b.Withdraw(s.bob, 200_000, 1_000, audittest.Script("bob outside"))
	b.Settle(2_000)
	b.Deposit(s.bob.ID, 30_000)
	b.Pay(s.ann, s.bob, 1)
	s.scanner = &audittest.Scanner{Chain: b.Chain, Vaults: b.Vaults, Hide: make(map[wire.OutPoint]bool), Twice: make(map[wire.OutPoint]bool)}
	s.publish()
	return s
}

// publish copies what the auditor is shown.
func (s *story) publish() {
	s.journal = s.Bank.Journal.Clone()
	s.table = &audit.Table{Batch: s.Books.Last().Number}
	for id := range ledger.AccountID(s.Books.Accounts()) {
		if a, ok := s.Books.Account(id); ok && (id.IsMember() || id <= ledger.Suspense) {
			s.table.Balances = append(s.table.Balances, audit.Balance{Account: id, Key: a.Key, Amount: a.Balance})
		}
	}
}

func (s *story) config() audit.Config {
	return audit.Config{Charter: s.Charter, Vault: s.Vault, Journal: s.journal, Chain: s.Chain,
		Table: func(context.Context) (*audit.Table, error) { return s.table, nil }, Scanner: s.scanner, Heads: s.heads}
}

func (s *story) audit() *audit.Report {
	s.Helper()
	r, err := audit.Run(s.Context(), s.config())
	if err != nil {
		s.Fatal(err)
	}
	return r
}

func (s *story) lastBatch() *ledger.Batch { return (*s.journal)[len(*s.journal)-1] }

// failed lists the checks that found a difference.
func failed(r *audit.Report) (names []string) {
	for _, c := range r.Checks {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	return names
}

func TestHonestBank(t *testing.T) {
	s := newStory(t)
	var calls int
	c := s.config()
	c.Progress = func(p audit.Progress) {
		calls++
		if p.Until != s.table.Batch || p.Doing == "" {
			t.Errorf("progress %+v", p)
		}
	}
	r, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || !r.Equal || r.First != nil || len(failed(r)) != 0 {
		t.Fatalf("the audit of an honest bank: %v, first %+v", failed(r), r.First)
	}
	height, _ := s.Books.Block()
	orders := uint64(6) // two opens, two payments, two withdrawals
	switch {
	case r.Orders != orders || r.Signatures != orders+r.Batches || r.Deposits != 4 || r.Settlements != 1 || r.Accounts != 2:
		t.Errorf("counted %+v", r)
	case r.LedgerSat != s.Books.Liabilities() || r.ChainSat != r.LedgerSat || r.OutsideSat != 0:
		t.Errorf("%d sat in the books, %d on chain, %d outside; want %d", r.LedgerSat, r.ChainSat, r.OutsideSat, s.Books.Liabilities())
	case r.Height != height || r.Batches != s.Books.Last().Number || r.Head != s.Books.Head():
		t.Errorf("the books stand at %+v", r)
	case calls == 0:
		t.Error("no progress was told")
	}
	for name, want := range map[string]uint64{audit.CheckJournal: r.Batches, audit.CheckOrders: 6, audit.CheckSettlements: 1,
		audit.CheckSpends: 3, audit.CheckBalances: 7, audit.CheckCoins: 2, audit.CheckScan: 2} {
		if c := r.Check(name); c.Counted != want || c.Skipped != "" {
			t.Errorf("check %s counted %d (%s), want %d", name, c.Counted, c.Skipped, want)
		}
	}
}

// rekey writes a new key for the vault into the journal after change has spoilt it.
func (s *story) rekey(change func(e *ledger.Rekey)) {
	s.Helper()
	e, _, _ := s.NextKey(2, 4)
	change(e)
	s.Apply(ledger.Entry{Event: e})
	s.Seal()
	s.publish()
}

// steal spends a coin of the vault to somebody else.
func (s *story) steal(coin ledger.Coin) {
	s.Helper()
	theft := s.Payment(wire.NewTxOut(int64(coin.Amount)-500, audittest.Script("mallory")))
	theft.TxIn[0].PreviousOutPoint = wire.OutPoint{Hash: [32]byte(coin.TxID), Index: coin.Vout}
	s.Mine(theft)
	s.Bury()
	s.publish()
}

// An honest change of guardians, with coins of both keys: the audit follows it.
func TestAuditOfANewKey(t *testing.T) {
	s := newStory(t)
	s.Rekey(2, 4)
	s.Deposit(s.ann.ID, 40_000) // to an address of the founding, found all the same
	s.Mine(s.Payment(s.ToGeneration(1, taproot.Deposit, s.bob.ID.Index(), 50_000)))
	s.Bury()
	s.publish()
	if r := s.audit(); !r.OK || r.Check(audit.CheckKeys).Counted != 1 || r.ChainSat != s.Books.Liabilities() {
		t.Fatalf("with coins of both keys the audit says %+v", r)
	}
	s.Settle(2_000)
	s.publish()
	if r := s.audit(); !r.OK {
		t.Fatalf("after the sweep the audit says %+v", r)
	}
}

// stealSettlement makes the guardians sign, t of them together, another
// transaction than the cut gives, and the operator call it the settlement.
func (s *story) stealSettlement(change func(*wire.MsgTx)) {
	s.Helper()
	s.Withdraw(s.ann, 50_000, 1_000, audittest.Script("ann outside"))
	built := s.Cut(2_000)
	forged := *built
	forged.Tx = built.Tx.Copy()
	change(forged.Tx)
	signed := s.Sign(&forged)
	s.Report = func(honest []ledger.Event) []ledger.Event {
		events := honest[:1]
		for _, e := range honest {
			if d, ok := e.(*ledger.Deposit); ok && d.OutPoint.TxID == ledger.Hash(signed.TxHash()) {
				return append(events, &ledger.Settled{Settlement: built.Settlement, Version: 1, TxID: d.OutPoint.TxID, ChangeVout: d.OutPoint.Vout})
			}
		}
		return honest
	}
	s.Mine(signed)
	s.Bury()
	s.publish()
}

// What could not be checked proves nothing: it is an error, not a difference.
func TestUnchecked(t *testing.T) {
	away := errors.New("the node is away")
	for _, tt := range []struct {
		name   string
		change func(s *story, c *audit.Config)
		want   error
	}{
		{"node away", func(s *story, _ *audit.Config) { s.Chain.Away(away) }, away},
		{"node behind", func(s *story, _ *audit.Config) { s.Chain.Drop(3) }, audit.ErrNodeBehind},
		{"books not deep on the node", func(s *story, _ *audit.Config) { s.Chain.Drop(1) }, audit.ErrNodeBehind},
		{"node younger than the bank", func(s *story, _ *audit.Config) { s.Chain.Drop(10) }, audit.ErrNodeBehind},
		{"node on another chain", func(s *story, c *audit.Config) { c.Charter.BirthHash[0] ^= 1 }, audit.ErrOtherChain},
		{"vault of another network", func(s *story, c *audit.Config) { c.Charter.Chain[0] ^= 1 }, audit.ErrOtherVault},
		{"journal broken off", func(_ *story, c *audit.Config) { c.Journal = brokenJournal{away} }, away},
		{"database away", func(s *story, c *audit.Config) {
			c.Table = func(context.Context) (*audit.Table, error) { return nil, away }
		}, away},
		{"scan broken off", func(s *story, c *audit.Config) { c.Scanner = scanError{away} }, away},
		{"canceled", func(s *story, c *audit.Config) {
			c.Scanner = scanError{context.Canceled}
		}, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			c := s.config()
			tt.change(s, &c)
			r, err := audit.Run(t.Context(), c)
			var unchecked *audit.UncheckedError
			if r != nil || !errors.Is(err, tt.want) || !errors.As(err, &unchecked) {
				t.Fatalf("got %v, %v; want %v", r, err, tt.want)
			}
		})
	}
}

// An export is a journal as good as any other; one that is damaged proves nothing.
func TestAuditOfAnExport(t *testing.T) {
	s := newStory(t)
	dir := t.TempDir()
	w, err := export.Continue(dir, s.Charter)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range *s.journal {
		if err := w.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	run := func() (*audit.Report, error) {
		set, err := export.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := s.config()
		c.Journal = set
		return audit.Run(t.Context(), c)
	}
	if r, err := run(); err != nil || !r.OK || r.Batches != s.Books.Last().Number || r.Signatures != 6+r.Batches {
		t.Fatalf("%+v, %v", r, err)
	}
	segment := filepath.Join(dir, "batches-000001.seg")
	raw, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(segment, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	var unchecked *audit.UncheckedError
	var damage *export.DamageError
	if r, err := run(); r != nil || !errors.As(err, &unchecked) || !errors.As(err, &damage) || damage.File != "batches-000001.seg" {
		t.Fatalf("of a damaged export: %+v, %v", r, err)
	}
}

// A journal of many batches, whose signatures are verified in several groups, with one
// forged in the middle: the batches after it count for nothing, however far the books
// were when it was found.
func TestForgedBetweenManyGroups(t *testing.T) {
	s := newStory(t)
	for range 50 {
		for range 100 {
			s.Order(s.ann, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.bob.ID, Amount: 1}}})
		}
		s.Seal()
	}
	s.publish()
	if r := s.audit(); !r.OK || r.Orders != 5006 || r.Signatures != 5006+r.Batches {
		t.Fatalf("%v, %+v", failed(r), r.First)
	}
	const batch, entry = 40, 71
	s.Bank.Rewrite(s.journal, batch-1, func(e [][]byte) [][]byte {
		e[entry][len(e[entry])-1] ^= 1 // of the signature: the digest stays
		return e
	})
	r := s.audit()
	want := "batch 40 entry 71: order"
	if got := strings.Join(failed(r), " "); got != "orders" || !strings.HasPrefix(r.First.Text, want) {
		t.Errorf("found by %q: %+v, want %q", got, r.First, want)
	}
	if header := (*s.journal)[batch-2].Header.Header; r.Batches != batch-1 || r.Head != header.Hash() || r.Orders != 6+(batch-1-14)*100 {
		t.Errorf("the report stands at batch %d with %d orders", r.Batches, r.Orders)
	}

	c := s.config()
	c.WithoutSignatures = true
	if r, err := audit.Run(t.Context(), c); err != nil || !r.OK || r.Check(audit.CheckOrders).Skipped == "" {
		t.Errorf("without members' signatures: %+v, %v", r, err)
	}
}

// An audit that leaves out the members' signatures never says that the books hold, nor
// does one that goes on from its state with them.
func TestWithoutSignaturesIsNoVerdict(t *testing.T) {
	s := newStory(t)
	c := s.config()
	c.WithoutSignatures = true
	a, err := audit.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	check := func(r *audit.Report, err error) {
		t.Helper()
		if err != nil || !r.OK {
			t.Fatalf("%+v, %v", r, err)
		}
		var text strings.Builder
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		last := text.String()[strings.LastIndex(strings.TrimSpace(text.String()), "\n")+1:]
		if strings.Contains(text.String(), "The books hold") || !strings.Contains(last, "members' signatures were not verified") || r.Whole() {
			t.Errorf("the report ends with %q", last)
		}
	}
	check(a.Round(t.Context()))
	var state bytes.Buffer
	if err := a.Save(&state); err != nil {
		t.Fatal(err)
	}
	s.Pay(s.ann, s.bob, 3)
	s.publish()
	r, _, err := s.resume(state.Bytes())
	check(r, err)
	if whole := s.audit(); !whole.Whole() {
		t.Error("an audit with every signature is not whole")
	}
}

type brokenJournal struct{ err error }

func (j brokenJournal) Batches(context.Context, uint64) iter.Seq2[*ledger.Batch, error] {
	return func(yield func(*ledger.Batch, error) bool) { yield(nil, j.err) }
}

type scanError struct{ err error }

func (s scanError) ScanDescriptor(context.Context, []string, int) (bitcoind.Scan, error) {
	return bitcoind.Scan{}, s.err
}

// A node without scantxoutset (btcd), and an auditor without the account table.
func TestWithoutScanAndTable(t *testing.T) {
	s := newStory(t)
	c := s.config()
	c.Scanner, c.Table = scanError{bitcoind.ErrUnsupported}, nil
	r, err := audit.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK || !r.Equal || r.Check(audit.CheckScan).Skipped == "" || r.Check(audit.CheckBalances).Skipped == "" {
		t.Errorf("report %+v", r)
	}
}

// The books stand below the tip: what happens above them changes nothing.
func TestScanIsBroughtBack(t *testing.T) {
	s := newStory(t)
	s.Withdraw(s.bob, 10_000, 1_000, audittest.Script("bob outside"))
	built := s.Cut(2_000)
	s.publish()
	before := s.Books.Liabilities()
	// The settlement and a new deposit are in the last block, not deep enough.
	s.Chain.Mine(s.Sign(built), s.Payment(s.To(taproot.Deposit, s.ann.ID.Index(), 77_000)))
	r := s.audit()
	if !r.OK || !r.Equal || r.ChainSat != before || r.Check(audit.CheckScan).Counted != 2 {
		t.Fatalf("%v, first %+v, %d sat on chain, want %d", failed(r), r.First, r.ChainSat, before)
	}
	s.CatchUp()
	s.Bury()
	s.publish()
	if r := s.audit(); !r.OK || r.ChainSat != before-10_000-ledger.Amount(built.FeeSat)+77_000 {
		t.Fatalf("%v, first %+v, %d sat on chain", failed(r), r.First, r.ChainSat)
	}
}

// A bank at work: the table was read, then the journal grew.
func TestAuditStopsAtTheTable(t *testing.T) {
	s := newStory(t)
	at := s.table
	s.Deposit(s.bob.ID, 40_000)
	s.publish()
	s.table = at
	if r := s.audit(); !r.OK || r.Batches != at.Batch {
		t.Fatalf("%v, first %+v, at batch %d, want %d", failed(r), r.First, r.Batches, at.Batch)
	}
}

// Coins at the vault's addresses that the books rightly leave out.
func TestCoinsOutsideTheBooks(t *testing.T) {
	chain := audittest.NewChain(audittest.BirthHeight)
	founder := audittest.NewOn(t, chain, audittest.BirthHeight)
	early := founder.Payment(founder.To(taproot.Deposit, 16, 1_111))
	chain.Mine(early)
	b := audittest.NewOn(t, chain, audittest.BirthHeight+1)
	s := &story{Bank: b, ann: b.Open("ann")}
	s.scanner = &audittest.Scanner{Chain: chain, Vaults: b.Vaults}
	// Beyond the watch when it came: the bank has 17 accounts and a gap of 100.
	const ahead = 17 + 100
	b.Mine(b.Payment(b.To(taproot.Deposit, ahead, 2_222)))
	chain.MineCoinbase(b.To(taproot.Deposit, 16, 4_444))
	b.CatchUp()
	for i := range 3 {
		b.Open(string(rune('p' + i)))
	}
	b.Deposit(s.ann.ID, 8_888)
	s.publish()
	r := s.audit()
	if !r.OK || r.OutsideSat != 1_111+2_222+4_444 || r.ChainSat != 8_888 {
		t.Fatalf("%v, first %+v, outside %d sat, chain %d sat", failed(r), r.First, r.OutsideSat, r.ChainSat)
	}
	// A hundred blocks later the coinbase is ripe, and in the books.
	for range ledger.CoinbaseDepth {
		b.Mine()
	}
	s.publish()
	if r = s.audit(); !r.OK || r.OutsideSat != 1_111+2_222 || r.ChainSat != 8_888+4_444 {
		t.Fatalf("%v, first %+v, outside %d sat, chain %d sat", failed(r), r.First, r.OutsideSat, r.ChainSat)
	}
}

// The proposer may have known of accounts that the checker did not yet.
func TestDepositBeyondTheCheckersWatch(t *testing.T) {
	b := audittest.New(t)
	s := &story{Bank: b, ann: b.Open("ann")}
	b.Mine()
	b.Chain.Mine(b.Payment(b.To(taproot.Deposit, 117, 5_000)))
	b.CatchUp() // with this block the checker's watch ends 100 addresses beyond account 16
	for i := range 3 {
		b.Open(string(rune('p' + i)))
	}
	b.Mine() // the bank's watch goes three addresses further
	s.scanner = &audittest.Scanner{Chain: b.Chain, Vaults: b.Vaults}
	s.publish()
	if r := s.audit(); !r.OK || r.Deposits != 1 || r.ChainSat != 5_000 || r.OutsideSat != 0 {
		t.Fatalf("%v, first %+v, chain %d sat, outside %d sat", failed(r), r.First, r.ChainSat, r.OutsideSat)
	}
}

func TestReportForms(t *testing.T) {
	s := newStory(t)
	var text strings.Builder
	honest := s.audit()
	if err := honest.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Bank of the Audits", "journal", "sum of wallets", "coins on chain", "The books hold"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	s.table.Balances[0].Amount++
	bad := s.audit()
	raw, err := json.Marshal(bad)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ok", "first", "batches", "head", "height", "orders", "signatures", "deposits", "settlements", "ledger_sat", "chain_sat", "equal", "checks"} {
		if _, ok := fields[key]; !ok {
			t.Errorf("the JSON lacks %q: %s", key, raw)
		}
	}
	if fields["ok"] != false || fields["equal"] != true {
		t.Errorf("JSON %s", raw)
	}
	text.Reset()
	if err := bad.WriteText(&text); err != nil || !strings.Contains(text.String(), "DIFFERENCE: after batch") || !strings.Contains(text.String(), "do not hold") {
		t.Errorf("%v\n%s", err, text.String())
	}
}
