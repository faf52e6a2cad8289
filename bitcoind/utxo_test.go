package bitcoind

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/wire"
)

func TestUTXO(t *testing.T) {
	node := Start(t, WithBlocks(120))
	script := append([]byte{0x51, 32}, bytes.Repeat([]byte{0x01}, 32)...)
	at, err := node.Fund(t.Context(), script, 12_345_678)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := node.UTXO(t.Context(), at); out != nil || err != nil {
		t.Errorf("in the mempool only: %v, %v; want none", out, err)
	}
	for depth := int64(1); depth <= 2; depth++ {
		if _, err := node.Mine(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		out, confirmations, err := node.UTXO(t.Context(), at)
		if err != nil || out == nil || out.Value != 12_345_678 || !bytes.Equal(out.PkScript, script) || confirmations != depth {
			t.Errorf("after %d blocks: %v with %d confirmations, %v", depth, out, confirmations, err)
		}
	}
	if out, _, err := node.UTXO(t.Context(), wire.OutPoint{Hash: at.Hash, Index: 99}); out != nil || err != nil {
		t.Errorf("an output that never was: %v, %v", out, err)
	}
}
