package proof

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
)

// Chain is what a verifier knows of the chain: headers from the bank's birth on,
// or the hash of a single block. It is immutable and safe for concurrent use.
type Chain struct {
	heights map[chainhash.Hash]uint32
	tip     uint32 // 0 when only one block's hash is known
}

// ErrHeaders says that headers are not a chain of the bank's network.
var ErrHeaders = errors.New("these are not the headers of the bank's chain")

const headerSize = wire.MaxBlockHeaderPayload

// ReadHeaders reads block headers, one a line in hex, as a node's getblockheader
// prints them with verbose=false: first the one after the bank's birth block, then
// all that follow it, without gaps. Each must name the one before, and have the
// work that it claims and that the network's rules demand, as far as they can be
// computed: where the first header of a period of 2016 blocks is not among them, a
// change is only bounded (by the factor 4). Error: ErrHeaders.
//
// What stands in no header is not checked: that the blocks are valid, and on a
// signet that they are signed. Take headers from a node that you trust, or compare
// the last one's hash.
func ReadHeaders(r io.Reader, charter *ledger.Charter) (*Chain, error) {
	rules, err := newWorkRules(charter)
	if err != nil {
		return nil, err
	}
	c := &Chain{heights: make(map[chainhash.Hash]uint32), tip: charter.BirthHeight}
	before := chainhash.Hash(charter.BirthHash)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%w: block %d: %s", ErrHeaders, c.tip+1, fmt.Sprintf(format, args...))
		}
		raw, err := hex.AppendDecode(nil, line)
		if err != nil {
			return nil, bad("%v", err)
		}
		header, err := decodeHeader(raw)
		switch {
		case err != nil:
			return nil, bad("%v", err)
		case header.PrevBlock != before:
			return nil, bad("it follows %s and not %s", header.PrevBlock, before)
		}
		hash := header.BlockHash()
		if err := rules.take(c.tip+1, header, hash); err != nil {
			return nil, bad("%v", err)
		}
		c.tip++
		c.heights[hash] = c.tip
		before = hash
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHeaders, err)
	}
	if len(c.heights) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrHeaders)
	}
	return c, nil
}

// KnownBlock is what a verifier knows who has looked one block up elsewhere.
func KnownBlock(hash chainhash.Hash) *Chain {
	return &Chain{heights: map[chainhash.Hash]uint32{hash: 0}}
}

// find says where a block stands; 0 and 0 when only its hash is known.
func (c *Chain) find(hash chainhash.Hash) (height, confirmations uint32, found bool) {
	height, found = c.heights[hash]
	if found && height > 0 {
		confirmations = c.tip - height + 1
	}
	return height, confirmations, found
}

func decodeHeader(raw []byte) (*wire.BlockHeader, error) {
	if len(raw) != headerSize {
		return nil, fmt.Errorf("a block header has %d bytes, not %d", headerSize, len(raw))
	}
	header := &wire.BlockHeader{}
	return header, header.Deserialize(bytes.NewReader(raw))
}

func encodeHeader(h *wire.BlockHeader) []byte {
	var b bytes.Buffer
	_ = h.Serialize(&b) // a bytes.Buffer does not fail
	return b.Bytes()
}

// networks are the chains that a charter can name.
var networks = []*chaincfg.Params{&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.SigNetParams, &chaincfg.RegressionNetParams}

// paramsOf is the network of a charter's chain.
func paramsOf(charter *ledger.Charter) (*chaincfg.Params, error) {
	for _, p := range networks {
		if ledger.Hash(*p.GenesisHash) == charter.Chain {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: the charter's chain, with the genesis block %s, is not known here", ErrHeaders, chainhash.Hash(charter.Chain))
}

// checkWork checks that a header has the work that it claims, within the network's
// least.
func checkWork(params *chaincfg.Params, header *wire.BlockHeader, hash chainhash.Hash) error {
	target := blockchain.CompactToBig(header.Bits)
	switch {
	case target.Sign() <= 0 || target.Cmp(params.PowLimit) > 0:
		return fmt.Errorf("its difficulty (bits %08x) is none that %s allows", header.Bits, params.Name)
	case blockchain.HashToBig(&hash).Cmp(target) > 0:
		return fmt.Errorf("its hash %s does not have the work that it claims", hash)
	}
	return nil
}

// workRules check the difficulty along a chain (Bitcoin Core, pow.cpp).
type workRules struct {
	params *chaincfg.Params
	last   *wire.BlockHeader
	first  *wire.BlockHeader // of the period of last; nil when it is not known
	period uint32
}

func newWorkRules(charter *ledger.Charter) (*workRules, error) {
	params, err := paramsOf(charter)
	if err != nil {
		return nil, err
	}
	return &workRules{params: params, period: uint32(params.TargetTimespan / params.TargetTimePerBlock)}, nil
}

// take checks the next header.
func (w *workRules) take(height uint32, header *wire.BlockHeader, hash chainhash.Hash) error {
	if err := checkWork(w.params, header, hash); err != nil {
		return err
	}
	if err := w.checkBits(height, header); err != nil {
		return err
	}
	w.last = header
	if height%w.period == 0 {
		w.first = header
	}
	return nil
}

// checkBits compares a header's difficulty with what the headers before demand. A
// regtest keeps none, and a testnet lets any late block be easy.
func (w *workRules) checkBits(height uint32, header *wire.BlockHeader) error {
	switch {
	case w.last == nil, w.params.PoWNoRetargeting, w.params.ReduceMinDifficulty:
		return nil
	case height%w.period != 0:
		if header.Bits != w.last.Bits {
			return fmt.Errorf("its difficulty (bits %08x) changed from %08x within a period", header.Bits, w.last.Bits)
		}
		return nil
	}
	old := blockchain.CompactToBig(w.last.Bits)
	if w.first == nil {
		easiest := new(big.Int).Mul(old, big.NewInt(w.params.RetargetAdjustmentFactor))
		if blockchain.CompactToBig(header.Bits).Cmp(easiest) > 0 {
			return fmt.Errorf("its difficulty (bits %08x) fell by more than the factor %d", header.Bits, w.params.RetargetAdjustmentFactor)
		}
		return nil
	}
	span := w.last.Timestamp.Sub(w.first.Timestamp)
	factor := time.Duration(w.params.RetargetAdjustmentFactor)
	span = min(max(span, w.params.TargetTimespan/factor), w.params.TargetTimespan*factor)
	target := new(big.Int).Mul(old, big.NewInt(int64(span/time.Second)))
	target.Div(target, big.NewInt(int64(w.params.TargetTimespan/time.Second)))
	if target.Cmp(w.params.PowLimit) > 0 {
		target.Set(w.params.PowLimit)
	}
	if want := blockchain.BigToCompact(target); header.Bits != want {
		return fmt.Errorf("its difficulty (bits %08x) is not %08x, which the period before demands", header.Bits, want)
	}
	return nil
}
