package bitcoind

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

const (
	// maxBlockWeight is the consensus limit (BIP 141) less room for the header
	// and the coinbase.
	maxBlockWeight = 4_000_000 - 8_000

	// halvingInterval is regtest's.
	halvingInterval = 150

	// maxAhead is how far block times may run ahead of the clock while many
	// blocks are mined at once. Nodes refuse two hours.
	maxAhead = time.Hour
)

// witnessHeader marks the coinbase output with the witness commitment (BIP 141).
var witnessHeader = []byte{txscript.OP_RETURN, txscript.OP_DATA_36, 0xaa, 0x21, 0xa9, 0xed}

// blockPlan is all that decides the next block.
type blockPlan struct {
	parent     Block
	version    int32
	bits       uint32
	time       time.Time
	script     []byte // that the coinbase pays
	extraNonce []byte // makes the coinbase unique
	txs        []*wire.MsgTx
	fees       int64
	edit       func(coinbase *wire.MsgTx) // may be nil
}

// build assembles and solves the block.
func (p blockPlan) build() (*wire.MsgBlock, error) {
	coinbase, err := p.coinbase()
	if err != nil {
		return nil, err
	}
	block := &wire.MsgBlock{
		Header: wire.BlockHeader{
			Version: p.version, PrevBlock: p.parent.Hash, Timestamp: p.time, Bits: p.bits,
		},
		Transactions: append([]*wire.MsgTx{coinbase}, p.txs...),
	}
	if hasWitness(p.txs) {
		commitWitness(block)
	}
	ids := make([]chainhash.Hash, 0, len(block.Transactions))
	for _, tx := range block.Transactions {
		ids = append(ids, tx.TxHash())
	}
	block.Header.MerkleRoot = merkleRoot(ids)
	return block, solve(&block.Header)
}

// coinbase pays subsidy and fees to the script.
func (p blockPlan) coinbase() (*wire.MsgTx, error) {
	height := p.parent.Height + 1
	// BIP 34: the script begins with the height. The extra nonce also brings
	// the script of a low block to the two bytes that consensus demands.
	signature, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddData(p.extraNonce).Script()
	if err != nil {
		return nil, err
	}
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
		SignatureScript:  signature,
		Sequence:         wire.MaxTxInSequenceNum,
	})
	tx.AddTxOut(wire.NewTxOut(subsidy(height)+p.fees, p.script))
	if p.edit != nil {
		p.edit(tx)
	}
	return tx, nil
}

// subsidy is regtest's, in satoshis.
func subsidy(height int32) int64 { return 50_0000_0000 >> min(height/halvingInterval, 63) }

func hasWitness(txs []*wire.MsgTx) bool {
	for _, tx := range txs {
		if tx.HasWitness() {
			return true
		}
	}
	return false
}

// commitWitness adds the witness commitment to the coinbase (BIP 141). A block
// without witnesses needs none, and before activation (btcd) may not carry one.
func commitWitness(block *wire.MsgBlock) {
	coinbase := block.Transactions[0]
	var reserved [32]byte
	coinbase.TxIn[0].Witness = wire.TxWitness{reserved[:]}
	ids := make([]chainhash.Hash, 1, len(block.Transactions)) // the coinbase counts as zero
	for _, tx := range block.Transactions[1:] {
		ids = append(ids, tx.WitnessHash())
	}
	root := merkleRoot(ids)
	commitment := chainhash.DoubleHashB(append(root[:], reserved[:]...))
	coinbase.AddTxOut(wire.NewTxOut(0, append(bytes.Clone(witnessHeader), commitment...)))
}

// merkleRoot is Bitcoin's: an odd level repeats its last hash.
func merkleRoot(level []chainhash.Hash) chainhash.Hash {
	level = append([]chainhash.Hash(nil), level...)
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		for i := 0; i < len(level); i += 2 {
			level[i/2] = chainhash.DoubleHashH(append(level[i][:], level[i+1][:]...))
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// errUnsolved cannot happen with regtest's target, where every second nonce fits.
var errUnsolved = errors.New("bitcoind: no nonce solves the block")

// solve finds the nonce.
func solve(header *wire.BlockHeader) error {
	var buffer bytes.Buffer
	if err := header.Serialize(&buffer); err != nil {
		return err
	}
	raw, target := buffer.Bytes(), targetOf(header.Bits)
	for nonce := range uint32(1 << 24) {
		binary.LittleEndian.PutUint32(raw[76:], nonce)
		hash := chainhash.DoubleHashH(raw)
		if hashNumber(hash).Cmp(target) <= 0 {
			header.Nonce = nonce
			return nil
		}
	}
	return errUnsolved
}

// targetOf expands a compact target: a mantissa of three bytes, an exponent of one.
func targetOf(bits uint32) *big.Int {
	target := big.NewInt(int64(bits & 0x007fffff))
	if exponent := uint(bits >> 24); exponent > 3 {
		target.Lsh(target, 8*(exponent-3))
	}
	return target
}

// hashNumber reads a hash as the little-endian number that proof of work compares.
func hashNumber(hash chainhash.Hash) *big.Int {
	for i, j := 0, len(hash)-1; i < j; i, j = i+1, j-1 {
		hash[i], hash[j] = hash[j], hash[i]
	}
	return new(big.Int).SetBytes(hash[:])
}

// blockTime chooses a time after the parent's and not before now, unless mining
// has run too far ahead of the clock; then the earliest time consensus allows.
func blockTime(now, parent, medianTime time.Time) time.Time {
	next := parent.Add(time.Second)
	if next.After(now.Add(maxAhead)) {
		next = medianTime.Add(time.Second)
	}
	if now.After(next) {
		next = now
	}
	return next.Truncate(time.Second)
}

// encodeHex returns what serialize writes, as hex.
func encodeHex(serialize func(io.Writer) error) (string, error) {
	var buffer bytes.Buffer
	if err := serialize(&buffer); err != nil {
		return "", err
	}
	return hex.EncodeToString(buffer.Bytes()), nil
}
