package bitcoind

import (
	"bytes"
	"context"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// fillerUsage is the least memory that a mempool needs for one filler, in bytes.
const fillerUsage = 390_000

// filler makes transactions that take much room in a mempool and little work: a
// coin's taproot leaf, which its spend must show, is nearly as large as nodes
// relay, and asks for no signature. Large outputs instead would cost the node a
// look into its database for each.
type filler struct {
	leaf    []byte
	control []byte // control block of the leaf (BIP 341)
	coins   []wire.OutPoint
	each    int64
	to      []byte // script that receives what is left
	vsize   int64
}

// newFiller prepares some transactions that can pay up to a rate. It mines a
// block which holds nothing else.
func (m *Miner) newFiller(ctx context.Context, count int, satPerKvB int64) (*filler, error) {
	f := &filler{to: m.script}
	// The script builder refuses what exceeds a legacy script's 10,000 bytes. Nodes
	// relay 400,000 weight units, and Bitcoin Knots no push of more than 256 bytes.
	const pushes, pushed = 1500, 256
	push := append([]byte{txscript.OP_PUSHDATA2, pushed & 0xff, pushed >> 8}, make([]byte, pushed)...)
	f.leaf = append(bytes.Repeat(append(push, txscript.OP_DROP), pushes), txscript.OP_TRUE)
	internal, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	tree := txscript.AssembleTaprootScriptTree(txscript.NewBaseTapLeaf(f.leaf))
	control := tree.LeafMerkleProofs[0].ToControlBlock(internal.PubKey())
	if f.control, err = control.ToBytes(); err != nil {
		return nil, err
	}
	root := tree.RootNode.TapHash()
	script, err := txscript.PayToTaprootScript(txscript.ComputeTaprootOutputKey(internal.PubKey(), root[:]))
	if err != nil {
		return nil, err
	}
	f.vsize = vsizeOf(f.spend(wire.OutPoint{}, 0))
	f.each = feeFor(f.vsize, satPerKvB) + dustP2TR
	outputs := make([]*wire.TxOut, count)
	for i := range outputs {
		outputs[i] = wire.NewTxOut(f.each, script)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f.coins, err = m.fundMany(ctx, outputs, true)
	return f, err
}

// next returns the next transaction at a rate, or ErrNoCoins.
func (f *filler) next(satPerKvB int64) (*wire.MsgTx, error) {
	left := f.each - feeFor(f.vsize, satPerKvB)
	if len(f.coins) == 0 || left < dustP2TR {
		return nil, fmt.Errorf("%w: %d coins of %v", ErrNoCoins, len(f.coins), btcutil.Amount(f.each))
	}
	coin := f.coins[0]
	f.coins = f.coins[1:]
	return f.spend(coin, left), nil
}

func (f *filler) spend(coin wire.OutPoint, left int64) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&coin, nil, wire.TxWitness{f.leaf, f.control}))
	tx.AddTxOut(wire.NewTxOut(left, f.to))
	return tx
}
