package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

func TestNewConsent(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, message string
		period        time.Duration
		withdraw      bool
		want          string // in the error; "" for none
	}{
		{"a message", "words", time.Hour, false, ""},
		{"taken back", "", time.Hour, true, ""},
		{"nothing", "", time.Hour, false, "say what the auditor asked"},
		{"both", "words", time.Hour, true, "not both"},
		{"for no time", "words", 0, false, "want at most"},
		{"for ever", "words", consentMax + 1, false, "want at most"},
		{"what the terminal acts on", "a\x1b[2J", time.Hour, false, "not printed"},
	} {
		c, err := newConsent(tt.message, tt.period, tt.withdraw, now)
		switch {
		case tt.want != "":
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
		case err != nil || (c == nil) != tt.withdraw:
			t.Errorf("%s: %v, %v", tt.name, c, err)
		case c != nil && (c.Text != tt.message || !c.Until.Equal(now.Add(tt.period))):
			t.Errorf("%s: %v", tt.name, c)
		}
	}
}

// Bad requests end with an error that says what to do, before anybody is asked.
func TestReservesRefuses(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"say where the bank's keys":  {"--message", "x", "--out", "f"},
		"say what the auditor asked": {"--data", dir, "--out", "f"},
		"say where to write":         {"--data", dir, "--message", "x"},
		"not printed":                {"--data", dir, "--message", "a\nb", "--out", "f"},
		"no bank runs on":            {"--data", dir, "--message", "x", "--out", "f"},
	} {
		cmd := newReservesCommand()
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

// A coin that a later block spends was unspent in a block only if it was made by then.
func TestSpentSince(t *testing.T) {
	const block = `{"vin":[{"coinbase":"00"},
		{"txid":"00000000000000000000000000000000000000000000000000000000000000aa","vout":1,"prevout":{"height":9,"value":0.00000100,"scriptPubKey":{"hex":"51"}}},
		{"txid":"00000000000000000000000000000000000000000000000000000000000000bb","vout":0,"prevout":{"height":11,"value":2,"scriptPubKey":{"hex":"51"}}},
		{"txid":"00000000000000000000000000000000000000000000000000000000000000cc","vout":0,"prevout":{"height":1,"value":3,"scriptPubKey":{"hex":"51"}}}]}`
	var tx spendingTx
	if err := json.Unmarshal([]byte(block), &tx); err != nil {
		t.Fatal(err)
	}
	old, young := wire.OutPoint{Hash: chainhash.Hash{0xaa}, Index: 1}, wire.OutPoint{Hash: chainhash.Hash{0xbb}}
	missing := map[wire.OutPoint]bool{old: true, young: true}
	found := &proof.Unspent{Coins: make(map[wire.OutPoint]*wire.TxOut)}
	if err := tx.take(10, missing, found); err != nil {
		t.Fatal(err)
	}
	if len(found.Coins) != 1 || found.Coins[old] == nil || found.Coins[old].Value != 100 || len(found.Coins[old].PkScript) != 1 {
		t.Errorf("found %v", found.Coins)
	}
	if len(missing) != 1 || !missing[young] {
		t.Errorf("missing are %v", missing)
	}
}

// What a node had in a block: coins that were there and unspent then, spent since or
// not, and none that came later.
func TestUnspentAt(t *testing.T) {
	node := bitcoind.Start(t)
	script := []byte{0x51, 32, 31: 1, 33: 2}
	fund := func() *proof.ReservedCoin {
		t.Helper()
		at, err := node.FundMany(t.Context(), []*wire.TxOut{wire.NewTxOut(50_000, script)})
		if err == nil {
			_, err = node.Mine(t.Context(), 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		return &proof.ReservedCoin{TxID: ledger.Hash(at[0].Hash), Vout: at[0].Index}
	}
	there := fund()
	tip, err := node.Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	later := fund()
	p := &proof.Reserves{Height: uint32(tip.Height), Block: ledger.Hash(tip.Hash), Coins: []proof.ReservedCoin{*there, *later}}
	found, err := unspentAt(t.Context(), node.Client, p)
	if err != nil {
		t.Fatal(err)
	}
	out := found.Coins[wire.OutPoint{Hash: chainhash.Hash(there.TxID), Index: there.Vout}]
	if len(found.Coins) != 1 || out == nil || out.Value != 50_000 || found.Block != tip.Hash {
		t.Errorf("found %+v", found)
	}
	p.Block[0] ^= 1
	if _, err := unspentAt(t.Context(), node.Client, p); err == nil || !strings.Contains(err.Error(), "does not have block") {
		t.Errorf("of another chain: %v", err)
	}
}
