package api

import (
	"errors"
	"fmt"
	"sync"

	"github.com/daobank/daobank/ledger"
)

// ErrReceipt says that the bank answered an order with a receipt that does not
// prove its acceptance. The bank is broken or lies: keep the answer.
var ErrReceipt = errors.New("the receipt does not prove that the order was accepted")

// A verifier checks receipts under one charter. Receipts of one batch share
// their header, so the last good one is remembered.
type verifier struct {
	charter ledger.Charter
	bank    ledger.BankID

	mu   sync.Mutex
	last ledger.SignedHeader
}

func newVerifier(charter ledger.Charter) *verifier {
	return &verifier{charter: charter, bank: charter.ID()}
}

// verify is Receipt.Verify for an order. Error: ErrReceipt; its text is the
// reason, whose code would be mistaken for the order's refusal.
func (v *verifier) verify(order *ledger.Order, r *ledger.Receipt) error {
	v.mu.Lock()
	known := v.last == r.Header
	v.mu.Unlock()
	if known {
		if !ledger.VerifyPath(r.Header.Root, ledger.EntryLeaf(order.Bytes()), r.Index, r.Header.Count, r.Path) {
			return fmt.Errorf("%w: the order is not entry %d of batch %d", ErrReceipt, r.Index, r.Header.Number)
		}
		return nil
	}
	if err := r.Verify(&v.charter, order.Bytes()); err != nil {
		return fmt.Errorf("%w: %v", ErrReceipt, err)
	}
	v.mu.Lock()
	v.last = r.Header
	v.mu.Unlock()
	return nil
}
