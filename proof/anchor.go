package proof

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Anchor shows that books are committed in a block: a transaction that the vault's
// key signed carries their hash, and stands in the block.
type Anchor struct {
	Books  Bytes  `json:"books"` // canonical bytes
	Signed Signed `json:"signed"`
	Block  Place  `json:"block"`
}

// Signed is a Bitcoin transaction, without its witnesses, and the signature of the
// vault's key on one of its inputs. A signature covers the whole transaction. Of the
// outputs that are spent it needs only two hashes (BIP-341): so a transaction that
// sweeps a thousand deposits makes no large proof.
type Signed struct {
	Tx         Bytes         `json:"tx"`
	Input      uint32        `json:"input"` // the one that is signed
	Generation uint32        `json:"generation"`
	Branch     ledger.Branch `json:"branch"`
	Index      uint32        `json:"index"`
	Amounts    Bytes         `json:"amounts"` // sha_amounts
	Scripts    Bytes         `json:"scripts"` // sha_scriptpubkeys
	Signature  Bytes         `json:"signature"`
}

// Place is where a transaction stands in a block.
type Place struct {
	Header Bytes  `json:"header"` // 80 bytes
	Index  uint32 `json:"index"`  // of the transaction
	Path   Hashes `json:"path"`   // of Bitcoin's Merkle tree, from the bottom up
}

// NewAnchor shows that a signed settlement carries books and stands in a block.
// spent are the outputs that it spends, in the order of its inputs.
func NewAnchor(books *ledger.Books, tx *wire.MsgTx, spent []*wire.TxOut, block *wire.MsgBlock, vaults []*taproot.Vault) (*Anchor, error) {
	settlement, hash, ok := netting.ReadAnchor(tx)
	if !ok || hash != books.Hash() {
		return nil, fmt.Errorf("transaction %s does not anchor the books at batch %d", tx.TxHash(), books.Batch)
	}
	signed, err := NewSigned(tx, spent, vaults, books.Accounts, settlement)
	if err != nil {
		return nil, err
	}
	place, err := NewPlace(block, tx.TxHash())
	if err != nil {
		return nil, err
	}
	return &Anchor{Books: books.Bytes(), Signed: *signed, Block: *place}, nil
}

// NewSigned looks for an input of a signed transaction that spends a coin of the
// vault by its key, at an address below this number of accounts and settlements.
func NewSigned(tx *wire.MsgTx, spent []*wire.TxOut, vaults []*taproot.Vault, accounts, settlements uint32) (*Signed, error) {
	amounts, scripts, err := taproot.SpentHashes(tx, spent)
	if err != nil {
		return nil, err
	}
	s := &Signed{Tx: encodeTx(tx), Amounts: amounts[:], Scripts: scripts[:]}
	for _, branch := range []ledger.Branch{ledger.BranchChange, ledger.BranchDeposit} { // of change there is less
		count := [2]uint32{accounts, settlements + 1}[branch]
		for generation, vault := range vaults {
			for i, out := range spent {
				if len(tx.TxIn[i].Witness) != 1 || len(tx.TxIn[i].Witness[0]) != 64 {
					continue
				}
				index, found, err := locate(vault, branch, count, out.PkScript)
				if err != nil {
					return nil, err
				}
				if found {
					s.Input, s.Generation, s.Branch, s.Index = uint32(i), uint32(generation), branch, index
					s.Signature = bytes.Clone(tx.TxIn[i].Witness[0])
					return s, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("transaction %s spends no coin of the vault by its key", tx.TxHash())
}

// locateTogether is how many addresses are derived at a time.
const locateTogether = 1024

// locate finds the address of a script.
func locate(vault *taproot.Vault, branch ledger.Branch, count uint32, script []byte) (index uint32, found bool, err error) {
	for from := uint32(0); from < count; from += locateTogether {
		list, err := vault.Scripts(taproot.Branch(branch), from, min(from+locateTogether, count))
		if err != nil {
			return 0, false, err
		}
		for i := range list {
			if bytes.Equal(list[i], script) {
				return from + uint32(i), true, nil
			}
		}
	}
	return 0, false, nil
}

// NewPlace finds a transaction in a block.
func NewPlace(block *wire.MsgBlock, txid chainhash.Hash) (*Place, error) {
	level := make([]chainhash.Hash, len(block.Transactions))
	at := -1
	for i, tx := range block.Transactions {
		if level[i] = tx.TxHash(); level[i] == txid {
			at = i
		}
	}
	if at < 0 {
		return nil, fmt.Errorf("transaction %s is not in block %s", txid, block.BlockHash())
	}
	p := &Place{Header: encodeHeader(&block.Header), Index: uint32(at)}
	for ; len(level) > 1; at /= 2 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		p.Path = append(p.Path, ledger.Hash(level[at^1]))
		for i := range len(level) / 2 {
			level[i] = hashPair(level[2*i], level[2*i+1])
		}
		level = level[:len(level)/2]
	}
	return p, nil
}

func hashPair(left, right chainhash.Hash) chainhash.Hash {
	var pair [64]byte
	copy(pair[:32], left[:])
	copy(pair[32:], right[:])
	return chainhash.DoubleHashH(pair[:])
}

// anchor checks an anchor and returns its books. what names it in an error.
func (c *check) anchor(what string, a *Anchor) (*ledger.Books, error) {
	books, err := ledger.DecodeBooks(a.Books)
	if err != nil {
		return nil, c.invalid("%s: %v", what, err)
	}
	tx, err := c.signed(what, &a.Signed)
	if err != nil {
		return nil, err
	}
	settlement, hash, ok := netting.ReadAnchor(tx)
	switch {
	case !ok:
		return nil, c.invalid("%s: transaction %s carries no anchor", what, tx.TxHash())
	case hash != books.Hash():
		return nil, c.invalid("%s: settlement %d anchors the books %s, these are %s", what, settlement, hash, books.Hash())
	}
	found, err := c.place(what, &a.Block, tx)
	if err != nil {
		return nil, err
	}
	found.Settlement, found.Batch, found.Total = settlement, books.Batch, books.Root.Sum
	c.found.Anchors = append(c.found.Anchors, *found)
	return &books, nil
}

// signed checks that the vault's key signed a transaction, and returns it.
func (c *check) signed(what string, s *Signed) (*wire.MsgTx, error) {
	tx, err := decodeTx(s.Tx)
	if err != nil {
		return nil, c.invalid("%s: %v", what, err)
	}
	switch {
	case int64(s.Input) >= int64(len(tx.TxIn)) || len(s.Amounts) != 32 || len(s.Scripts) != 32 || len(s.Signature) != 64:
		return nil, c.invalid("%s: transaction %s has no input %d that is signed so", what, tx.TxHash(), s.Input)
	case len(c.Vaults) == 0:
		return nil, c.need("it speaks of the vault: give the bank's public file")
	case int64(s.Generation) >= int64(len(c.Vaults)):
		return nil, c.need("it is signed by generation %d of the vault's key, and the bank's public file ends with generation %d: get a newer one", s.Generation, len(c.Vaults)-1)
	}
	out, err := c.Vaults[s.Generation].Output(taproot.Branch(s.Branch), s.Index)
	if err != nil {
		return nil, c.invalid("%s: %v", what, err)
	}
	message, err := taproot.SighashOf(tx, int(s.Input), [32]byte(s.Amounts), [32]byte(s.Scripts))
	if err != nil {
		return nil, c.invalid("%s: %v", what, err)
	}
	if !ledger.Key(out.OutputKey).Verify(message, ledger.Signature(s.Signature)) {
		return nil, c.invalid("%s: the vault's key did not sign transaction %s", what, tx.TxHash())
	}
	return tx, nil
}

// place checks that a transaction stands in a block of the chain.
func (c *check) place(what string, p *Place, tx *wire.MsgTx) (*Anchored, error) {
	txid := tx.TxHash()
	header, err := decodeHeader(p.Header)
	if err != nil {
		return nil, c.invalid("%s: %v", what, err)
	}
	if len(p.Path) > 32 || uint64(p.Index)>>len(p.Path) != 0 || !leads(txid, p, header.MerkleRoot) {
		return nil, c.invalid("%s: transaction %s is not in block %s", what, txid, header.BlockHash())
	}
	params, err := paramsOf(c.charter)
	if err != nil {
		return nil, c.invalid("%s: %v", what, err)
	}
	hash := header.BlockHash()
	if err := checkWork(params, header, hash); err != nil {
		return nil, c.invalid("%s: block %s: %v", what, hash, err)
	}
	if c.Chain == nil {
		return nil, c.need("it rests on block %s: give the chain's headers, or that hash once your own node has confirmed it", hash)
	}
	height, confirmations, found := c.Chain.find(hash)
	if !found {
		return nil, c.invalid("%s: block %s is not in the chain that was given", what, hash)
	}
	return &Anchored{TxID: txid.String(), Block: hash.String(), Height: height, Confirmations: confirmations}, nil
}

// leads follows a path of Bitcoin's Merkle tree. That tree is not separated by
// domain; decodeTx refuses what could be an inner node.
func leads(txid chainhash.Hash, p *Place, root chainhash.Hash) bool {
	node, at := txid, p.Index
	for _, sibling := range p.Path {
		if at%2 == 1 {
			node = hashPair(chainhash.Hash(sibling), node)
		} else {
			node = hashPair(node, chainhash.Hash(sibling))
		}
		at /= 2
	}
	return node == root
}

// encodeTx writes a transaction without its witnesses: what its txid is the hash of.
func encodeTx(tx *wire.MsgTx) []byte {
	var b bytes.Buffer
	_ = tx.SerializeNoWitness(&b) // a bytes.Buffer does not fail
	return b.Bytes()
}

// maxTx is the size in bytes of the largest transaction that a block can hold.
const maxTx = 1_000_000

// decodeTx reads a transaction without witnesses that fills raw exactly. One of 64
// bytes is refused, since an inner node of a block's tree can be read as one.
func decodeTx(raw []byte) (*wire.MsgTx, error) {
	if len(raw) == 64 || len(raw) > maxTx {
		return nil, fmt.Errorf("a transaction of %d bytes is not taken", len(raw))
	}
	tx := &wire.MsgTx{}
	r := bytes.NewReader(raw)
	if err := tx.DeserializeNoWitness(r); err != nil {
		return nil, fmt.Errorf("a transaction cannot be read: %w", err)
	}
	if r.Len() != 0 || len(tx.TxIn) == 0 || !bytes.Equal(encodeTx(tx), raw) {
		return nil, errors.New("a transaction is not in canonical form without witnesses")
	}
	return tx, nil
}
