package proof

import (
	"bytes"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// Coins proves that an anchored total was at most the coins of the vault in the
// block of the anchor, coin by coin.
type Coins struct {
	Anchor Anchor `json:"anchor"`
	Coins  []Coin `json:"coins"`
}

// Coin is an output at an address of the vault. The settlement itself spends it, or
// Block says where it was made.
type Coin struct {
	Tx         Bytes         `json:"tx"` // that made it, without witnesses
	Vout       uint32        `json:"vout"`
	Generation uint32        `json:"generation"`
	Branch     ledger.Branch `json:"branch"`
	Index      uint32        `json:"index"`
	Block      *Place        `json:"block,omitempty"`
}

// NewCoin is a coin of the books, with the transaction that made it.
func NewCoin(c *ledger.Coin, tx *wire.MsgTx) Coin {
	return Coin{Tx: encodeTx(tx), Vout: c.Vout, Generation: c.Generation, Branch: c.Branch, Index: c.Index}
}

// Kind implements Body.
func (*Coins) Kind() Kind { return KindCoins }

func (p *Coins) verify(c *check) error {
	books, err := c.anchor("the anchor", &p.Anchor)
	if err != nil {
		return err
	}
	at := c.found.Anchors[0]
	tx, err := decodeTx(p.Anchor.Signed.Tx)
	if err != nil {
		return c.invalid("the anchor: %v", err)
	}
	spends := make(map[wire.OutPoint]bool, len(tx.TxIn))
	for _, in := range tx.TxIn {
		spends[in.PreviousOutPoint] = true
	}
	var spent, lying ledger.Amount
	seen := make(map[wire.OutPoint]bool, len(p.Coins))
	for i := range p.Coins {
		coin, amount, err := c.coin(&p.Coins[i])
		switch {
		case err != nil:
			return err
		case seen[coin]:
			return c.invalid("coin %s is counted twice", coin)
		case spends[coin]:
			spent += amount
		case p.Coins[i].Block == nil:
			return c.invalid("coin %s is not spent by settlement %d, and no block is shown for it", coin, at.Settlement)
		default:
			if err := c.older(&p.Coins[i], &at); err != nil {
				return err
			}
			lying += amount
		}
		if seen[coin] = true; spent+lying > ledger.MaxAmount {
			return c.invalid("the coins are more than there are")
		}
	}
	if spent+lying < books.Root.Sum {
		return c.invalid("the coins are %d sat, and the bank owed %d sat", spent+lying, books.Root.Sum)
	}
	c.proves("At batch %d the bank owed %d sat, and coins of %d sat had been paid to its vault. %d sat of them were unspent until block %s, whose settlement spends them.",
		books.Batch, books.Root.Sum, spent+lying, spent, at.Block)
	if lying > 0 {
		c.doesNotProve("that the other coins, together " + lying.String() + ", were still unspent in that block: headers cannot show it. A node can (scantxoutset), and so does the later settlement that spends them")
	}
	c.doesNotProve("that the coins are there now: ask a node, or take the newest settlement", "that t guardians will not take them")
	return nil
}

// coin checks that an output pays the vault.
func (c *check) coin(p *Coin) (at wire.OutPoint, amount ledger.Amount, err error) {
	tx, err := decodeTx(p.Tx)
	if err != nil {
		return at, 0, c.invalid("a coin: %v", err)
	}
	at = wire.OutPoint{Hash: tx.TxHash(), Index: p.Vout}
	if int64(p.Vout) >= int64(len(tx.TxOut)) {
		return at, 0, c.invalid("coin %s is not there", at)
	}
	if int64(p.Generation) >= int64(len(c.Vaults)) {
		return at, 0, c.need("coin %s is of generation %d of the vault's key: get a newer public file of the bank", at, p.Generation)
	}
	own, err := c.Vaults[p.Generation].Output(taproot.Branch(p.Branch), p.Index)
	if err != nil {
		return at, 0, c.invalid("coin %s: %v", at, err)
	}
	out := tx.TxOut[p.Vout]
	if amount = ledger.Amount(out.Value); !bytes.Equal(out.PkScript, own.Script) || !amount.Valid() {
		return at, 0, c.invalid("coin %s is not at address %d/%d of the vault", at, p.Branch, p.Index)
	}
	return at, amount, nil
}

// older checks that a coin was made in a block before the anchor's.
func (c *check) older(p *Coin, anchor *Anchored) error {
	tx, err := decodeTx(p.Tx)
	if err != nil {
		return c.invalid("a coin: %v", err)
	}
	made, err := c.place("coin "+tx.TxHash().String(), p.Block, tx)
	switch {
	case err != nil:
		return err
	case made.Height == 0 || anchor.Height == 0:
		return c.need("it has coins of several blocks: give the chain's headers, one block's hash is not enough")
	case made.Height >= anchor.Height:
		return c.invalid("coin %s was made in block %d, not before the settlement's block %d", tx.TxHash(), made.Height, anchor.Height)
	}
	return nil
}

// StraySpend proves that the vault's key signed a transaction in the chain that is
// no settlement: it carries no anchor, or the number of a settlement that the
// operator has posted as another transaction.
type StraySpend struct {
	Signed Signed   `json:"signed"`
	Block  Place    `json:"block"`
	Posted *Posting `json:"posted,omitempty"` // needed when it carries an anchor
}

// Posting is the entry by which the journal posts a settlement.
type Posting struct {
	Entry   Bytes          `json:"entry"` // canonical bytes
	Receipt ledger.Receipt `json:"receipt"`
}

// Kind implements Body.
func (*StraySpend) Kind() Kind { return KindSpend }

func (p *StraySpend) verify(c *check) error {
	const what = "the transaction"
	tx, err := c.signed(what, &p.Signed)
	if err != nil {
		return err
	}
	found, err := c.place(what, &p.Block, tx)
	if err != nil {
		return err
	}
	number, _, anchored := netting.ReadAnchor(tx)
	if anchored {
		other, err := c.posted(p.Posted, number)
		if err != nil {
			return err
		}
		if other == tx.TxHash() {
			return c.invalid("transaction %s is settlement %d of the journal", other, number)
		}
		found.Settlement = number
		c.proves("Transaction %s spends coins of the vault and calls itself settlement %d. The journal posts settlement %d as %s.", tx.TxHash(), number, number, other)
	} else {
		c.proves("Transaction %s spends coins of the vault and carries no anchor: it is no settlement.", tx.TxHash())
	}
	c.found.Anchors = append(c.found.Anchors, *found)
	c.found.Against = "the guardians: as many as must sign made the signature"
	c.doesNotProve("which guardians signed: their signature is one")
	return nil
}

// posted is the transaction as which the journal posts a settlement.
func (c *check) posted(p *Posting, number uint32) (chainhash.Hash, error) {
	if p == nil {
		return chainhash.Hash{}, c.invalid("the transaction carries the anchor of settlement %d: only the journal shows whether it is one, and no entry of it is here", number)
	}
	entry, err := ledger.DecodeEntry(p.Entry)
	if err == nil {
		err = p.Receipt.Verify(c.charter, p.Entry)
	}
	if err != nil {
		return chainhash.Hash{}, c.invalid("%v", err)
	}
	settled, ok := entry.Event.(*ledger.Settled)
	if !ok || settled.Settlement != number {
		return chainhash.Hash{}, c.invalid("the entry does not post settlement %d", number)
	}
	return chainhash.Hash(settled.TxID), nil
}
