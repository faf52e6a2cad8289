package processor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
)

var (
	// ErrFunds: the coins that are deep enough do not suffice.
	ErrFunds = errors.New("not enough coins that are deep enough")
	// ErrOtherPayout: the name stands for another payout.
	ErrOtherPayout = errors.New("the name stands for another payout")
)

// Payout is money that leaves. All versions spend the same coins.
type Payout struct {
	AmountSat int64     `json:"amount_sat"`
	Script    []byte    `json:"script"`
	Coins     []Coin    `json:"coins"`
	Versions  []Version `json:"versions"` // the last is the one to send
	Since     int32     `json:"since"`    // height at which that was made, or lost its block
	Height    int32     `json:"height"`   // of the block that holds one of them; zero for none
	Refused   string    `json:"refused"`  // the node's reason, if it would not take the last
}

// Version is a payout's transaction.
type Version struct {
	TxID    chainhash.Hash `json:"txid"`
	Hex     string         `json:"hex"`
	FeeRate int64          `json:"fee_rate"` // satoshis per 1,000 virtual bytes
}

// Pay sends an amount to a script. The same name means the same payout: to ask
// again, after an error or a restart, never pays twice. Without an error the payout
// is in the book and will be sent until a block holds it, also if the node did not
// answer now.
func (p *Processor) Pay(ctx context.Context, name string, script []byte, amountSat int64) (Payout, error) {
	if amountSat < dust {
		return Payout{}, fmt.Errorf("processor: payout %q of %d satoshis: nodes relay %d or more", name, amountSat, dust)
	}
	if err := p.enter(name, script, amountSat); err != nil {
		return Payout{}, fmt.Errorf("processor: payout %q: %w", name, err)
	}
	if err := p.send(ctx, name); err != nil {
		return Payout{}, fmt.Errorf("processor: payout %q: %w", name, err)
	}
	return p.Payout(name), nil
}

// Payout returns what is known of a payout; the zero Payout if nothing is.
func (p *Processor) Payout(name string) Payout {
	p.mu.Lock()
	defer p.mu.Unlock()
	if payout := p.book.Payouts[name]; payout != nil {
		return *payout
	}
	return Payout{}
}

// enter writes a payout into the book, before anybody else hears of it.
func (p *Processor) enter(name string, script []byte, amountSat int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.book.Payouts[name]; known != nil {
		if known.AmountSat != amountSat || !bytes.Equal(known.Script, script) {
			return ErrOtherPayout
		}
		return nil
	}
	payout := &Payout{AmountSat: amountSat, Script: script}
	reserved := p.book.reserved()
	for _, coin := range p.book.Coins {
		if reserved[coin.OutPoint] || !p.isDeep(coin) {
			continue
		}
		payout.Coins = append(payout.Coins, coin)
		err := p.addVersion(payout, p.policy.FeeRate)
		if errors.Is(err, ErrFunds) {
			continue // with one coin more
		}
		if err != nil {
			return err
		}
		p.book.Payouts[name] = payout
		return p.book.save()
	}
	return ErrFunds
}

// bump replaces a payout that has waited too long by one at twice the rate. When
// its coins do not suffice for that it waits on.
func (p *Processor) bump(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	payout := p.book.Payouts[name]
	if payout.Height != 0 || p.book.Tip.Height-payout.Since < p.policy.Patience {
		return nil
	}
	err := p.addVersion(payout, 2*payout.Versions[len(payout.Versions)-1].FeeRate)
	if errors.Is(err, ErrFunds) {
		return nil
	}
	return errors.Join(err, p.book.save())
}

// send gives a payout to the node. It is safe to repeat, so a reply that was lost
// needs no inquiry: the next block sends it again.
func (p *Processor) send(ctx context.Context, name string) error {
	payout := p.Payout(name)
	if payout.Height != 0 {
		return nil
	}
	tx := wire.NewMsgTx(2)
	raw, err := hex.DecodeString(payout.Versions[len(payout.Versions)-1].Hex)
	if err == nil {
		err = tx.Deserialize(bytes.NewReader(raw))
	}
	if err != nil {
		return fmt.Errorf("the book is damaged: %w", err)
	}
	err = p.client.Broadcast(ctx, tx)
	reason := ""
	if refused := (*bitcoind.RPCError)(nil); errors.As(err, &refused) {
		err, reason = nil, refused.Message // such as: a reorganisation took the coins away
	}
	if err != nil {
		return passing(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.book.Payouts[name].Refused = reason
	return p.book.save()
}

const (
	dust          = 330 // the least that nodes relay in a P2TR output
	overheadVSize = 11  // of a transaction, without inputs and outputs
	inputVSize    = 58  // of a key path spend, rounded up
	outputVSize   = 43  // of a P2TR output, the largest usual one
	replaceable   = wire.MaxTxInSequenceNum - 2
)

// addVersion signs a transaction at a fee rate and adds it to the payout.
func (p *Processor) addVersion(payout *Payout, feeRate int64) error {
	rest := -payout.AmountSat - feeRate*int64(overheadVSize+len(payout.Coins)*inputVSize+2*outputVSize)/1000
	previous := txscript.NewMultiPrevOutFetcher(nil)
	tx := wire.NewMsgTx(2)
	scripts := make([][]byte, len(payout.Coins))
	for i, coin := range payout.Coins {
		rest += coin.AmountSat
		in := wire.NewTxIn(&coin.OutPoint, nil, nil)
		in.Sequence = replaceable
		tx.AddTxIn(in)
		var err error
		if scripts[i], err = keyScript(p.key(coin.Key)); err != nil {
			return err
		}
		previous.AddPrevOut(coin.OutPoint, wire.NewTxOut(coin.AmountSat, scripts[i]))
	}
	if rest < 0 {
		return ErrFunds
	}
	tx.AddTxOut(wire.NewTxOut(payout.AmountSat, payout.Script))
	if rest >= dust {
		script, err := keyScript(p.key(change))
		if err != nil {
			return err
		}
		tx.AddTxOut(wire.NewTxOut(rest, script))
	}
	hashes := txscript.NewTxSigHashes(tx, previous)
	for i, coin := range payout.Coins {
		witness, err := txscript.TaprootWitnessSignature(tx, hashes, i, coin.AmountSat, scripts[i], txscript.SigHashDefault, p.key(coin.Key))
		if err != nil {
			return err
		}
		tx.TxIn[i].Witness = witness
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return err
	}
	payout.Versions = append(payout.Versions, Version{TxID: tx.TxHash(), Hex: hex.EncodeToString(raw.Bytes()), FeeRate: feeRate})
	payout.Since = p.book.Tip.Height
	return nil
}
