package api

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/daobank/daobank/ledger"
)

func examples(t testing.TB) []*ledger.Order {
	f := &fixture{TB: t, fakeBank: newFakeBank(t)}
	bodies := []ledger.Body{
		&ledger.Open{Key: ledger.KeyOf(privateKey("alice"))},
		&ledger.Transfer{Payments: []ledger.Payment{{Payee: 17, Amount: 5}, {Payee: 18, Amount: ledger.MaxAmount}}, Reference: []byte("rent")},
		&ledger.Transfer{Payments: []ledger.Payment{{Payee: 1<<63 - 1, Amount: -1}}},
		&ledger.Withdraw{Amount: 5000, FeeMax: 0, Script: append([]byte{0, 20}, make([]byte, 20)...)},
		&ledger.Close{},
	}
	orders := make([]*ledger.Order, len(bodies))
	for i, body := range bodies {
		orders[i] = f.signed("alice", &ledger.Order{Payer: 16, Sequence: uint64(i), Previous: ledger.Hash{byte(i)}, Expiry: uint32(i), Body: body})
	}
	return orders
}

// JSON carries an order without changing what was signed.
func TestOrderKeepsItsBytesInJSON(t *testing.T) {
	for _, order := range examples(t) {
		text, err := EncodeOrder(order)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeOrder(text, &chaincfg.RegressionNetParams)
		if err != nil || !bytes.Equal(back.Bytes(), order.Bytes()) {
			t.Errorf("%s came back as %+v (%v)", text, back, err)
		}
	}
}

// Whatever is sent, it is refused with a code, or it is an order that has one
// canonical form.
func FuzzOrderJSON(f *testing.F) {
	for _, order := range examples(f) {
		text, err := EncodeOrder(order)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"kind":"transfer","payments":[null]}`))
	bank := newFakeBank(f).state.Bank()
	f.Fuzz(func(t *testing.T, text []byte) {
		order, err := DecodeOrder(text, &chaincfg.RegressionNetParams)
		if err != nil {
			if ledger.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		if order.Check(bank) != nil {
			return // its lengths may not fit into canonical bytes
		}
		again, err := EncodeOrder(order)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeOrder(again, &chaincfg.RegressionNetParams)
		if err != nil || !bytes.Equal(back.Bytes(), order.Bytes()) {
			t.Fatalf("%s came back as %+v (%v)", again, back, err)
		}
		if canonical, err := ledger.DecodeOrder(order.Bytes()); err != nil || canonical.Digest() != order.Digest() {
			t.Fatalf("its canonical bytes are not read back: %v", err)
		}
	})
}

// A body of orders is refused whole, or it is exactly the orders in it.
func FuzzOrdersBody(f *testing.F) {
	var body []byte
	for _, order := range examples(f) {
		body = append(body, order.Bytes()...)
		f.Add(bytes.Clone(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		orders, err := decodeOrders(body)
		if err != nil {
			if ledger.CodeOf(err) == "" {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		var again []byte
		for _, order := range orders {
			again = append(again, order.Bytes()...)
		}
		if !bytes.Equal(again, body) {
			t.Fatal("the orders do not encode to the body")
		}
	})
}

// Every place that is written can be read, and nothing else.
func FuzzCursor(f *testing.F) {
	f.Add("1.2.3")
	f.Add("9223372036854775807.0.0")
	f.Fuzz(func(t *testing.T, text string) {
		var c, back Cursor
		if c.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := back.UnmarshalText([]byte(c.String())); err != nil || back != c {
			t.Fatalf("%q came back as %v (%v)", text, back, err)
		}
	})
}
