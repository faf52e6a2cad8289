package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
)

// An anchoredCut is a cut whose settlement is in the chain.
type anchoredCut struct {
	books  ledger.Books
	height uint32 // of the settlement's block
	anchor *proof.Anchor
}

// anchored finds the newest settlement that is posted and whose cut the bank can
// prove, or the one of a number.
func (p *prover) anchored(ctx context.Context, number uint32) (*anchoredCut, error) {
	if p.client == nil {
		if err := p.connect(ctx); err != nil {
			return nil, err
		}
	}
	cuts, err := p.client.Cuts(ctx)
	if err != nil {
		return nil, err
	}
	status, books, err := p.posted(ctx, cuts, number)
	if err != nil {
		return nil, err
	}
	txid, err := chainhash.NewHashFromStr(status.TxID)
	if err != nil {
		return nil, fmt.Errorf("settlement %d: %w", status.Number, err)
	}
	tx, spent, block, err := p.transaction(ctx, *txid, status.Height)
	if err != nil {
		return nil, err
	}
	vaults, err := p.file.vaults()
	if err != nil {
		return nil, err
	}
	anchor, err := proof.NewAnchor(books, tx, spent, block, vaults)
	if err != nil {
		return nil, fmt.Errorf("settlement %d: %w", status.Number, err)
	}
	return &anchoredCut{books: *books, height: status.Height, anchor: anchor}, nil
}

// posted looks for a posted settlement of one of these cuts.
func (p *prover) posted(ctx context.Context, cuts []ledger.Books, number uint32) (*settlement.Status, *ledger.Books, error) {
	bank, err := p.client.Bank(ctx)
	if err != nil {
		return nil, nil, err
	}
	first := number
	if number == 0 {
		first = max(bank.Settlements, ledger.SumCuts) - ledger.SumCuts + 1
	}
	list, err := p.client.Settlements(ctx, first, ledger.SumCuts)
	if err != nil {
		return nil, nil, err
	}
	for i := range slices.Backward(list) {
		s := &list[i]
		at := slices.IndexFunc(cuts, func(b ledger.Books) bool { return b.Batch == s.Batch })
		if at >= 0 && s.Stage == string(settlement.StagePosted) && (number == 0 || s.Number == number) {
			return s, &cuts[at], nil
		}
	}
	if number != 0 {
		return nil, nil, fmt.Errorf("settlement %d is not posted, or the bank does not keep the balances of its cut any more", number)
	}
	return nil, nil, errors.New("the bank keeps the balances of no cut that is anchored: ask again after the next settlement")
}

// transaction reads a transaction of a block, and what it spends.
func (p *prover) transaction(ctx context.Context, txid chainhash.Hash, height uint32) (*wire.MsgTx, []*wire.TxOut, *wire.MsgBlock, error) {
	hash, err := p.node.BlockHash(ctx, int32(height))
	if err != nil {
		return nil, nil, nil, err
	}
	block, err := p.node.Block(ctx, hash)
	if err != nil {
		return nil, nil, nil, err
	}
	at := slices.IndexFunc(block.Transactions, func(tx *wire.MsgTx) bool { return tx.TxHash() == txid })
	if at < 0 {
		return nil, nil, nil, fmt.Errorf("transaction %s is not in block %d of your node", txid, height)
	}
	spent, err := p.spent(ctx, hash, at)
	if errors.Is(err, errNoSpent) {
		spent, err = p.lookUp(ctx, block.Transactions[at])
	}
	return block.Transactions[at], spent, block, err
}

// errNoSpent says that a node does not tell what a block's transactions spend. Bitcoin
// Core does, unless it has pruned the block.
var errNoSpent = errors.New("your node does not say what a block's transactions spend")

// lookUp reads the transactions before one: for a node that keeps an index of them,
// as btcd does.
func (p *prover) lookUp(ctx context.Context, tx *wire.MsgTx) ([]*wire.TxOut, error) {
	var list []*wire.TxOut
	for _, in := range tx.TxIn {
		before, _, _, err := p.node.Tx(ctx, in.PreviousOutPoint.Hash)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoSpent, err)
		}
		if int64(in.PreviousOutPoint.Index) >= int64(len(before.TxOut)) {
			return nil, fmt.Errorf("%w: %s is not there", errNoSpent, in.PreviousOutPoint)
		}
		list = append(list, before.TxOut[in.PreviousOutPoint.Index])
	}
	return list, nil
}

// spent asks the node what a transaction of a block spends. Error: errNoSpent.
func (p *prover) spent(ctx context.Context, block chainhash.Hash, at int) ([]*wire.TxOut, error) {
	txs, err := spendsOf(ctx, p.node, block)
	if err != nil {
		return nil, err
	}
	if at >= len(txs) {
		return nil, errNoSpent
	}
	var list []*wire.TxOut
	for _, in := range txs[at].Inputs {
		out, err := in.output()
		if err != nil {
			return nil, err
		}
		list = append(list, out)
	}
	return list, nil
}

// A spendingTx is a transaction of a block, and what it spends, as Bitcoin Core tells.
type spendingTx struct {
	Inputs []spentInput `json:"vin"`
}

type spentInput struct {
	TxID    string `json:"txid"`
	Vout    uint32 `json:"vout"`
	Prevout *struct {
		Height       int32       `json:"height"`
		Value        json.Number `json:"value"`
		ScriptPubKey struct {
			Hex string `json:"hex"`
		} `json:"scriptPubKey"`
	} `json:"prevout"` // nil for a coinbase
}

// spendsOf asks the node for a block's transactions with what they spend. Error:
// errNoSpent.
func spendsOf(ctx context.Context, node *bitcoind.Client, block chainhash.Hash) ([]spendingTx, error) {
	var answer struct {
		Tx []spendingTx `json:"tx"`
	}
	err := node.Call(ctx, "getblock", &answer, block.String(), 3)
	if refused := (*bitcoind.RPCError)(nil); errors.As(err, &refused) {
		err = fmt.Errorf("%w: %w", errNoSpent, err)
	}
	return answer.Tx, err
}

// output is what the input spends. Error: errNoSpent.
func (in *spentInput) output() (*wire.TxOut, error) {
	if in.Prevout == nil {
		return nil, errNoSpent
	}
	amount, err := ledger.ParseBTC(in.Prevout.Value.String())
	if err != nil {
		return nil, err
	}
	script, err := hex.DecodeString(in.Prevout.ScriptPubKey.Hex)
	return wire.NewTxOut(int64(amount), script), err
}

// headers are the node's block headers from the bank's birth on.
func (p *prover) headers(ctx context.Context) (string, error) {
	tip, err := p.node.Height(ctx)
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	for h := int64(p.file.Charter.BirthHeight) + 1; h <= int64(tip); h++ {
		hash, err := p.node.BlockHash(ctx, int32(h))
		if err != nil {
			return "", err
		}
		header, _, err := p.node.Header(ctx, hash)
		if err != nil {
			return "", err
		}
		var raw bytes.Buffer
		if err := header.Serialize(&raw); err != nil {
			return "", err
		}
		fmt.Fprintln(&lines, hex.EncodeToString(raw.Bytes()))
	}
	return lines.String(), nil
}

// coins replays the journal to a cut and finds each of its coins on the node.
func (p *prover) coins(ctx context.Context, at *anchoredCut) (*proof.Coins, error) {
	books, err := ledger.NewState(p.file.Charter)
	if err != nil {
		return nil, err
	}
	for batch, err := range p.client.Batches(ctx, 1) {
		if err == nil {
			err = books.Append(batch, ledger.CheckChain)
		}
		if err != nil {
			return nil, err
		}
		if batch.Header.Number == at.books.Batch {
			break
		}
	}
	if books.Head() != at.books.Header {
		return nil, fmt.Errorf("the journal that the bank shows does not lead to the batch %d that is anchored", at.books.Batch)
	}
	settlement := &wire.MsgTx{}
	if err := settlement.DeserializeNoWitness(bytes.NewReader(at.anchor.Signed.Tx)); err != nil {
		return nil, err
	}
	made := &proof.Coins{Anchor: *at.anchor}
	for _, coin := range books.Coins() {
		c, err := p.coin(ctx, &coin, settlement)
		if err != nil {
			return nil, err
		}
		made.Coins = append(made.Coins, *c)
	}
	return made, nil
}

func (p *prover) coin(ctx context.Context, coin *ledger.Coin, settlement *wire.MsgTx) (*proof.Coin, error) {
	tx, block, err := p.origin(ctx, coin)
	if err != nil {
		return nil, err
	}
	c := proof.NewCoin(coin, tx)
	spends := func(in *wire.TxIn) bool {
		return ledger.Hash(in.PreviousOutPoint.Hash) == coin.TxID && in.PreviousOutPoint.Index == coin.Vout
	}
	if !slices.ContainsFunc(settlement.TxIn, spends) {
		if c.Block, err = proof.NewPlace(block, tx.TxHash()); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// origin finds the transaction that made a coin: in the block at which the books
// recorded it, or, from a coinbase, in the one that matured there.
func (p *prover) origin(ctx context.Context, coin *ledger.Coin) (*wire.MsgTx, *wire.MsgBlock, error) {
	blocks, err := netting.ReadBlocks(ctx, p.node, &p.file.Charter, coin.Height)
	if err != nil {
		return nil, nil, err
	}
	for _, block := range blocks {
		for _, tx := range block.Transactions {
			if ledger.Hash(tx.TxHash()) == coin.TxID {
				return tx, block, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("coin %s is not in block %d of your node", coin.OutPoint, coin.Height)
}

// straySpend shows a spend of the vault that is no settlement.
func (p *prover) straySpend(ctx context.Context, txid chainhash.Hash, height uint32) (*proof.StraySpend, error) {
	tx, spent, block, err := p.transaction(ctx, txid, height)
	if err != nil {
		return nil, err
	}
	vaults, err := p.file.vaults()
	if err != nil {
		return nil, err
	}
	accounts, settlements, err := p.reach(ctx)
	if err != nil {
		return nil, err
	}
	signed, err := proof.NewSigned(tx, spent, vaults, accounts, settlements)
	if err != nil {
		return nil, err
	}
	place, err := proof.NewPlace(block, txid)
	if err != nil {
		return nil, err
	}
	made := &proof.StraySpend{Signed: *signed, Block: *place}
	if number, _, ok := netting.ReadAnchor(tx); ok {
		made.Posted, err = p.posting(ctx, number)
	}
	return made, err
}

// reach is how many addresses of each branch can have coins.
func (p *prover) reach(ctx context.Context) (accounts, settlements uint32, err error) {
	bank, err := p.client.Bank(ctx)
	if err != nil {
		return 0, 0, err
	}
	accounts = uint32(ledger.FirstMember)
	cuts, err := p.client.Cuts(ctx)
	for i := range cuts {
		accounts = max(accounts, cuts[i].Accounts)
	}
	return accounts + netting.Gap, bank.Settlements + netting.Gap, err
}

// posting looks for the entry that posts a settlement; nil when there is none.
func (p *prover) posting(ctx context.Context, number uint32) (*proof.Posting, error) {
	for batch, err := range p.client.Batches(ctx, 1) {
		if err != nil {
			return nil, err
		}
		for i, raw := range batch.Entries {
			entry, err := ledger.DecodeEntry(raw)
			if settled, ok := entry.Event.(*ledger.Settled); err == nil && ok && settled.Settlement == number {
				leaves := make([]ledger.Hash, len(batch.Entries))
				for k := range leaves {
					leaves[k] = ledger.EntryLeaf(batch.Entries[k])
				}
				return &proof.Posting{Entry: raw, Receipt: ledger.Receipt{Header: batch.Header, Index: uint32(i), Path: ledger.NewMerkleTree(leaves).Path(i)}}, nil
			}
		}
	}
	return nil, nil
}
