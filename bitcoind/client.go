package bitcoind

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// Errors of Client, for errors.Is.
var (
	// ErrTxNotFound: the transaction is neither in the mempool nor in the
	// active chain, or is in a block and the node keeps no txindex.
	ErrTxNotFound = errors.New("transaction not found")
	// ErrIndexing: the transaction may be in a block that the node, after a
	// start, has not read into its txindex yet. It passes by itself.
	ErrIndexing = errors.New("node is still indexing its chain")
	// ErrBlockNotFound: the node does not know the block, or its chain is lower.
	ErrBlockNotFound = errors.New("block not found")
	// ErrNoFeeEstimate: the node has seen too little to estimate a fee.
	ErrNoFeeEstimate = errors.New("node has no fee estimate")
	// ErrUnsupported: this kind of node cannot do it.
	ErrUnsupported = errors.New("not supported by this node")
)

// Config says how to reach a node. It may be handed to another process.
type Config struct {
	URL      string `json:"url"` // such as http://127.0.0.1:18443
	User     string `json:"user"`
	Password string `json:"password"`

	// Poll is the pause between two looks at the node in waits and in Follow.
	// Zero means 250 ms; a Node's own is 20 ms.
	Poll time.Duration `json:"poll,omitempty"`

	// ZMQ is the address at which the node publishes the topic "sequence", such
	// as tcp://127.0.0.1:28332; empty when it does not. Followers then look as
	// soon as something happens, and still every Poll.
	ZMQ string `json:"zmq,omitempty"`

	// OnRetry, when not nil, is told of each failure that a wait or a follower
	// passes over because the node may come back.
	OnRetry func(error) `json:"-"`
}

// Block names a block by height and hash.
type Block struct {
	Height int32
	Hash   chainhash.Hash
}

// String returns height and hash.
func (b Block) String() string { return fmt.Sprintf("%d %s", b.Height, b.Hash) }

// Client talks to one node. Its methods may be called from several goroutines.
type Client struct {
	config      Config
	http        *http.Client
	maxResponse int64
	nextID      atomic.Uint64
	scan        *sync.Mutex   // a node runs one scantxoutset at a time
	wallets     *sync.Mutex   // one Wallet at a time
	frozen      *atomic.Int64 // the time that Freeze set, in Unix seconds; zero when the clock runs

	shared  bool // with others: disturb refuses
	btcd    bool
	version string

	versionNumber int // of bitcoind, as getnetworkinfo counts: 290000 is 29.0
	params        *chaincfg.Params
}

// Dial connects to a node and asks what it is. It tries once: a node that is
// still starting answers with code CodeInWarmup.
func Dial(ctx context.Context, config Config) (*Client, error) {
	c := newClient(config)
	if err := c.connect(ctx); err != nil {
		c.http.CloseIdleConnections()
		return nil, err
	}
	return c, nil
}

func newClient(config Config) *Client {
	if config.Poll <= 0 {
		config.Poll = 250 * time.Millisecond
	}
	return &Client{config: config, http: newHTTPClient(), maxResponse: maxResponse, scan: &sync.Mutex{}, wallets: &sync.Mutex{}, frozen: &atomic.Int64{}}
}

// connect asks the node for its chain and version. btcd is known by having no
// getnetworkinfo.
func (c *Client) connect(ctx context.Context) error {
	info, err := c.ChainInfo(ctx)
	if err != nil {
		return err
	}
	if c.params, err = chainParams(info.Chain); err != nil {
		return err
	}
	var network struct {
		Version    int    `json:"version"`
		Subversion string `json:"subversion"`
	}
	err = c.Call(ctx, "getnetworkinfo", &network)
	if err == nil {
		c.version, c.versionNumber = strings.Trim(network.Subversion, "/"), network.Version
		return nil
	}
	if !errors.Is(err, &RPCError{Code: CodeMisc}) && !errors.Is(err, &RPCError{Code: CodeMethodNotFound}) {
		return err
	}
	var btcd struct {
		Version int `json:"version"` // two digits each for minor and patch, and two more
	}
	if err := c.Call(ctx, "getinfo", &btcd); err != nil {
		return err
	}
	v := btcd.Version
	c.btcd, c.version = true, fmt.Sprintf("btcd:%d.%d.%d", v/1_000_000, v/10_000%100, v/100%100)
	return nil
}

// chainParams maps the node's name of its chain to btcsuite's parameters.
func chainParams(chain string) (*chaincfg.Params, error) {
	switch chain {
	case "main", "mainnet":
		return &chaincfg.MainNetParams, nil
	case "test", "testnet3":
		return &chaincfg.TestNet3Params, nil
	case "signet":
		return &chaincfg.SigNetParams, nil
	case "regtest":
		return &chaincfg.RegressionNetParams, nil
	case "simnet":
		return &chaincfg.SimNetParams, nil
	}
	return nil, fmt.Errorf("bitcoind: chain %q: %w", chain, ErrUnsupported)
}

// Config returns what another process needs to Dial the same node.
func (c *Client) Config() Config { return c.config }

// Network returns the parameters of the node's chain.
func (c *Client) Network() *chaincfg.Params { return c.params }

// Version returns what the node calls itself, such as "Satoshi:29.0.0".
func (c *Client) Version() string { return c.version }

// ChainInfo is a node's view of its chain.
type ChainInfo struct {
	Chain      string // main, test, signet, regtest; btcd says mainnet and testnet3
	Tip        Block
	Headers    int32     // height of the best header; above Tip while catching up
	MedianTime time.Time // median time past of the tip (BIP 113)
}

// ChainInfo returns the node's view of its chain.
func (c *Client) ChainInfo(ctx context.Context) (ChainInfo, error) {
	var r struct {
		Chain         string   `json:"chain"`
		Blocks        int32    `json:"blocks"`
		Headers       int32    `json:"headers"`
		BestBlockHash hashJSON `json:"bestblockhash"`
		MedianTime    int64    `json:"mediantime"`
	}
	if err := c.Call(ctx, "getblockchaininfo", &r); err != nil {
		return ChainInfo{}, err
	}
	return ChainInfo{
		Chain:      r.Chain,
		Tip:        Block{Height: r.Blocks, Hash: r.BestBlockHash.Hash},
		Headers:    r.Headers,
		MedianTime: time.Unix(r.MedianTime, 0),
	}, nil
}

// Tip returns the last block of the active chain.
func (c *Client) Tip(ctx context.Context) (Block, error) {
	info, err := c.ChainInfo(ctx)
	return info.Tip, err
}

// Height returns the height of the active chain's tip.
func (c *Client) Height(ctx context.Context) (int32, error) {
	tip, err := c.Tip(ctx)
	return tip.Height, err
}

// BlockHash returns the hash of the active chain's block at a height, or
// ErrBlockNotFound above the tip.
func (c *Client) BlockHash(ctx context.Context, height int32) (chainhash.Hash, error) {
	var hash hashJSON
	err := c.Call(ctx, "getblockhash", &hash, height)
	if errors.Is(err, &RPCError{Code: CodeInvalidParameter}) || errors.Is(err, &RPCError{Code: CodeMisc}) {
		err = fmt.Errorf("bitcoind: height %d: %w", height, ErrBlockNotFound)
	}
	return hash.Hash, err
}

// Header returns a block's header and height, also of a block which is not in
// the active chain. A block that the node does not know is ErrBlockNotFound.
func (c *Client) Header(ctx context.Context, hash chainhash.Hash) (*wire.BlockHeader, int32, error) {
	var r struct {
		Height   int32    `json:"height"`
		Version  int32    `json:"version"`
		Previous hashJSON `json:"previousblockhash"`
		Merkle   hashJSON `json:"merkleroot"`
		Time     int64    `json:"time"`
		Bits     bitsJSON `json:"bits"`
		Nonce    uint32   `json:"nonce"`
	}
	err := c.Call(ctx, "getblockheader", &r, hash.String(), true)
	if c.btcd && errors.Is(err, &RPCError{Code: codeInternal}) {
		return c.staleHeader(ctx, hash)
	}
	if err != nil {
		return nil, 0, blockError(hash, err)
	}
	header := &wire.BlockHeader{
		Version:    r.Version,
		PrevBlock:  r.Previous.Hash,
		MerkleRoot: r.Merkle.Hash,
		Timestamp:  time.Unix(r.Time, 0),
		Bits:       uint32(r.Bits),
		Nonce:      r.Nonce,
	}
	if header.BlockHash() != hash {
		return nil, 0, fmt.Errorf("bitcoind: header of %s: node answered with another block", hash)
	}
	return header, r.Height, nil
}

// Block returns a whole block. One that the node does not know is
// ErrBlockNotFound.
func (c *Client) Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	var raw string
	if err := c.Call(ctx, "getblock", &raw, hash.String(), 0); err != nil {
		return nil, blockError(hash, err)
	}
	var block wire.MsgBlock
	if err := block.Deserialize(hex.NewDecoder(strings.NewReader(raw))); err != nil {
		return nil, fmt.Errorf("bitcoind: block %s: %w", hash, err)
	}
	return &block, nil
}

// blockTxs returns the transactions of a block, in its order.
func (c *Client) blockTxs(ctx context.Context, hash chainhash.Hash) ([]chainhash.Hash, error) {
	var r struct {
		Tx []hashJSON `json:"tx"`
	}
	if err := c.Call(ctx, "getblock", &r, hash.String(), 1); err != nil {
		return nil, blockError(hash, err)
	}
	txids := make([]chainhash.Hash, len(r.Tx))
	for i, tx := range r.Tx {
		txids[i] = tx.Hash
	}
	return txids, nil
}

func blockError(hash chainhash.Hash, err error) error {
	if errors.Is(err, &RPCError{Code: CodeNotFound}) {
		return fmt.Errorf("bitcoind: block %s: %w", hash, ErrBlockNotFound)
	}
	return err
}

// FeeRate returns the node's estimate, in satoshis per 1,000 virtual bytes,
// for confirmation within target blocks, or ErrNoFeeEstimate.
func (c *Client) FeeRate(ctx context.Context, target int) (satPerKvB int64, err error) {
	if c.btcd {
		// btcd's estimatefee is in BTC per 1,000 bytes, and an error before
		// it has seen enough blocks.
		var rate float64
		err := c.Call(ctx, "estimatefee", &rate, target)
		var refused *RPCError
		if errors.As(err, &refused) || (err == nil && rate <= 0) {
			return 0, fmt.Errorf("bitcoind: fee for %d blocks: %w", target, ErrNoFeeEstimate)
		}
		if err != nil {
			return 0, err
		}
		return satoshis(rate)
	}
	var r struct {
		FeeRate *float64 `json:"feerate"`
	}
	if err := c.Call(ctx, "estimatesmartfee", &r, target); err != nil {
		return 0, err
	}
	if r.FeeRate == nil {
		return 0, fmt.Errorf("bitcoind: fee for %d blocks: %w", target, ErrNoFeeEstimate)
	}
	return satoshis(*r.FeeRate)
}

// hashJSON reads a hash as RPC writes it: reversed hex, or nothing.
type hashJSON struct{ chainhash.Hash }

func (h *hashJSON) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	if text == "" || text == "null" {
		h.Hash = chainhash.Hash{}
		return nil
	}
	if len(text) != chainhash.MaxHashStringSize {
		return fmt.Errorf("hash of %d characters", len(text))
	}
	return chainhash.Decode(&h.Hash, text)
}

// bitsJSON reads a compact target, written as hex.
type bitsJSON uint32

func (n *bitsJSON) UnmarshalJSON(b []byte) error {
	_, err := fmt.Sscanf(string(b), `"%08x"`, (*uint32)(n))
	return err
}
