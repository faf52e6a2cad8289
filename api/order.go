package api

import (
	"encoding/json"
	"errors"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// orderForm is an order in JSON as EncodeOrder writes it. Fields of other kinds
// are left out.
type orderForm struct {
	Bank     ledger.BankID    `json:"bank"`
	Kind     string           `json:"kind"`
	Payer    ledger.AccountID `json:"payer"`
	Sequence uint64           `json:"sequence"`
	Previous ledger.Hash      `json:"previous"`
	Expiry   uint32           `json:"expiry"`

	Key *ledger.Key `json:"key,omitempty"` // open

	Payments  []paymentForm `json:"payments,omitempty"` // transfer
	Reference *hexBytes     `json:"reference,omitempty"`

	Amount *ledger.Amount `json:"amount_sat,omitempty"`  // withdraw
	FeeMax *ledger.Amount `json:"fee_max_sat,omitempty"` // withdraw, standing
	Script *hexBytes      `json:"script,omitempty"`      // withdraw, standing

	Withdrawal *uint64 `json:"withdrawal,omitempty"` // cancel

	Keep  *ledger.Amount `json:"keep_sat,omitempty"` // standing
	Every *uint32        `json:"every_blocks,omitempty"`

	Signature ledger.Signature `json:"signature"`
}

type paymentForm struct {
	Payee  ledger.AccountID `json:"payee"`
	Amount ledger.Amount    `json:"amount_sat"`
}

// EncodeOrder writes an order as POST /v1/orders reads it. The JSON only
// carries the order: what is signed are its canonical bytes.
func EncodeOrder(o *ledger.Order) ([]byte, error) {
	form := orderForm{Bank: o.Bank, Payer: o.Payer, Sequence: o.Sequence, Previous: o.Previous,
		Expiry: o.Expiry, Signature: o.Signature}
	switch body := o.Body.(type) {
	case *ledger.Open:
		form.Key = &body.Key
	case *ledger.Transfer:
		form.Reference = (*hexBytes)(&body.Reference)
		for _, p := range body.Payments {
			form.Payments = append(form.Payments, paymentForm(p))
		}
	case *ledger.Withdraw:
		form.Amount, form.FeeMax, form.Script = &body.Amount, &body.FeeMax, (*hexBytes)(&body.Script)
	case *ledger.Cancel:
		form.Withdrawal = &body.Sequence
	case *ledger.Standing:
		form.Keep, form.Every, form.FeeMax, form.Script = &body.Keep, &body.Every, &body.FeeMax, (*hexBytes)(&body.Script)
	case *ledger.Close:
	default:
		return nil, malformed("the order asks for nothing")
	}
	form.Kind = o.Kind().String()
	return json.Marshal(form)
}

// DecodeOrder reads the JSON form of one order. Every field must be there and
// no other may be. A withdrawal and a standing payout name their destination by
// "script" or by an "address" of the network; an empty script ends a standing payout.
// The order is not checked any further.
//
// Errors: *ledger.Error with CodeMalformed, CodeAmount for an amount that no
// int64 holds, CodeAddressMalformed, CodeAddressNetwork.
func DecodeOrder(data []byte, network *chaincfg.Params) (*ledger.Order, error) {
	f := readFields("the order", data)
	o := &ledger.Order{}
	var kind string
	f.take("bank", &o.Bank)
	f.take("kind", &kind)
	f.take("payer", &o.Payer)
	f.take("sequence", &o.Sequence)
	f.take("previous", &o.Previous)
	f.take("expiry", &o.Expiry)
	f.take("signature", &o.Signature)
	if f.err == nil {
		o.Body = takeBody(f, kind, network)
	}
	if err := f.done(); err != nil {
		return nil, err
	}
	return o, nil
}

func takeBody(f *fields, kind string, network *chaincfg.Params) ledger.Body {
	switch kind {
	case ledger.KindOpen.String():
		body := &ledger.Open{}
		f.take("key", &body.Key)
		return body
	case ledger.KindTransfer.String():
		return takeTransfer(f)
	case ledger.KindWithdraw.String():
		body := &ledger.Withdraw{}
		f.take("amount_sat", (*satoshis)(&body.Amount))
		f.take("fee_max_sat", (*satoshis)(&body.FeeMax))
		body.Script = takeScript(f, network)
		return body
	case ledger.KindClose.String():
		return &ledger.Close{}
	case ledger.KindCancel.String():
		body := &ledger.Cancel{}
		f.take("withdrawal", &body.Sequence)
		return body
	case ledger.KindStanding.String():
		body := &ledger.Standing{}
		f.take("keep_sat", (*satoshis)(&body.Keep))
		f.take("every_blocks", &body.Every)
		f.take("fee_max_sat", (*satoshis)(&body.FeeMax))
		body.Script = takeScript(f, network)
		return body
	}
	f.err = malformed("the order has the kind %.40q: use open, transfer, withdraw, close, cancel or standing", kind)
	return nil
}

func takeTransfer(f *fields) *ledger.Transfer {
	var payments []json.RawMessage
	var reference hexBytes
	f.take("payments", &payments)
	f.take("reference", &reference)
	if f.err != nil {
		return nil
	}
	// An empty reference has one form in canonical bytes and one in memory.
	body := &ledger.Transfer{Payments: make([]ledger.Payment, len(payments))}
	if len(reference) > 0 {
		body.Reference = reference
	}
	for i, raw := range payments {
		p := readFields("a payment", raw)
		p.take("payee", &body.Payments[i].Payee)
		p.take("amount_sat", (*satoshis)(&body.Payments[i].Amount))
		if f.err = p.done(); f.err != nil {
			return nil
		}
	}
	return body
}

func takeScript(f *fields, network *chaincfg.Params) []byte {
	if f.err == nil && f.has("script") == f.has("address") {
		f.err = malformed("a withdrawal names its destination once: give either %q or %q", "script", "address")
		return nil
	}
	if f.has("script") {
		var script hexBytes
		f.take("script", &script)
		return script
	}
	var address string
	f.take("address", &address)
	if f.err != nil {
		return nil
	}
	script, err := parseAddress(address, network)
	if err != nil {
		f.err = err
	}
	return script
}

// parseAddress is taproot.ParseAddress with the errors of this package.
func parseAddress(address string, network *chaincfg.Params) ([]byte, error) {
	script, err := taproot.ParseAddress(address, network)
	var other *taproot.AddressNetworkError
	switch {
	case err == nil:
		return script, nil
	case errors.As(err, &other):
		return nil, errAddressNetwork(other)
	}
	return nil, &ledger.Error{Code: CodeAddressMalformed,
		Message: "this is not a Bitcoin address that the bank pays to: check it for a typing error"}
}
