package ledger

import (
	"errors"
	"fmt"
)

// Code names a reason for refusing an order or an event. Codes are stable:
// programs compare them, and they never change their meaning.
type Code string

// The reasons for which the books refuse an order or an event. When several
// apply, the first in the order of checks is given.
const (
	CodeMalformed     Code = "malformed"              // bytes that are not one whole order in canonical form
	CodeOversized     Code = "oversized"              // more bytes, payees or reference than a format allows
	CodeWrongBank     Code = "wrong_bank"             // signed for another bank's id
	CodeAccount       Code = "unknown_account"        // payer or payee was never opened here
	CodeSystemAccount Code = "system_account"         // an account of the bank that members cannot name
	CodeClosed        Code = "account_closed"         // payer or payee is closed
	CodeExists        Code = "account_exists"         // the key has an account already
	CodeKey           Code = "invalid_key"            // not an x-only public key of secp256k1
	CodeSignature     Code = "bad_signature"          // not signed by the account's key
	CodeSequenceUsed  Code = "sequence_used"          // another order stands at this sequence number
	CodeSequenceGap   Code = "sequence_skipped"       // an earlier order is missing
	CodePrevious      Code = "wrong_previous"         // does not name the payer's previous order
	CodeExpired       Code = "order_expired"          // the books passed its last height
	CodeAmount        Code = "amount_out_of_range"    // zero, negative or above 21 million BTC
	CodeOverflow      Code = "amount_overflow"        // payments that add up to more than 21 million BTC
	CodeSelfPayment   Code = "self_payment"           // payee is the payer
	CodeNoPayee       Code = "no_payee"               // a transfer without a payment
	CodeFunds         Code = "insufficient_funds"     // more than is available
	CodeDust          Code = "dust_withdrawal"        // too small to be paid on chain
	CodeScript        Code = "unsupported_script"     // not one of the five standard payout scripts
	CodeNotEmpty      Code = "account_not_empty"      // closing with a balance or an open withdrawal
	CodeNotWaiting    Code = "withdrawal_not_waiting" // cancelling what is no withdrawal, or one that a cut took
	CodeEvent         Code = "invalid_event"          // a chain event that contradicts the books
)

// Error is a refusal: nothing changed. Its message is one sentence that says
// what to do. Compare with errors.Is against another *Error of the same code,
// or read Code through errors.As.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return e.Message }

// Is reports whether target is an *Error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// CodeOf returns the code of the *Error in err's chain, or "".
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func fail(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// A HistoryError says that a batch contradicts the history before it, its own
// header or the operator's key. The books that met it must not be used further.
type HistoryError struct {
	Batch  uint64 // number of the batch
	Entry  int    // index of the entry in it, or -1 for the header
	Reason string
	Err    error // the refusal of the entry, if that is the reason
}

func (e *HistoryError) Error() string {
	where := fmt.Sprintf("batch %d", e.Batch)
	if e.Entry >= 0 {
		where += fmt.Sprintf(" entry %d", e.Entry)
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", where, e.Reason, e.Err)
	}
	return where + ": " + e.Reason
}

func (e *HistoryError) Unwrap() error { return e.Err }

// TamperedError says that a batch is not what the operator signed.
type TamperedError struct {
	Batch  uint64
	Reason string
}

func (e *TamperedError) Error() string {
	return fmt.Sprintf("batch %d is not what the operator signed: %s", e.Batch, e.Reason)
}
