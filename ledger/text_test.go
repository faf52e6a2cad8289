package ledger_test

import (
	"encoding"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/daobank/daobank/ledger"
)

func TestBTC(t *testing.T) {
	for _, tt := range []struct {
		text string
		want ledger.Amount
		back string
	}{
		{"0.00000001", 1, "0.00000001"},
		{"1", 100_000_000, "1.00000000"},
		{"0.015", 1_500_000, "0.01500000"},
		{"21000000", ledger.MaxAmount, "21000000.00000000"},
		{"20999999.99999999", ledger.MaxAmount - 1, "20999999.99999999"},
		{"+.5", 50_000_000, "0.50000000"},
		{"1e-8", 1, "0.00000001"},
		{"2.1e7", ledger.MaxAmount, "21000000.00000000"},
		{"0.1000000000000000000", 10_000_000, "0.10000000"},
	} {
		got, err := ledger.ParseBTC(tt.text)
		if err != nil || got != tt.want || got.BTC() != tt.back {
			t.Errorf("%s reads as %d sat (%v), written %s; want %d and %s", tt.text, got, err, got.BTC(), tt.want, tt.back)
		}
	}
	if got := ledger.Amount(-150_000_000).BTC(); got != "-1.50000000" {
		t.Errorf("the vault's balance is written %s", got)
	}
	if got := ledger.Amount(12).String(); got != "12 sat" {
		t.Errorf("12 satoshis are written %s", got)
	}
}

// What people read in an answer or a log.
func TestNames(t *testing.T) {
	id := ledger.Hash{31: 0xab}
	for want, got := range map[string]string{
		"vault": ledger.Vault.String(), "treasury": ledger.Treasury.String(), "withdrawals-pending": ledger.WithdrawalsPending.String(),
		"miner-fees": ledger.MinerFees.String(), "suspense": ledger.Suspense.String(), "16": ledger.FirstMember.String(), "4294967312": otherShard.String(),
		"open": ledger.KindOpen.String(), "transfer": ledger.KindTransfer.String(), "withdraw": ledger.KindWithdraw.String(), "close": ledger.KindClose.String(),
		"block": ledger.KindBlock.String(), "deposit": ledger.KindDeposit.String(), "cut": ledger.KindCut.String(), "settled": ledger.KindSettled.String(),
		"rekey":                                ledger.KindRekey.String(),
		"unknown":                              ledger.Kind(0).String(),
		"ab" + strings.Repeat("00", 31) + ":7": ledger.OutPoint{TxID: id, Vout: 7}.String(), // as Bitcoin prints it
		strings.Repeat("00", 31) + "ab":        id.String(),
		"16/3":                                 ledger.OrderRef{Payer: 16, Sequence: 3}.String(),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if otherShard.Shard() != 1 || otherShard.Index() != 16 || !otherShard.IsMember() || ledger.Suspense.IsMember() {
		t.Error("account 1<<32|16 is not member 16 of shard 1")
	}
}

// Hashes, keys and signatures are hex, and a bad text leaves them as they were.
func TestHexText(t *testing.T) {
	for name, tt := range map[string]struct {
		size int
		make func() (encoding.TextUnmarshaler, func() string)
	}{
		"hash": {32, func() (encoding.TextUnmarshaler, func() string) {
			v := ledger.Hash{1}
			return &v, func() string { text, _ := v.MarshalText(); return string(text) }
		}},
		"key": {32, func() (encoding.TextUnmarshaler, func() string) {
			v := ledger.Key{1}
			return &v, func() string { text, _ := v.MarshalText(); return string(text) }
		}},
		"signature": {64, func() (encoding.TextUnmarshaler, func() string) {
			v := ledger.Signature{1}
			return &v, func() string { text, _ := v.MarshalText(); return string(text) }
		}},
	} {
		value, text := tt.make()
		good := strings.Repeat("0a", tt.size)
		if err := value.UnmarshalText([]byte(good)); err != nil || text() != good {
			t.Errorf("%s: %s reads as %s (%v)", name, good, text(), err)
		}
		for _, bad := range []string{"", good[1:], good + "0", good + "00", strings.Repeat("0b", tt.size-1) + "0x"} {
			if err := value.UnmarshalText([]byte(bad)); err == nil || text() != good {
				t.Errorf("%s: the bad text %q gives %v and leaves %s", name, bad, err, text())
			}
		}
	}
}

func TestCharterRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(c *ledger.Charter)
	}{
		{"no name", func(c *ledger.Charter) { c.Name = "" }},
		{"name of 65 bytes", func(c *ledger.Charter) { c.Name = strings.Repeat("n", 65) }},
		{"name that is not UTF-8", func(c *ledger.Charter) { c.Name = "caf\xe9" }},
		{"no chain", func(c *ledger.Charter) { c.Chain = ledger.Hash{} }},
		{"depth 0", func(c *ledger.Charter) { c.Depth = 0 }},
		{"depth above the coinbase's", func(c *ledger.Charter) { c.Depth = ledger.CoinbaseDepth + 1 }},
		{"dust as the smallest withdrawal", func(c *ledger.Charter) { c.WithdrawalMin = 545 }},
		{"smallest withdrawal above 21 million BTC", func(c *ledger.Charter) { c.WithdrawalMin = oneTooMany }},
		{"operator that is no point", func(c *ledger.Charter) { c.Operator = badKey }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testCharter()
			tt.change(&c)
			if err := c.Validate(); err == nil {
				t.Error("the charter is valid")
			}
			if s, err := ledger.NewState(c); err == nil || s != nil {
				t.Error("there are books for it")
			}
		})
	}
}

// Every field of the charter is part of the bank's id.
func TestCharterIDCoversEveryField(t *testing.T) {
	base := testCharter()
	seen := map[ledger.BankID]string{base.ID(): "unchanged"}
	for name, change := range map[string]func(c *ledger.Charter){
		"name":               func(c *ledger.Charter) { c.Name += "!" },
		"chain":              func(c *ledger.Charter) { c.Chain[0] ^= 1 },
		"operator":           func(c *ledger.Charter) { c.Operator[0] ^= 1 },
		"birth height":       func(c *ledger.Charter) { c.BirthHeight++ },
		"birth hash":         func(c *ledger.Charter) { c.BirthHash[0] ^= 1 },
		"depth":              func(c *ledger.Charter) { c.Depth++ },
		"withdrawal minimum": func(c *ledger.Charter) { c.WithdrawalMin++ },
	} {
		c := testCharter()
		change(&c)
		if same, ok := seen[c.ID()]; ok {
			t.Errorf("another %s has the id of the charter %s", name, same)
		}
		seen[c.ID()] = name
	}
}

// A key without a value signs nothing.
func TestSigningWithAnEmptyKeyFails(t *testing.T) {
	empty := new(btcec.PrivateKey)
	o := &ledger.Order{Body: &ledger.Close{}}
	if err := o.Sign(empty); err == nil || o.Signature != (ledger.Signature{}) {
		t.Errorf("an order: %v", err)
	}
	if h, err := (ledger.Header{Number: 1}).Sign(empty); err == nil || h != (ledger.SignedHeader{}) {
		t.Errorf("a header: %v", err)
	}
}

func TestSameOrder(t *testing.T) {
	a := &ledger.Order{Payer: 16, Sequence: 1, Body: pay(17, 5)}
	b := &ledger.Order{Payer: 16, Sequence: 1, Body: pay(17, 5), Signature: ledger.Signature{1}}
	c := &ledger.Order{Payer: 16, Sequence: 1, Body: pay(17, 6)}
	if !ledger.SameOrder(a, b) || a.Digest() != b.Digest() {
		t.Error("another signature makes another order")
	}
	if ledger.SameOrder(a, c) || a.Digest() == c.Digest() {
		t.Error("another amount makes the same order")
	}
}

// What a program can ask of books that are new.
func TestNewBooks(t *testing.T) {
	b := newBank(t)
	charter := testCharter()
	if b.Charter() != charter || b.Bank() != charter.ID() || b.Head() != charter.ID() || b.Last() != (ledger.Header{}) {
		t.Errorf("the new books are of %+v, head %s", b.Charter(), b.Head())
	}
	if height, hash := b.Block(); height != birthHeight || hash != charter.BirthHash {
		t.Errorf("they stand at block %d %s", height, hash)
	}
	if b.Accounts() != uint32(ledger.FirstMember) || b.Liabilities() != 0 || len(b.Held()) != 0 || len(b.Coins()) != 0 || b.State.Open() != nil || b.Settlements() != 0 {
		t.Error("they are not empty")
	}
	if _, ok := b.Lookup(ledger.KeyOf(privateKey("ann"))); ok {
		t.Error("they know a key")
	}
	for _, id := range []ledger.AccountID{0, ledger.FirstMember, otherShard, 1<<64 - 1} {
		if a, ok := b.Account(id); ok || a != (ledger.Account{}) || b.Balance(id) != 0 {
			t.Errorf("they have the account %s", id)
		}
	}
	if a, ok := b.Account(ledger.Treasury); !ok || a.ID != ledger.Treasury || a.Key != (ledger.Key{}) {
		t.Errorf("the treasury is %+v", a)
	}
}
