package main

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/frost"
	"github.com/daobank/daobank/taproot/quorum"
)

// proofFigures are one balance's proof.
type proofFigures struct {
	Accounts int     `json:"accounts"`
	Bytes    int     `json:"bytes"`
	VerifyMS float64 `json:"verify_ms"` // read and verified: the median of some
}

const (
	proofRounds   = 101
	proofBlockTxs = 4096 // transactions of the block that holds the anchor
)

// measureProof proves a balance at the cut that is in flight, in a block that is made
// for it, and times its verification.
func (b *treeBank) measureProof(accounts int) (f proofFigures, err error) {
	f.Accounts = accounts
	vault, signers, err := guardedVault()
	if err != nil {
		return f, err
	}
	anchor, err := b.anchor(vault, signers)
	if err != nil {
		return f, err
	}
	sum, err := b.SumProof(0, benchMember(accounts/2))
	if err != nil {
		return f, err
	}
	made := proof.Proof{Charter: b.Charter(), Body: &proof.Balance{Account: sum.Account, Owed: sum.Owed, Path: sum.Path, Anchor: *anchor}}
	file, err := made.Encode()
	if err != nil {
		return f, err
	}
	f.Bytes = len(file)
	header := &wire.BlockHeader{}
	if err := header.Deserialize(bytes.NewReader(anchor.Block.Header)); err != nil {
		return f, err
	}
	trust := proof.Trust{Bank: b.Bank(), Vaults: []*taproot.Vault{vault}, Chain: proof.KnownBlock(header.BlockHash())}
	var took []time.Duration
	for range proofRounds {
		began := time.Now()
		read, err := proof.Decode(file)
		if err == nil {
			_, err = read.Verify(trust)
		}
		if err != nil {
			return f, err
		}
		took = append(took, time.Since(began))
	}
	f.VerifyMS = milliseconds(median(took))
	return f, nil
}

// guardedVault is a vault of 3 of 5, and the keys of all.
func guardedVault() (*taproot.Vault, *quorum.Quorum, error) {
	group, shares, err := frost.TrustedDealer(3, 5, rand.NewChaCha8([32]byte{1}))
	if err != nil {
		return nil, nil, err
	}
	vault, err := taproot.NewVault(taproot.Policy{Threshold: 3, Guardians: 5, GroupKey: group.Key(), Network: "regtest",
		Recovery: taproot.Recovery{Threshold: 1, Delay: 1000, Keys: []taproot.XOnlyKey{taproot.XOnlyKey(ledger.KeyOf(benchKey(operatorKey)))}}})
	if err != nil {
		return nil, nil, err
	}
	signers, err := quorum.FromShares(vault, group, shares)
	return vault, signers, err
}

// anchor signs the settlement in flight and puts it into a block.
func (b *treeBank) anchor(vault *taproot.Vault, signers *quorum.Quorum) (*proof.Anchor, error) {
	open := b.Open()
	built, err := netting.Build(open, netting.NewVaults(b.Bank(), vault))
	if err != nil {
		return nil, err
	}
	var outs []taproot.Output
	var values []int64
	for i, s := range built.Signers {
		outs, values = append(outs, s.Output), append(values, built.Spent[i].Value)
	}
	signed, err := signers.Sign(built.Tx, outs, values, []int{0, 1, 2})
	if err != nil {
		return nil, err
	}
	return proof.NewAnchor(&open.Books, signed, built.Spent, benchBlock(signed), []*taproot.Vault{vault})
}

// benchBlock is a block with regtest's work that holds a transaction among many.
func benchBlock(tx *wire.MsgTx) *wire.MsgBlock {
	block := &wire.MsgBlock{}
	for i := range proofBlockTxs - 1 {
		other := wire.NewMsgTx(2)
		other.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: uint32(i)}, nil, nil))
		block.Transactions = append(block.Transactions, other)
	}
	block.Transactions = append(block.Transactions, tx)
	txs := make([]*btcutil.Tx, len(block.Transactions))
	for i, t := range block.Transactions {
		txs[i] = btcutil.NewTx(t)
	}
	params := &chaincfg.RegressionNetParams
	block.Header = wire.BlockHeader{Version: 2, Timestamp: params.GenesisBlock.Header.Timestamp, Bits: params.PowLimitBits,
		MerkleRoot: blockchain.CalcMerkleRoot(txs, false)}
	for {
		if hash := block.Header.BlockHash(); blockchain.HashToBig(&hash).Cmp(params.PowLimit) <= 0 {
			return block
		}
		block.Header.Nonce++
	}
}
