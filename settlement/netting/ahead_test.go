package netting_test

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
)

// TestReadAheadReadsAsReadBlocks: in order, without a gap, and with every coinbase
// that matures, as if each height had been asked for alone.
func TestReadAheadReadsAsReadBlocks(t *testing.T) {
	chain := audittest.NewChain(250)
	charter := &ledger.Charter{BirthHeight: 10, Depth: 3}
	for _, from := range []uint32{11, 200} {
		height := from
		for read, err := range netting.ReadAhead(t.Context(), chain, charter, from, 250) {
			if err != nil {
				t.Fatal(err)
			}
			want, err := netting.ReadBlocks(t.Context(), chain, charter, height)
			if err != nil {
				t.Fatal(err)
			}
			if read.Height != height || len(read.Blocks) != len(want) {
				t.Fatalf("read height %d with %d blocks, want %d with %d", read.Height, len(read.Blocks), height, len(want))
			}
			for h, block := range want {
				got := read.Blocks[h]
				if got == nil || got.BlockHash() != block.BlockHash() || got.Transactions[0].TxHash() != block.Transactions[0].TxHash() {
					t.Fatalf("height %d: block %d is not the chain's", height, h)
				}
			}
			height++
		}
		if height != 251 {
			t.Errorf("from %d it ended before height %d", from, height)
		}
	}
}

// failing answers no hash at one height.
type failing struct {
	*audittest.Chain
	at int32
}

var errFails = errors.New("out of order")

func (f failing) BlockHash(ctx context.Context, height int32) (chainhash.Hash, error) {
	if height == f.at {
		return chainhash.Hash{}, errFails
	}
	return f.Chain.BlockHash(ctx, height)
}

// TestReadAheadStops: what comes before an error is read, and nothing after it.
func TestReadAheadStops(t *testing.T) {
	charter := &ledger.Charter{BirthHeight: 10, Depth: 3}
	read, failed := 0, error(nil)
	for _, err := range netting.ReadAhead(t.Context(), failing{audittest.NewChain(100), 42}, charter, 11, 100) {
		if failed != nil {
			t.Fatal("it goes on after an error")
		}
		if failed = err; err == nil {
			read++
		}
	}
	if read != 42-11 || !errors.Is(failed, errFails) {
		t.Errorf("%d blocks were read before %v, want %d", read, failed, 42-11)
	}
}
