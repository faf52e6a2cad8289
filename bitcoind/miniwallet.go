package bitcoind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

const (
	// NoFee as a Payment's Fee makes a transaction that pays none.
	NoFee = -1

	// dustP2TR is the least amount that nodes relay in a P2TR output.
	dustP2TR = 330

	defaultFeeRate = 10_000 // satoshis per 1,000 virtual bytes
)

// Payment describes a transaction of a MiniWallet. The zero Payment moves one
// coin back to the wallet.
type Payment struct {
	Outputs []*wire.TxOut   // what is paid; the change comes after them
	Coins   []wire.OutPoint // what is spent, also if it was spent before; none: the wallet chooses

	FeeRate int64 // in satoshis per 1,000 virtual bytes; zero means 10,000
	Fee     int64 // in satoshis, instead of the rate; NoFee for none

	Version  int32  // zero means 2; 3 for a TRUC transaction (BIP 431)
	VSize    int64  // pad to exactly this virtual size; zero: do not
	Sequence uint32 // of every input; zero means final but for the lock time
	LockTime uint32
}

// MiniWallet spends coins in Go, exactly as a test asks: it is for the
// transactions that a wallet for people refuses to make. The node needs no
// wallet. Whatever it builds counts as spent and received at once, so chains
// and packages can be built before any of it is broadcast. Its methods may be
// called from several goroutines.
type MiniWallet struct {
	client *Client
	key    *btcec.PrivateKey
	script []byte

	mu    sync.Mutex
	known map[wire.OutPoint]int64 // every coin it ever had, and its amount
	free  []wire.OutPoint         // those to choose from, oldest first
}

// NewMiniWallet makes a wallet with some confirmed coins of an amount each, at
// most 1,000. It mines a block for them and leaves the rest of the mempool alone.
func (m *Miner) NewMiniWallet(ctx context.Context, coins int, each btcutil.Amount) (*MiniWallet, error) {
	if coins < 1 || coins > 1000 {
		return nil, fmt.Errorf("bitcoind: mini wallet: %d coins; want 1 to 1,000", coins)
	}
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, fmt.Errorf("bitcoind: mini wallet: %w", err)
	}
	w := &MiniWallet{client: m.client, key: key, known: make(map[wire.OutPoint]int64)}
	if w.script, err = keyPathScript(key); err != nil {
		return nil, fmt.Errorf("bitcoind: mini wallet: %w", err)
	}
	outputs := make([]*wire.TxOut, coins)
	for i := range outputs {
		outputs[i] = wire.NewTxOut(int64(each), w.script)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	funded, err := m.fundMany(ctx, outputs, true)
	if err != nil {
		return nil, err
	}
	for _, coin := range funded {
		w.known[coin], w.free = int64(each), append(w.free, coin)
	}
	return w, nil
}

// Script returns the wallet's one output script, P2TR.
func (w *MiniWallet) Script() []byte { return bytes.Clone(w.script) }

// Address returns that script's address.
func (w *MiniWallet) Address() string {
	address, err := btcutil.NewAddressTaproot(w.script[2:], w.client.params)
	if err != nil {
		panic("bitcoind: " + err.Error()) // a witness program of 32 bytes always has one
	}
	return address.String()
}

// Coins returns what the wallet can choose from, oldest first.
func (w *MiniWallet) Coins() []wire.OutPoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]wire.OutPoint(nil), w.free...)
}

// Send builds a transaction and broadcasts it. When the node refuses it, the
// error is an *RPCError and the coins are as before.
func (w *MiniWallet) Send(ctx context.Context, p Payment) (*wire.MsgTx, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := append([]wire.OutPoint(nil), w.free...)
	tx, err := w.build(p)
	if err != nil {
		return nil, err
	}
	err = w.client.Broadcast(ctx, tx)
	if refused := (*RPCError)(nil); errors.As(err, &refused) {
		w.free = before
	}
	return tx, err
}

// Build returns a signed transaction and does not broadcast it. Give Coins to
// build a conflict of another, such as a replacement.
func (w *MiniWallet) Build(p Payment) (*wire.MsgTx, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.build(p)
}

// BuildChain returns n transactions like p, each of which spends the change of
// the one before.
func (w *MiniWallet) BuildChain(n int, p Payment) ([]*wire.MsgTx, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	txs := make([]*wire.MsgTx, 0, n)
	for range n {
		tx, err := w.build(p)
		if err != nil {
			return nil, err
		}
		p.Coins = []wire.OutPoint{changeOf(tx, p)}
		txs = append(txs, tx)
	}
	return txs, nil
}

// BuildPackage returns a parent as p describes it, which pays no fee, and a
// child which spends its change and pays p's fee for both. Both are version 3,
// so that SubmitPackage takes them (BIP 431).
func (w *MiniWallet) BuildPackage(p Payment) (parent, child *wire.MsgTx, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rate, fee := p.FeeRate, p.Fee
	p.Version, p.Fee = 3, NoFee
	if parent, err = w.build(p); err != nil {
		return nil, nil, err
	}
	c := Payment{Version: 3, Coins: []wire.OutPoint{changeOf(parent, p)}, FeeRate: rate, Fee: fee}
	if fee == 0 {
		c.Fee = feeFor(vsizeOf(parent)+keyPathVSize, rate)
	}
	child, err = w.build(c)
	return parent, child, err
}

// changeOf is the outpoint of the change of a transaction that build made.
func changeOf(tx *wire.MsgTx, p Payment) wire.OutPoint {
	return wire.OutPoint{Hash: tx.TxHash(), Index: uint32(len(p.Outputs))}
}

// build makes, signs and notes a transaction.
func (w *MiniWallet) build(p Payment) (*wire.MsgTx, error) {
	tx := wire.NewMsgTx(2)
	if p.Version != 0 {
		tx.Version = p.Version
	}
	tx.LockTime = p.LockTime
	var paid int64
	for _, out := range p.Outputs {
		paid += out.Value
		tx.AddTxOut(wire.NewTxOut(out.Value, out.PkScript))
	}
	tx.AddTxOut(wire.NewTxOut(0, w.script)) // the change
	coins, err := w.fill(tx, p, paid)
	if err != nil {
		return nil, fmt.Errorf("bitcoind: mini wallet: %w", err)
	}
	if err := signKeyPath(tx, coins, w.script, w.key); err != nil {
		return nil, fmt.Errorf("bitcoind: mini wallet: %w", err)
	}
	w.note(tx)
	return tx, nil
}

// fill adds inputs, padding and the amount of the change.
func (w *MiniWallet) fill(tx *wire.MsgTx, p Payment, paid int64) ([]minerCoin, error) {
	change := tx.TxOut[len(tx.TxOut)-1]
	outputs := len(tx.TxOut)
	candidates := p.Coins
	if len(candidates) == 0 {
		candidates = w.free
	}
	var coins []minerCoin
	var sum int64
	for i, at := range candidates {
		amount, known := w.known[at]
		if !known {
			return nil, fmt.Errorf("coin %s is not of this wallet", at)
		}
		sum += amount
		coins = append(coins, minerCoin{outpoint: at, amount: amount})
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: at, Sequence: sequenceOf(p), Witness: wire.TxWitness{make([]byte, 64)}})
		if len(p.Coins) > 0 && i < len(p.Coins)-1 {
			continue // all that were named are spent
		}
		tx.TxOut = tx.TxOut[:outputs]
		padding, err := pad(tx, p.VSize, w.script)
		if err != nil {
			return nil, err
		}
		change.Value = sum - paid - padding - p.feeOf(tx)
		if change.Value >= dustP2TR {
			return coins, nil
		}
	}
	return nil, fmt.Errorf("%w: coins of %d do not leave %d for the change after the payment of %d and the fee",
		ErrNoCoins, sum, dustP2TR, paid)
}

func sequenceOf(p Payment) uint32 {
	if p.Sequence == 0 {
		return wire.MaxTxInSequenceNum - 1
	}
	return p.Sequence
}

// feeOf is what the payment's transaction pays at its size.
func (p Payment) feeOf(tx *wire.MsgTx) int64 {
	switch {
	case p.Fee == NoFee:
		return 0
	case p.Fee != 0:
		return p.Fee
	}
	return feeFor(vsizeOf(tx), p.FeeRate)
}

// feeFor rounds up, so that a fee never falls below its rate.
func feeFor(vsize, rate int64) int64 {
	if rate == 0 {
		rate = defaultFeeRate
	}
	return (vsize*rate + 999) / 1000
}

// note takes the coins that the transaction spends away and adds those it pays.
func (w *MiniWallet) note(tx *wire.MsgTx) {
	spent := make(map[wire.OutPoint]bool)
	for _, in := range tx.TxIn {
		spent[in.PreviousOutPoint] = true
	}
	var free []wire.OutPoint
	for _, coin := range w.free {
		if !spent[coin] {
			free = append(free, coin)
		}
	}
	txid := tx.TxHash()
	for i, out := range tx.TxOut {
		if bytes.Equal(out.PkScript, w.script) && out.Value > dustP2TR { // padding is not worth spending
			coin := wire.OutPoint{Hash: txid, Index: uint32(i)}
			if _, known := w.known[coin]; !known { // the same transaction may be built twice
				w.known[coin], free = out.Value, append(free, coin)
			}
		}
	}
	w.free = free
}

// Add tells the wallet of a transaction made elsewhere that pays its script, or
// spends its coins.
func (w *MiniWallet) Add(tx *wire.MsgTx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(tx)
}

// Forget drops the coins of transactions that will not confirm.
func (w *MiniWallet) Forget(txids ...chainhash.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := setOf(txids)
	var free []wire.OutPoint
	for _, coin := range w.free {
		if !gone[coin.Hash] {
			free = append(free, coin)
		}
	}
	w.free = free
}

// keyPathScript pays to a key by BIP 86.
func keyPathScript(key *btcec.PrivateKey) ([]byte, error) {
	return txscript.PayToTaprootScript(txscript.ComputeTaprootKeyNoScript(key.PubKey()))
}

// vsizeOf is weight/4, rounded up (BIP 141).
func vsizeOf(tx *wire.MsgTx) int64 {
	return (int64(3*tx.SerializeSizeStripped()+tx.SerializeSize()) + 3) / 4
}
