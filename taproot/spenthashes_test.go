package taproot_test

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/taproot"
)

// The message from hashes is the message from the outputs that are spent.
func TestSighashOf(t *testing.T) {
	tx := wire.NewMsgTx(2)
	var spent []*wire.TxOut
	for i := range 3 {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Index: uint32(i)}, Sequence: 7})
		spent = append(spent, wire.NewTxOut(int64(1000+i), append([]byte{0x51, 32}, make([]byte, 32)...)))
	}
	spent[1].PkScript[5] = 9
	tx.AddTxOut(wire.NewTxOut(500, []byte{0x6a}))
	want, err := taproot.Sighashes(tx, spent)
	if err != nil {
		t.Fatal(err)
	}
	amounts, scripts, err := taproot.SpentHashes(tx, spent)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		got, err := taproot.SighashOf(tx, i, amounts, scripts)
		if err != nil || got != want[i] {
			t.Errorf("input %d: %x (%v), want %x", i, got, err, want[i])
		}
	}
	amounts[0] ^= 1
	if got, _ := taproot.SighashOf(tx, 0, amounts, scripts); got == want[0] {
		t.Error("the message does not cover the amounts")
	}
	if _, err := taproot.SighashOf(tx, 3, amounts, scripts); !errors.Is(err, taproot.ErrSpendShape) {
		t.Errorf("an input that is not there: %v", err)
	}
	if _, _, err := taproot.SpentHashes(tx, spent[:2]); !errors.Is(err, taproot.ErrSpendShape) {
		t.Errorf("an output missing: %v", err)
	}
}
