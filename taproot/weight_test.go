package taproot

import (
	"math"
	"testing"

	"github.com/btcsuite/btcd/txscript"
)

// payoutScripts is one script of each kind that the bank pays to.
var payoutScripts = map[string][]byte{
	"P2PKH":  script(txscript.OP_DUP, txscript.OP_HASH160, hash(20), txscript.OP_EQUALVERIFY, txscript.OP_CHECKSIG),
	"P2SH":   script(txscript.OP_HASH160, hash(20), txscript.OP_EQUAL),
	"P2WPKH": script(txscript.OP_0, hash(20)),
	"P2WSH":  script(txscript.OP_0, hash(32)),
	"P2TR":   script(txscript.OP_1, hash(32)),
}

type hash int

func script(elements ...any) []byte {
	var b []byte
	for _, element := range elements {
		switch e := element.(type) {
		case int:
			b = append(b, byte(e))
		case hash:
			b = append(b, byte(e))
			for i := range int(e) {
				b = append(b, byte(i+1))
			}
		}
	}
	return b
}

// Bitcoin Core's limits at its default -dustrelayfee, as its own tests and
// documentation have them.
func TestDustLimit(t *testing.T) {
	for kind, want := range map[string]int64{"P2PKH": 546, "P2SH": 540, "P2WPKH": 294, "P2WSH": 330, "P2TR": 330} {
		if got := DustLimit(payoutScripts[kind]); got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
	if got := DustLimit([]byte{txscript.OP_RETURN, 1, 1}); got != 0 {
		t.Errorf("OP_RETURN: %d, want 0", got)
	}
}

func TestOutputVBytes(t *testing.T) {
	for kind, want := range map[string]int64{"P2PKH": 34, "P2SH": 32, "P2WPKH": 31, "P2WSH": 43, "P2TR": 43} {
		if got := OutputVBytes(payoutScripts[kind]); got != want {
			t.Errorf("%s: %d, want %d", kind, got, want)
		}
	}
}

func TestFeeForWeight(t *testing.T) {
	for _, c := range []struct{ weight, satPerKvB, want int64 }{
		{400, 1000, 100},
		{401, 1000, 101}, // 100.25 vB count as 101
		{404, 1001, 102}, // 101.101 sat count as 102
		{4, 1, 1},
		{4000, 1, 1},
		{4_000_000, 1_000_000_000, 1_000_000_000_000},
		{0, 1000, 0},
		{400, 0, 0},
		{-4, 1000, 0},
		{400, -1000, 0},
		{math.MaxInt64, 3000, 6917529027641081856},
		{math.MaxInt64, 4001, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := FeeForWeight(c.weight, c.satPerKvB); got != c.want {
			t.Errorf("weight %d at %d sat/kvB: %d sat, want %d", c.weight, c.satPerKvB, got, c.want)
		}
	}
}
