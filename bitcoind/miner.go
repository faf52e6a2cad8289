package bitcoind

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// Errors of Miner, for errors.Is.
var (
	// ErrNotRegtest: the package mines and spends on regtest only.
	ErrNotRegtest = errors.New("chain is not regtest")
	// ErrBlockRefused: the node did not accept a block of the miner.
	ErrBlockRefused = errors.New("block refused")
	// ErrNoCoins: the regtest subsidy has run out before the amount was reached.
	ErrNoCoins = errors.New("not enough mined coins")
)

// Miner makes blocks on a regtest node and spends what they pay, with a key
// that it holds itself: the node needs no wallet. It knows only the coins of
// blocks that it mined. Its methods may be called from several goroutines; they
// wait for each other.
type Miner struct {
	client *Client
	key    *btcec.PrivateKey
	script []byte   // P2TR, key path, of that key
	nonce  [32]byte // makes its coinbases different from those of any other

	mu    sync.Mutex
	mined uint64 // blocks built, for the extra nonce
	coins []minerCoin

	activated bool // btcd: segwit and taproot are
}

// NewMiner makes a miner for a node that something else runs. The same seed
// always gives the same key; with none the key is random.
func NewMiner(client *Client, seed []byte) (*Miner, error) {
	if client.Network().Net != chaincfg.RegressionNetParams.Net {
		return nil, fmt.Errorf("bitcoind: miner on %s: %w", client.Network().Name, ErrNotRegtest)
	}
	if seed == nil {
		seed = make([]byte, 32)
		rand.Read(seed) // never fails
	}
	m := &Miner{client: client}
	rand.Read(m.nonce[:])
	hash := sha256.Sum256(seed)
	m.key, _ = btcec.PrivKeyFromBytes(hash[:])
	var err error
	if m.script, err = keyPathScript(m.key); err != nil {
		return nil, fmt.Errorf("bitcoind: miner: %w", err)
	}
	return m, nil
}

// MinerScript returns the output script that the coinbases pay.
func (m *Miner) MinerScript() []byte { return append([]byte(nil), m.script...) }

// Mine adds n blocks to the active chain and returns their hashes, lowest
// first. Unless an option says otherwise each holds what the mempool held,
// parents before children, and pays the miner. Block times increase strictly,
// from the clock's; coinbases are unique. When it fails, the hashes of the
// blocks mined until then come with the error.
func (m *Miner) Mine(ctx context.Context, n int, options ...MineOption) ([]chainhash.Hash, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.mineSettings(options)
	if err != nil {
		return nil, err
	}
	return m.mine(ctx, n, s)
}

func (m *Miner) mine(ctx context.Context, n int, s *mineSettings) ([]chainhash.Hash, error) {
	var hashes []chainhash.Hash
	var at *site
	for range n {
		var err error
		if at, err = m.mineOne(ctx, s, at); err != nil {
			return hashes, fmt.Errorf("bitcoind: mine block %d of %d: %w", len(hashes)+1, n, err)
		}
		hashes, s = append(hashes, at.tip.Hash), s.next()
	}
	return hashes, nil
}

// mineAlone mines n empty blocks on a node that nobody else knows yet. It can build
// all of them first and give them to the node many at a time, which is much
// quicker. Their times lie in the past, so that later blocks have room before
// the present.
func (m *Miner) mineAlone(ctx context.Context, n int) error {
	if n <= 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.look(ctx)
	if err != nil {
		return err
	}
	const most = 200 // in one request
	begin := m.client.Now().Add(-time.Duration(n) * time.Second).Truncate(time.Second)
	var blocks []*wire.MsgBlock
	for i := range n {
		plan := m.plan(at.tip, at.header, at.medianTime)
		plan.time = begin.Add(time.Duration(i) * time.Second)
		block, err := plan.build()
		if err != nil {
			return err
		}
		at = &site{tip: Block{Height: at.tip.Height + 1, Hash: block.BlockHash()}, header: &block.Header}
		m.note(block, at.tip.Height)
		if blocks = append(blocks, block); len(blocks) == most || i == n-1 {
			if err := m.client.submitBlocks(ctx, blocks); err != nil {
				return fmt.Errorf("bitcoind: mine blocks up to %d of %d: %w", i+1, n, err)
			}
			blocks = blocks[:0]
		}
	}
	tip, err := m.client.Tip(ctx)
	if err == nil && tip != at.tip {
		err = fmt.Errorf("bitcoind: mine %d blocks: %w: the tip is %s", n, ErrBlockRefused, tip)
	}
	return err
}

// site is where a block is put: the tip as the miner knows it.
type site struct {
	tip        Block
	header     *wire.BlockHeader
	medianTime time.Time // past; zero where it is not needed
}

// look asks for the tip.
func (m *Miner) look(ctx context.Context) (*site, error) {
	info, err := m.client.ChainInfo(ctx)
	if err != nil {
		return nil, err
	}
	header, _, err := m.client.Header(ctx, info.Tip.Hash)
	return &site{tip: info.Tip, header: header, medianTime: info.MedianTime}, err
}

// known reports whether a block can be put there without asking: the median time
// decides only when block times have run far ahead.
func (s *site) known(now time.Time) bool {
	return s != nil && s.header.Timestamp.Before(now.Add(maxAhead-time.Minute))
}

// mineOne mines on the tip, which is at the site unless somebody else mined since,
// and returns the new tip. When the tip or the mempool changes while the block is
// being built, it starts over.
func (m *Miner) mineOne(ctx context.Context, s *mineSettings, at *site) (_ *site, err error) {
	const attempts = 100 // each of which somebody else won
	for attempt := 1; ; attempt++ {
		if !at.known(m.client.Now()) {
			if at, err = m.look(ctx); err != nil {
				return nil, err
			}
		}
		txs, fees, err := s.contents(ctx, m.client)
		if err != nil {
			return nil, err
		}
		plan := m.plan(at.tip, at.header, at.medianTime)
		plan.txs, plan.fees = txs, fees
		plan.script, plan.edit = s.script, s.edit
		if !s.at.IsZero() {
			plan.time = s.at.Truncate(time.Second)
		}
		next, err := m.submit(ctx, plan)
		if !errors.Is(err, ErrBlockRefused) || attempt == attempts {
			return next, err
		}
		tip, lookup := m.client.Tip(ctx)
		if lookup != nil || tip == at.tip {
			return nil, err // nothing has changed: the block itself is at fault
		}
		at = nil
	}
}

// plan prepares an empty block on a parent.
func (m *Miner) plan(parent Block, header *wire.BlockHeader, medianTime time.Time) blockPlan {
	version := int32(0x20000000)
	if m.client.btcd {
		version |= 1<<0 | 1<<1 | 1<<2 // votes for CSV, segwit and taproot, which btcd's regtest starts without
	}
	m.mined++
	return blockPlan{
		parent:     parent,
		version:    version,
		bits:       header.Bits,
		time:       blockTime(m.client.Now(), header.Timestamp, medianTime),
		script:     m.script,
		extraNonce: m.extraNonce(),
	}
}

// extraNonce is different for each block and each miner.
func (m *Miner) extraNonce() []byte {
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(m.nonce[:], m.mined))
	return hash[:8]
}

// submit builds the block, gives it to the node and notes its coins.
func (m *Miner) submit(ctx context.Context, plan blockPlan) (*site, error) {
	block, err := plan.build()
	if err != nil {
		return nil, err
	}
	reason, err := m.client.submitBlock(ctx, block)
	if err != nil {
		return nil, err
	}
	tip := Block{Height: plan.parent.Height + 1, Hash: block.BlockHash()}
	if reason == "" && m.client.btcd {
		active, err := m.client.BlockHash(ctx, tip.Height)
		if err != nil {
			return nil, err
		}
		if active != tip.Hash {
			reason = "inconclusive" // as bitcoind says
		}
	}
	if reason != "" {
		return nil, fmt.Errorf("%w: on %s: %s", ErrBlockRefused, plan.parent, reason)
	}
	m.note(block, tip.Height)
	return &site{tip: tip, header: &block.Header}, nil
}

// submitBlock gives a block to the node, which answers with its reason when the
// block did not become the tip. btcd answers so only to a bad block.
func (c *Client) submitBlock(ctx context.Context, block *wire.MsgBlock) (reason string, err error) {
	raw, err := encodeHex(block.Serialize)
	if err != nil {
		return "", err
	}
	var refused *string
	if err := c.Call(ctx, "submitblock", &refused, raw); err != nil || refused == nil {
		return "", err
	}
	return *refused, nil
}

// submitBlocks gives blocks to the node in one request. All must become the tip.
func (c *Client) submitBlocks(ctx context.Context, blocks []*wire.MsgBlock) error {
	params := make([][]any, len(blocks))
	for i, block := range blocks {
		raw, err := encodeHex(block.Serialize)
		if err != nil {
			return err
		}
		params[i] = []any{raw}
	}
	reasons, err := c.callInTurn(ctx, "submitblock", params)
	if err != nil {
		return err
	}
	for _, reason := range reasons {
		if string(reason) != "null" {
			return fmt.Errorf("%w: %s", ErrBlockRefused, reason)
		}
	}
	return nil
}

// note remembers what the block pays the miner.
func (m *Miner) note(block *wire.MsgBlock, height int32) {
	coinbase := block.Transactions[0]
	for i, out := range coinbase.TxOut {
		if bytes.Equal(out.PkScript, m.script) {
			m.coins = append(m.coins, minerCoin{
				outpoint: wire.OutPoint{Hash: coinbase.TxHash(), Index: uint32(i)},
				amount:   out.Value,
				matureAt: height + int32(m.client.params.CoinbaseMaturity),
			})
		}
	}
}
