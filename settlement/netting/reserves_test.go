package netting_test

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// What BIP-127 demands: the first input spends output 0 of the digest, the one output
// is the sum of all inputs, and every coin of the books is spent once.
func TestReservesAreOfBIP127(t *testing.T) {
	b, _, _ := newBank(t, 100_000, 400_000, 300_000)
	r, err := netting.ReservesOf(b.Books, b.Vaults, "an auditor's words")
	if err != nil {
		t.Fatal(err)
	}
	height, block := b.Books.Block()
	message := "daobank " + b.Charter.ID().String() + ", reserves at block 6 " + chainhash.Hash(block).String() + ", key 0: an auditor's words"
	if height != 6 || r.Message() != message {
		t.Fatalf("at height %d the message is %q, want %q", height, r.Message(), message)
	}
	part := r.Parts[0]
	want := wire.OutPoint{Hash: sha256.Sum256([]byte("Proof-of-Reserves: " + message))}
	switch tx := part.Tx; {
	case len(r.Parts) != 1 || len(tx.TxIn) != 1+len(b.Books.Coins()) || len(tx.TxOut) != 1:
		t.Errorf("%d parts, %d inputs, %d outputs", len(r.Parts), len(tx.TxIn), len(tx.TxOut))
	case tx.TxIn[0].PreviousOutPoint != want:
		t.Errorf("the first input spends %s, want %s", tx.TxIn[0].PreviousOutPoint, want)
	case tx.TxOut[0].Value != int64(b.Books.Liabilities()) || r.Total != b.Books.Liabilities():
		t.Errorf("it pays %d of %d sat", tx.TxOut[0].Value, b.Books.Liabilities())
	case part.Spent[0].Value != 0 || len(part.Spent[0].PkScript) != 1 || part.Spent[0].PkScript[0] != txscript.OP_TRUE:
		t.Errorf("the commitment is said to be %v", part.Spent[0])
	}
	own, err := b.Vault.Output(taproot.Change, 0)
	if err != nil || string(own.Script) != string(part.Tx.TxOut[0].PkScript) {
		t.Errorf("the output does not pay the vault: %v", err)
	}
}

// More coins than guardians sign at once are spent by several transactions, each with
// the commitment.
func TestReservesInParts(t *testing.T) {
	b, _, _ := newBank(t, 100_000, 400_000)
	r, err := netting.ReservesOf(b.Books, b.Vaults, "many")
	if err != nil {
		t.Fatal(err)
	}
	var coins []ledger.Coin
	for i := range 2*netting.ReservesCoinsMax + 1 {
		coins = append(coins, ledger.Coin{OutPoint: ledger.OutPoint{TxID: ledger.Hash{byte(i >> 8), byte(i)}, Vout: uint32(i % 3)}, Amount: ledger.Amount(1 + i)})
	}
	if r, err = netting.NewReserves(r.Statement, coins, b.Vaults.Output); err != nil {
		t.Fatal(err)
	}
	var sum, spent int
	for _, part := range r.Parts {
		if part.Tx.TxIn[0].PreviousOutPoint != r.Commitment() {
			t.Error("a part without the commitment")
		}
		sum, spent = sum+int(part.Tx.TxOut[0].Value), spent+len(part.Tx.TxIn)-1
		hashes, err := part.Sighashes()
		if err != nil || len(hashes) != len(part.Coins) || len(part.Signers) != len(part.Coins) {
			t.Errorf("%d digests for %d coins: %v", len(hashes), len(part.Coins), err)
		}
	}
	if len(r.Parts) != 3 || spent != len(coins) || sum != int(r.Total) || sum != len(coins)*(len(coins)+1)/2 {
		t.Errorf("%d parts spend %d coins of %d sat, the total is %d", len(r.Parts), spent, sum, r.Total)
	}
	if _, err := r.Parts[0].Signed(make([]ledger.Signature, 1)); err == nil {
		t.Error("one signature was taken for all coins")
	}
}

func TestReservesRefuse(t *testing.T) {
	b, _, _ := newBank(t, 100_000, 400_000)
	good := netting.Statement{Bank: b.Charter.ID(), Text: "words"}
	coin := b.Books.Coins()[0]
	with := func(edit func(*ledger.Coin)) ledger.Coin {
		c := coin
		c.TxID[0] ^= 1
		edit(&c)
		return c
	}
	for _, tt := range []struct {
		name  string
		text  string
		coins []ledger.Coin
		want  string
	}{
		{"no coins", "words", nil, netting.ErrNoReserves.Error()},
		{"no words", "", []ledger.Coin{coin}, "want 1 to 500"},
		{"too many words", strings.Repeat("x", netting.StatementMax+1), []ledger.Coin{coin}, "want 1 to 500"},
		{"two lines", "a\nb", []ledger.Coin{coin}, "not printed"},
		{"writing that turns round", "a\u202eb", []ledger.Coin{coin}, "not printed"},
		{"no UTF-8", "a\xff", []ledger.Coin{coin}, "UTF-8"},
		{"a coin twice", "words", []ledger.Coin{coin, with(func(*ledger.Coin) {}), coin}, "there twice"},
		{"a coin of nothing", "words", []ledger.Coin{with(func(c *ledger.Coin) { c.Amount = 0 })}, "not there"},
		{"a negative coin", "words", []ledger.Coin{coin, with(func(c *ledger.Coin) { c.Amount = -1 })}, "not there"},
		{"more coins than there are", "words", []ledger.Coin{coin, with(func(c *ledger.Coin) { c.Amount = ledger.MaxAmount })}, "more than there are"},
		{"a generation that is none", "words", []ledger.Coin{with(func(c *ledger.Coin) { c.Generation = 9 })}, "no key of generation 9"},
		{"a branch that is none", "words", []ledger.Coin{with(func(c *ledger.Coin) { c.Branch = 9 })}, "branch 9"},
	} {
		s := good
		s.Text = tt.text
		if _, err := netting.NewReserves(s, tt.coins, b.Vaults.Output); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := netting.NewReserves(good, nil, b.Vaults.Output); !errors.Is(err, netting.ErrNoReserves) {
		t.Errorf("no coins: %v", err)
	}
}
