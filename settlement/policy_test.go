package settlement

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

// The policy in docs/settlement.md is the default, written out.
func TestPolicyInTheDocsIsTheDefault(t *testing.T) {
	raw, err := os.ReadFile("../docs/settlement.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "```json\n")
	text, _, ok := strings.Cut(rest, "```")
	p, err := ParsePolicy([]byte(text))
	if err != nil || !ok {
		t.Fatal(err)
	}
	got, _ := json.Marshal(p)
	want, _ := json.Marshal(DefaultPolicy())
	if string(got) != string(want) {
		t.Errorf("the page has %s, the default is %s", got, want)
	}
	for _, key := range strings.FieldsFunc(string(want), func(r rune) bool { return strings.ContainsRune(`{},`, r) }) {
		if name, _, _ := strings.Cut(key, ":"); !strings.Contains(text, name) {
			t.Errorf("the page does not have %s", name)
		}
	}
}

func TestPolicyRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`{}`, ""},
		{`{"fee_rate_floor": 0}`, "floor"},
		{`{"fee_rate_floor": 3000}`, "floor"},
		{`{"fee_rate_ceiling": 10000001}`, "nodes refuse more"},
		{`{"fee_target_blocks": 0}`, "fee target"},
		{`{"raise_percent": 0}`, "outbid"},
		{`{"limits": {"inputs": 0}}`, "inputs"},
		{`{"limits": {"inputs": 1501}}`, "inputs"},
		{`{"limits": {"payouts": 2001}}`, "payouts"},
		{`{"limits": {"weight": 400001}}`, "no standard transaction"},
		{`{"when": {"payouts": 0}}`, "ever be a reason"},
		{`{"when": {"payouts": 0, "wait_blocks": 6}}`, ""},
		{`{"when": {"amount_sat": -1}}`, "due at"},
		{`{"fee_rate_flor": 1000}`, "unknown field"},
		{`{} {}`, "follows"},
		{`[]`, "cannot unmarshal"},
	} {
		_, err := ParsePolicy([]byte(tt.text))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// What makes a settlement due, each reason one step before and at its limit.
func TestDue(t *testing.T) {
	key, _ := btcec.NewPrivateKey()
	charter := ledger.Charter{Name: "due", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(key), Depth: 1, WithdrawalMin: 1_000}
	s, err := ledger.NewState(charter)
	if err != nil {
		t.Fatal(err)
	}
	apply := func(e ledger.Entry) {
		t.Helper()
		if _, err := s.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	order := func(payer ledger.AccountID, body ledger.Body) {
		t.Helper()
		a, _ := s.Account(payer)
		o := &ledger.Order{Bank: s.Bank(), Payer: payer, Sequence: a.Sequence + 1, Previous: a.Last, Body: body}
		if payer == 0 {
			o.Sequence = 0
		}
		apply(ledger.Entry{Order: o})
	}
	block := func() uint32 {
		t.Helper()
		height, hash := s.Block()
		apply(ledger.Entry{Event: &ledger.Block{Height: height + 1, Previous: hash, Hash: ledger.Hash{2, byte(height)}}})
		return height + 1
	}
	order(0, &ledger.Open{Key: ledger.KeyOf(key)})
	apply(ledger.Entry{Event: &ledger.Deposit{OutPoint: ledger.OutPoint{TxID: ledger.Hash{7}}, Amount: 100_000, Index: 16, Height: block(), TxIndex: 1}})
	script := append([]byte{0, 20}, make([]byte, 20)...)
	for range 3 {
		order(16, &ledger.Withdraw{Amount: 10_000, Script: script})
	}
	for range 5 {
		block()
	}
	for _, tt := range []struct {
		when When
		move bool
		want string
	}{
		{When{Payouts: 1}, true, "coins have to move"},
		{When{Payouts: 3}, false, "3 payouts wait"},
		{When{Payouts: 4}, false, ""},
		{When{AmountSat: 30_000}, false, "payouts of 30000 sat wait"},
		{When{AmountSat: 30_001}, false, ""},
		{When{WaitBlocks: 5}, false, "a payout has waited 5 blocks"},
		{When{WaitBlocks: 6}, false, ""},
		{When{Deposits: true}, false, "deposits wait"},
		{When{AnchorEach: 6}, false, "the last anchor is 6 blocks old"},
		{When{AnchorEach: 7}, false, ""},
	} {
		if got := tt.when.due(s, tt.move); got != tt.want {
			t.Errorf("%+v: due because %q, want %q", tt.when, got, tt.want)
		}
	}
}

func TestNettingRatio(t *testing.T) {
	for _, tt := range []struct {
		cleared, settled uint64
		want             string
	}{{0, 0, ""}, {500, 0, ""}, {0, 100, "1.0"}, {900, 100, "10.0"}, {1, 3, "1.3"}, {1 << 63, 1 << 40, "8388609.0"}} {
		if got := NettingRatio(tt.cleared, tt.settled); got != tt.want {
			t.Errorf("%d cleared, %d settled: %q, want %q", tt.cleared, tt.settled, got, tt.want)
		}
	}
}
