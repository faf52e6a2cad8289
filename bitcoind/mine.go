package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// ErrNotMineable: a transaction that was named for a block is not in the
// mempool, or depends on one that was not named.
var ErrNotMineable = errors.New("transaction cannot be mined")

// MineOption changes the blocks that Mine builds.
type MineOption func(*mineSettings)

type mineSettings struct {
	script  []byte // that the coinbases pay; nil for the miner's own
	address string // the same by address
	empty   bool
	only    []chainhash.Hash // with empty: what is taken from the mempool all the same
	txs     []*wire.MsgTx
	at      time.Time // of the first block; zero for the clock's
	edit    func(*wire.MsgTx)
}

// MineTo makes the coinbases pay an output script instead of the miner's own.
func MineTo(script []byte) MineOption { return func(s *mineSettings) { s.script = script } }

// MineToAddress makes the coinbases pay an address.
func MineToAddress(address string) MineOption {
	return func(s *mineSettings) { s.address = address }
}

// MineEmpty leaves the mempool as it is.
func MineEmpty() MineOption { return func(s *mineSettings) { s.empty = true } }

// MineOnly puts these transactions of the mempool into the first block, parents
// before children, and nothing else; further blocks of the call are empty. A
// transaction that is not there, or whose unconfirmed parent is not named too,
// is ErrNotMineable, and nothing is mined.
func MineOnly(txids ...chainhash.Hash) MineOption {
	return func(s *mineSettings) { s.only, s.empty = append(s.only, txids...), true }
}

// MineTxs puts these transactions into the first block in the order given, and
// nothing else, whether or not the mempool has or would take them; further
// blocks of the call are empty.
func MineTxs(txs ...*wire.MsgTx) MineOption {
	return func(s *mineSettings) { s.txs, s.empty = append(s.txs, txs...), true }
}

// MineAt gives the first block this time, in whole seconds; each further block
// of the call is one second later. Consensus wants it after the median time past
// (BIP 113) and not more than two hours ahead of the node's clock.
func MineAt(t time.Time) MineOption { return func(s *mineSettings) { s.at = t } }

// MineCoinbase lets edit change each coinbase before the block is sealed: its
// outputs, or what follows the height in its script. The witness commitment is
// added afterwards.
func MineCoinbase(edit func(coinbase *wire.MsgTx)) MineOption {
	return func(s *mineSettings) { s.edit = edit }
}

// mineSettings gathers options.
func (m *Miner) mineSettings(options []MineOption) (*mineSettings, error) {
	s := &mineSettings{}
	for _, option := range options {
		option(s)
	}
	if s.address != "" {
		var err error
		if s.script, err = m.client.AddressScript(s.address); err != nil {
			return nil, err
		}
	}
	if s.script == nil {
		s.script = m.script
	}
	return s, nil
}

// next is what the settings ask of the blocks after the first.
func (s *mineSettings) next() *mineSettings {
	after := *s
	after.only, after.txs = nil, nil
	if !after.at.IsZero() {
		after.at = after.at.Add(time.Second)
	}
	return &after
}

// contents returns the transactions of the next block and their fees.
func (s *mineSettings) contents(ctx context.Context, c *Client) (txs []*wire.MsgTx, fees int64, err error) {
	if !s.empty || len(s.only) > 0 {
		pool, err := c.pool(ctx)
		if err != nil {
			return nil, 0, err
		}
		if txs, fees, err = s.fromPool(pool); err != nil {
			return nil, 0, err
		}
	}
	more, err := c.fees(ctx, s.txs, nil)
	return append(txs, s.txs...), fees + more, err
}

// fromPool selects from the mempool, all of it or what was named.
func (s *mineSettings) fromPool(pool map[string]*poolTx) ([]*wire.MsgTx, int64, error) {
	if !s.empty {
		txs, fees := selectTxs(pool)
		return txs, fees, nil
	}
	named := make(map[string]*poolTx, len(s.only))
	for _, txid := range s.only {
		t := pool[txid.String()]
		if t == nil {
			return nil, 0, fmt.Errorf("%w: %s is not in the mempool", ErrNotMineable, txid)
		}
		named[txid.String()] = t
	}
	txs, fees := selectTxs(named)
	if len(txs) == len(named) {
		return txs, fees, nil
	}
	for _, tx := range txs {
		delete(named, tx.TxHash().String())
	}
	for txid := range named {
		return nil, 0, fmt.Errorf("%w: %s: a parent in the mempool is not named, or the block is full", ErrNotMineable, txid)
	}
	return txs, fees, nil
}

// fees adds up what transactions leave to the miner. Their inputs are looked up
// among themselves, in known, and at the node. A transaction with an input that
// nobody knows counts nothing: the coinbase may claim less than it could.
func (c *Client) fees(ctx context.Context, txs []*wire.MsgTx, known map[chainhash.Hash]*wire.MsgTx) (int64, error) {
	among := make(map[chainhash.Hash]*wire.MsgTx, len(txs))
	for _, tx := range txs {
		among[tx.TxHash()] = tx
	}
	var total int64
	for _, tx := range txs {
		fee := int64(0)
		for _, out := range tx.TxOut {
			fee -= out.Value
		}
		for _, in := range tx.TxIn {
			at := in.PreviousOutPoint
			previous := among[at.Hash]
			if previous == nil {
				previous = known[at.Hash]
			}
			if previous == nil {
				var err error
				previous, _, _, err = c.Tx(ctx, at.Hash)
				if err != nil && !errors.Is(err, ErrTxNotFound) {
					return 0, err
				}
			}
			if previous == nil || int(at.Index) >= len(previous.TxOut) {
				fee = 0
				break
			}
			fee += previous.TxOut[at.Index].Value
		}
		total += max(fee, 0)
	}
	return total, nil
}

// MineUntilConfirmed waits until the mempool or the chain has the transaction,
// then mines until it has n confirmations, and returns the blocks mined. It
// fails with ErrTxNotFound when the transaction leaves the mempool without a
// block, and with ErrNotMineable when ten blocks in a row leave it out.
func (m *Miner) MineUntilConfirmed(ctx context.Context, txid chainhash.Hash, n int64) ([]chainhash.Hash, error) {
	if err := m.client.WaitTx(ctx, txid); err != nil {
		return nil, err
	}
	const patience = 10
	var hashes []chainhash.Hash
	for passed := 0; ; {
		_, confirmations, _, err := m.client.Tx(ctx, txid)
		switch {
		case err != nil:
			return hashes, fmt.Errorf("bitcoind: mine until confirmed: %w", err)
		case confirmations >= n:
			return hashes, nil
		case confirmations > 0:
			passed = 0
		case passed == patience:
			return hashes, fmt.Errorf("bitcoind: mine until confirmed: %w: %s is still in the mempool after %d blocks", ErrNotMineable, txid, passed)
		}
		mined, err := m.Mine(ctx, 1)
		hashes, passed = append(hashes, mined...), passed+1
		if err != nil {
			return hashes, err
		}
	}
}

// AddressScript returns the output script of an address of the node's chain.
func (c *Client) AddressScript(address string) ([]byte, error) {
	decoded, err := btcutil.DecodeAddress(address, c.params)
	if err != nil {
		return nil, fmt.Errorf("bitcoind: address %q: %w", address, err)
	}
	if !decoded.IsForNet(c.params) {
		return nil, fmt.Errorf("bitcoind: address %q is not of %s", address, c.params.Name)
	}
	script, err := txscript.PayToAddrScript(decoded)
	if err != nil {
		return nil, fmt.Errorf("bitcoind: address %q: %w", address, err)
	}
	return script, nil
}
