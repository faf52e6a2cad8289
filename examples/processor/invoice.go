package processor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript"
)

// ErrNoInvoice: there is no invoice of that number.
var ErrNoInvoice = errors.New("no such invoice")

// Invoice asks for an amount at a script of its own.
type Invoice struct {
	Number    uint32 `json:"number"` // from 1 up, also of its key
	AmountSat int64  `json:"amount_sat"`
	Script    []byte `json:"script"`
}

// Status is how far an invoice is paid.
type Status string

// The states of an invoice. A reorganisation may lead back.
const (
	Unpaid Status = "unpaid" // no block holds enough
	Seen   Status = "seen"   // blocks do, but not deep enough
	Paid   Status = "paid"
)

// Invoice makes an invoice over an amount in satoshis.
func (p *Processor) Invoice(amountSat int64) (Invoice, error) {
	if amountSat <= 0 {
		return Invoice{}, fmt.Errorf("processor: invoice over %d satoshis", amountSat)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	number := uint32(len(p.book.Invoices) + 1)
	script, err := keyScript(p.key(number))
	if err != nil {
		return Invoice{}, err
	}
	invoice := Invoice{Number: number, AmountSat: amountSat, Script: script}
	p.book.Invoices = append(p.book.Invoices, invoice)
	return invoice, p.book.save()
}

// Status returns the state of an invoice as of Tip.
func (p *Processor) Status(number uint32) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if number < 1 || int(number) > len(p.book.Invoices) {
		return "", fmt.Errorf("processor: invoice %d: %w", number, ErrNoInvoice)
	}
	wanted := p.book.Invoices[number-1].AmountSat
	var received, deep int64
	for _, coin := range p.book.Coins {
		if coin.Key != number {
			continue
		}
		received += coin.AmountSat
		if p.isDeep(coin) {
			deep += coin.AmountSat
		}
	}
	switch {
	case deep >= wanted:
		return Paid, nil
	case received >= wanted:
		return Seen, nil
	}
	return Unpaid, nil
}

func (p *Processor) isDeep(coin Coin) bool {
	return p.book.Tip.Height-coin.Height+1 >= p.policy.Depth
}

// change is the number of the key that receives the rest of payouts.
const change = 0

// deriveKey makes a private key. A real shop would derive by BIP 32.
func deriveKey(seed []byte, number uint32) *btcec.PrivateKey {
	mac := hmac.New(sha256.New, seed)
	mac.Write(binary.BigEndian.AppendUint32(nil, number))
	key, _ := btcec.PrivKeyFromBytes(mac.Sum(nil))
	return key
}

// keyScript pays to a key alone (BIP 86).
func keyScript(key *btcec.PrivateKey) ([]byte, error) {
	return txscript.PayToTaprootScript(txscript.ComputeTaprootKeyNoScript(key.PubKey()))
}
