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

// Reserves proves that the vault's guardians could spend all of its coins: their
// signatures, for a message that somebody asked for, under transactions that can never
// be mined (BIP-127). The transactions are not in the file: who verifies makes them
// anew from what is.
type Reserves struct {
	Message    string         `json:"message"` // as it was asked for
	Height     uint32         `json:"height"`
	Block      ledger.Hash    `json:"block"`      // the last one of the books then
	Generation uint32         `json:"generation"` // of the vault's key then
	Coins      []ReservedCoin `json:"coins"`      // by outpoint
}

// ReservedCoin is a coin of the vault, and the signature for it.
type ReservedCoin struct {
	TxID       ledger.Hash      `json:"txid"` // wire byte order
	Vout       uint32           `json:"vout"`
	Amount     ledger.Amount    `json:"amount_sat"`
	Generation uint32           `json:"generation"`
	Branch     ledger.Branch    `json:"branch"`
	Index      uint32           `json:"index"`
	Signature  ledger.Signature `json:"signature"`
}

// NewReserves puts the signatures to the coins, which are signed part by part.
func NewReserves(r *netting.Reserves, signatures []ledger.Signature) (*Reserves, error) {
	p := &Reserves{Message: r.Text, Height: r.Height, Block: r.Block, Generation: r.Generation}
	for _, part := range r.Parts {
		for _, c := range part.Coins {
			if len(p.Coins) == len(signatures) {
				return nil, errors.New("there are more coins than signatures")
			}
			p.Coins = append(p.Coins, ReservedCoin{TxID: c.TxID, Vout: c.Vout, Amount: c.Amount, Generation: c.Generation,
				Branch: c.Branch, Index: c.Index, Signature: signatures[len(p.Coins)]})
		}
	}
	if len(p.Coins) != len(signatures) {
		return nil, errors.New("there are more signatures than coins")
	}
	return p, nil
}

// Kind implements Body.
func (*Reserves) Kind() Kind { return KindReserves }

// Unspent is what the verifier's own node says of the coins of a proof of reserves: those
// that it had, unspent, in the block that the proof names.
type Unspent struct {
	Block chainhash.Hash
	Coins map[wire.OutPoint]*wire.TxOut
}

// Transactions are the signed transactions of the proof, as BIP-127 describes them, and
// the outputs that each spends. Nothing is verified. They cannot be mined: the first
// input of each spends an output that does not exist.
func (p *Reserves) Transactions(bank ledger.BankID, vaults []*taproot.Vault) (txs []*wire.MsgTx, spent [][]*wire.TxOut, err error) {
	r, err := p.build(bank, vaults)
	if err != nil {
		return nil, nil, err
	}
	from := 0
	for _, part := range r.Parts {
		var signatures []ledger.Signature
		for range part.Coins {
			signatures = append(signatures, p.Coins[from].Signature)
			from++
		}
		tx, err := part.Signed(signatures)
		if err != nil {
			return nil, nil, err
		}
		txs, spent = append(txs, tx), append(spent, part.Spent)
	}
	return txs, spent, nil
}

var errGeneration = errors.New("a generation of the vault's key that the bank's public file does not have: get a newer one")

// build makes the transactions anew. Error: errGeneration.
func (p *Reserves) build(bank ledger.BankID, vaults []*taproot.Vault) (*netting.Reserves, error) {
	coins := make([]ledger.Coin, len(p.Coins))
	for i, c := range p.Coins {
		coins[i] = ledger.Coin{OutPoint: c.outPoint(), Amount: c.Amount, Generation: c.Generation, Branch: c.Branch, Index: c.Index}
	}
	s := netting.Statement{Bank: bank, Height: p.Height, Block: p.Block, Generation: p.Generation, Text: p.Message}
	r, err := netting.NewReserves(s, coins, func(generation uint32, branch ledger.Branch, index uint32) (taproot.Output, error) {
		if int64(generation) >= int64(len(vaults)) {
			return taproot.Output{}, fmt.Errorf("generation %d: %w", generation, errGeneration)
		}
		return vaults[generation].Output(taproot.Branch(branch), index)
	})
	if err != nil {
		return nil, err
	}
	i := 0
	for _, part := range r.Parts {
		for _, c := range part.Coins {
			if at := p.Coins[i].outPoint(); at != c.OutPoint {
				return nil, fmt.Errorf("coin %s is not in its place: they stand in the order of their outpoints", at)
			}
			i++
		}
	}
	return r, nil
}

func (c *ReservedCoin) outPoint() ledger.OutPoint { return ledger.OutPoint{TxID: c.TxID, Vout: c.Vout} }

func (p *Reserves) verify(c *check) error {
	if len(c.Vaults) == 0 {
		return c.need("it speaks of the vault: give the bank's public file")
	}
	r, err := p.build(c.bank, c.Vaults)
	switch {
	case errors.Is(err, errGeneration):
		return c.need("%v", err)
	case err != nil:
		return c.invalid("%v", err)
	}
	if err := p.signed(c, r); err != nil {
		return err
	}
	block := chainhash.Hash(p.Block)
	if err := p.dated(c, block); err != nil {
		return err
	}
	const statement = "As many guardians as must sign have signed the message %q with the keys of %d of the vault's coins, together %d sat, in a transaction that can never be mined."
	c.proves(statement, p.Message, len(p.Coins), r.Total)
	if c.Unspent == nil {
		c.doesNotProve(fmt.Sprintf("that these coins exist and were unspent in block %d, %s: headers cannot show it. Give --bitcoind, and your node says so", p.Height, block))
	} else {
		if err := p.unspent(c, r, block); err != nil {
			return err
		}
		c.found.Proves += fmt.Sprintf(" All of them were unspent in block %d, %s.", p.Height, block)
	}
	c.doesNotProve("what the bank owed then: an audit, or a proof of coins, compares the two",
		"that the guardians will not take the coins, or that nobody else can: the owners of the recovery keys can when they have lain still")
	return nil
}

// signed checks the signature of each coin.
func (p *Reserves) signed(c *check, r *netting.Reserves) error {
	from := 0
	for i := range r.Parts {
		part := &r.Parts[i]
		hashes, err := part.Sighashes()
		if err != nil {
			return c.invalid("%v", err)
		}
		for k, hash := range hashes {
			if coin := &p.Coins[from]; !ledger.Key(part.Signers[k].OutputKey).Verify(hash, coin.Signature) {
				return c.invalid("coin %s: the vault's key did not sign this message with it", coin.outPoint())
			}
			from++
		}
	}
	return nil
}

// dated checks the block, when headers are there.
func (p *Reserves) dated(c *check, block chainhash.Hash) error {
	if c.Chain == nil {
		if c.Unspent == nil {
			c.doesNotProve("that the block is one of the chain: give the chain's headers")
		}
		return nil
	}
	height, _, found := c.Chain.find(block)
	if !found {
		return c.invalid("block %s is not in the chain that was given", block)
	}
	if height != 0 && height != p.Height {
		return c.invalid("block %s has the height %d, not %d", block, height, p.Height)
	}
	return nil
}

// unspent compares the coins with those of the verifier's node.
func (p *Reserves) unspent(c *check, r *netting.Reserves, block chainhash.Hash) error {
	if c.Unspent.Block != block {
		return c.need("your node was asked about block %s, the proof names %s", c.Unspent.Block, block)
	}
	for _, part := range r.Parts {
		for i, in := range part.Tx.TxIn[1:] {
			own, out := part.Spent[i+1], c.Unspent.Coins[in.PreviousOutPoint]
			switch {
			case out == nil:
				return c.invalid("coin %s was not there, or was spent, in block %s", in.PreviousOutPoint, block)
			case out.Value != own.Value || !bytes.Equal(out.PkScript, own.PkScript):
				return c.invalid("coin %s holds %d sat on chain, the proof says %d sat", in.PreviousOutPoint, out.Value, own.Value)
			}
		}
	}
	return nil
}
