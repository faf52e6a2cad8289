package bitcoind

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

const (
	// fundFeeRate, in satoshis per virtual byte, is well above every default
	// floor.
	fundFeeRate = 10

	// inputSize is the virtual size of a taproot key path input, rounded up:
	// 41 bytes and a witness of 66, which count a quarter.
	inputSize = 58

	// minChange is the least change worth an output, in satoshis.
	minChange = 1000

	// spareCoins is how many coins the first mining for money matures, so
	// that as many payments can be made at once without mining again.
	spareCoins = 20

	// maxDepth bounds chains of unconfirmed change. Nodes refuse the 26th.
	maxDepth = 20
)

// minerCoin is an output that the miner can spend.
type minerCoin struct {
	outpoint wire.OutPoint
	amount   int64
	matureAt int32 // the first height of a block that may spend it; zero for change
	depth    int   // unconfirmed transactions of the miner behind it, at most
}

// Fund pays amount to an output script and returns the coin. The payment is in
// the mempool when Fund returns; mine a block to confirm it. When no coin of
// the miner is mature, Fund mines first, which on a new chain is some 120
// blocks (on btcd 432, which it needs to activate segwit and taproot).
func (m *Miner) Fund(ctx context.Context, script []byte, amount btcutil.Amount) (wire.OutPoint, error) {
	coins, err := m.FundMany(ctx, []*wire.TxOut{wire.NewTxOut(int64(amount), script)})
	if err != nil {
		return wire.OutPoint{}, err
	}
	return coins[0], nil
}

// FundAddress is Fund for an address of the node's chain.
func (m *Miner) FundAddress(ctx context.Context, address string, amount btcutil.Amount) (wire.OutPoint, error) {
	script, err := m.client.AddressScript(address)
	if err != nil {
		return wire.OutPoint{}, err
	}
	return m.Fund(ctx, script, amount)
}

// FundMany is Fund for several outputs in one transaction. The coins are in the
// order of the outputs. A node relays some 2,000 outputs at once.
func (m *Miner) FundMany(ctx context.Context, outputs []*wire.TxOut) ([]wire.OutPoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fundMany(ctx, outputs, false)
}

// fundMany pays through the mempool, or, with direct, by a block of its own which
// holds nothing else: that works too when the mempool is full.
func (m *Miner) fundMany(ctx context.Context, outputs []*wire.TxOut, direct bool) ([]wire.OutPoint, error) {
	tx := wire.NewMsgTx(2)
	var total int64
	for i, out := range outputs {
		if out.Value < 0 || out.Value > btcutil.MaxSatoshi-total {
			return nil, fmt.Errorf("bitcoind: fund: output %d: amount %d out of range", i, out.Value)
		}
		total += out.Value
		tx.AddTxOut(wire.NewTxOut(out.Value, out.PkScript))
	}
	if len(outputs) == 0 {
		return nil, errors.New("bitcoind: fund: no outputs")
	}
	if err := m.pay(ctx, tx, total, direct); err != nil {
		return nil, fmt.Errorf("bitcoind: fund: %w", err)
	}
	coins := make([]wire.OutPoint, len(outputs))
	for i := range coins {
		coins[i] = wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}
	}
	return coins, nil
}

// pay adds inputs and change to tx, signs it and broadcasts or mines it.
func (m *Miner) pay(ctx context.Context, tx *wire.MsgTx, total int64, direct bool) error {
	if err := m.activate(ctx); err != nil {
		return err
	}
	tx.AddTxOut(wire.NewTxOut(0, m.script)) // the change, filled in below
	size := int64(tx.SerializeSize()) + 8   // with room for marker, flag and longer counts
	coins, err := m.gather(ctx, total+size*fundFeeRate, direct)
	if err != nil {
		return err
	}
	sum, depth := int64(0), 0
	for _, coin := range coins {
		sum, depth = sum+coin.amount, depth+coin.depth
	}
	last := len(tx.TxOut) - 1
	fee := (size + int64(len(coins))*inputSize) * fundFeeRate
	if change := sum - total - fee; change >= minChange {
		tx.TxOut[last].Value = change
	} else {
		tx.TxOut = tx.TxOut[:last]
	}
	if err := m.sign(tx, coins); err != nil {
		return err
	}
	if direct {
		_, err = m.mine(ctx, 1, &mineSettings{script: m.script, txs: []*wire.MsgTx{tx}, empty: true})
	} else {
		err = m.client.Broadcast(ctx, tx)
	}
	if refused := (*RPCError)(nil); errors.As(err, &refused) || errors.Is(err, ErrBlockRefused) {
		return err // the coins are as they were
	}
	// After a lost reply the coins may be spent: never offer them again.
	m.forget(coins)
	if err != nil {
		return err
	}
	if len(tx.TxOut) > last {
		m.coins = append(m.coins, minerCoin{
			outpoint: wire.OutPoint{Hash: tx.TxHash(), Index: uint32(last)},
			amount:   tx.TxOut[last].Value,
			depth:    depth + 1,
		})
	}
	return nil
}

// gather returns coins of at least the amount and their own fees, mining until
// there are enough. The first of those blocks confirms change of before; with
// direct it is empty as the others are, and the coins are confirmed.
func (m *Miner) gather(ctx context.Context, amount int64, direct bool) ([]minerCoin, error) {
	for {
		tip, err := m.client.Tip(ctx)
		if err != nil {
			return nil, err
		}
		coins, sum, err := m.choose(ctx, tip.Height, amount, direct)
		if err != nil || sum >= amount {
			return coins, err
		}
		n, err := m.blocksFor(tip.Height, amount)
		if err != nil {
			return nil, err
		}
		if _, err := m.mine(ctx, 1, &mineSettings{script: m.script, empty: direct}); err != nil {
			return nil, err
		}
		if _, err := m.mine(ctx, n-1, &mineSettings{script: m.script, empty: true}); err != nil {
			return nil, err
		}
	}
}

// blocksFor returns how many blocks to mine before it is worth choosing again.
func (m *Miner) blocksFor(height int32, amount int64) (int, error) {
	if len(m.coins) == 0 {
		amount = max(amount, spareCoins*subsidy(height+1))
	}
	sum, n := int64(0), 0
	for _, coin := range m.coins {
		sum += worth(coin.amount)
	}
	for ; sum < amount; n++ {
		coin := worth(subsidy(height + 1 + int32(n)))
		if coin == 0 {
			return 0, fmt.Errorf("%w: %v wanted, %v to be had", ErrNoCoins, btcutil.Amount(amount), btcutil.Amount(sum))
		}
		sum += coin
	}
	if n > 0 {
		return n + int(m.client.params.CoinbaseMaturity), nil
	}
	return 10, nil // enough is there, and needs only to mature or to confirm
}

// worth is what a coin adds to a payment, after the fee of its input.
func worth(amount int64) int64 { return max(0, amount-inputSize*fundFeeRate) }

// choose picks spendable coins, confirmed ones first and oldest first, until
// they reach the amount and the fees of their inputs. The sum it returns is
// without those fees. It forgets coins that the chain no longer has.
func (m *Miner) choose(ctx context.Context, height int32, amount int64, confirmed bool) (coins []minerCoin, sum int64, err error) {
	var gone, unconfirmed []minerCoin
	depth := 0
	take := func(coin minerCoin) {
		coins, depth = append(coins, coin), depth+coin.depth
		sum += worth(coin.amount)
	}
	for _, coin := range m.coins {
		if sum >= amount {
			break
		}
		if coin.matureAt > height+1 || worth(coin.amount) == 0 {
			continue
		}
		confirmations, err := m.client.confirmations(ctx, coin.outpoint, true)
		switch {
		case errors.Is(err, ErrTxNotFound):
			gone = append(gone, coin)
		case err != nil:
			return nil, 0, err
		case confirmations == 0:
			// btcd's mempool may hold a payment whose inputs a reorganisation
			// took away, with its change; see dropOrphans.
			if !m.client.btcd && !confirmed {
				unconfirmed = append(unconfirmed, coin)
			}
		default:
			coin.depth = 0
			take(coin)
		}
	}
	for _, coin := range unconfirmed {
		if sum < amount && depth+coin.depth < maxDepth {
			take(coin)
		}
	}
	m.forget(gone)
	return coins, sum, nil
}

// confirmations returns those of an unspent output, or ErrTxNotFound. With
// mempool, outputs there count, and outputs spent there do not.
func (c *Client) confirmations(ctx context.Context, outpoint wire.OutPoint, mempool bool) (int64, error) {
	var r *struct {
		Confirmations int64 `json:"confirmations"`
	}
	err := c.Call(ctx, "gettxout", &r, outpoint.Hash.String(), outpoint.Index, mempool)
	if err != nil {
		return 0, err
	}
	if r == nil {
		return 0, fmt.Errorf("bitcoind: coin %s: %w", outpoint, ErrTxNotFound)
	}
	return r.Confirmations, nil
}

// forget removes coins.
func (m *Miner) forget(coins []minerCoin) {
	if len(coins) == 0 {
		return
	}
	drop := make(map[wire.OutPoint]bool, len(coins))
	for _, coin := range coins {
		drop[coin.outpoint] = true
	}
	kept := m.coins[:0]
	for _, coin := range m.coins {
		if !drop[coin.outpoint] {
			kept = append(kept, coin)
		}
	}
	m.coins = kept
}

// sign adds the coins as inputs and spends them.
func (m *Miner) sign(tx *wire.MsgTx, coins []minerCoin) error {
	for _, coin := range coins {
		tx.AddTxIn(wire.NewTxIn(&coin.outpoint, nil, nil))
	}
	return signKeyPath(tx, coins, m.script, m.key)
}

// signKeyPath spends coins of one script, which are the inputs of tx in this
// order, by the key path (BIP 341, BIP 86).
func signKeyPath(tx *wire.MsgTx, coins []minerCoin, script []byte, key *btcec.PrivateKey) error {
	previous := txscript.NewMultiPrevOutFetcher(nil)
	for _, coin := range coins {
		previous.AddPrevOut(coin.outpoint, wire.NewTxOut(coin.amount, script))
	}
	hashes := txscript.NewTxSigHashes(tx, previous)
	for i, coin := range coins {
		witness, err := txscript.TaprootWitnessSignature(tx, hashes, i, coin.amount, script, txscript.SigHashDefault, key)
		if err != nil {
			return fmt.Errorf("sign input %d: %w", i, err)
		}
		tx.TxIn[i].Witness = witness
	}
	return nil
}
