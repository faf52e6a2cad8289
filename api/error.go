package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/taproot"
)

// Codes that only the HTTP edge gives; like ledger.Code's they never change
// their meaning.
const (
	CodeAddressMalformed ledger.Code = "address_malformed"  // not an address that the bank pays to
	CodeAddressNetwork   ledger.Code = "address_network"    // a sound address of another network
	CodeNotFound         ledger.Code = "not_found"          // no such page, batch or order
	CodeMethod           ledger.Code = "method_not_allowed" // the page exists for another method
	CodeInternal         ledger.Code = "internal"           // a fault of the bank; the outcome is unknown
)

// statuses gives each code its HTTP status. A code that is missing here is a
// fault of this package and answered with 500; a test guards the table.
var statuses = map[ledger.Code]int{
	// What was sent cannot be read.
	ledger.CodeMalformed: http.StatusBadRequest,
	ledger.CodeKey:       http.StatusBadRequest,
	CodeAddressMalformed: http.StatusBadRequest,
	CodeAddressNetwork:   http.StatusBadRequest,
	ledger.CodeOversized: http.StatusRequestEntityTooLarge,
	// It can be read, and is not the signer's to order.
	ledger.CodeSignature: http.StatusForbidden,
	// There is no such thing here.
	ledger.CodeAccount: http.StatusNotFound,
	CodeNotFound:       http.StatusNotFound,
	CodeMethod:         http.StatusMethodNotAllowed,
	// It contradicts what was accepted before: read the account again.
	ledger.CodeExists:       http.StatusConflict,
	ledger.CodeSequenceUsed: http.StatusConflict,
	ledger.CodeNotWaiting:   http.StatusConflict,
	ledger.CodeSequenceGap:  http.StatusConflict,
	ledger.CodePrevious:     http.StatusConflict,
	// The rules refuse it.
	ledger.CodeWrongBank:     http.StatusUnprocessableEntity,
	ledger.CodeSystemAccount: http.StatusUnprocessableEntity,
	ledger.CodeClosed:        http.StatusUnprocessableEntity,
	ledger.CodeExpired:       http.StatusUnprocessableEntity,
	ledger.CodeAmount:        http.StatusUnprocessableEntity,
	ledger.CodeOverflow:      http.StatusUnprocessableEntity,
	ledger.CodeSelfPayment:   http.StatusUnprocessableEntity,
	ledger.CodeNoPayee:       http.StatusUnprocessableEntity,
	ledger.CodeFunds:         http.StatusUnprocessableEntity,
	ledger.CodeDust:          http.StatusUnprocessableEntity,
	ledger.CodeScript:        http.StatusUnprocessableEntity,
	ledger.CodeNotEmpty:      http.StatusUnprocessableEntity,
	// The bank cannot answer now: send the same again.
	clearing.CodeBusy:        http.StatusServiceUnavailable,
	clearing.CodeUnavailable: http.StatusServiceUnavailable,
	// The bank's own faults. No order leads to an event's refusal.
	ledger.CodeEvent: http.StatusInternalServerError,
	CodeInternal:     http.StatusInternalServerError,
}

// errorForm is how every error is answered.
type errorForm struct {
	Error *errorBody `json:"error"`
}

type errorBody struct {
	Code    ledger.Code `json:"code"`
	Message string      `json:"message"`
}

// refusal is the error as the client returns it. What the bank wrote is shown on
// terminals, so nothing in it may steer one.
func (e *errorBody) refusal() *ledger.Error {
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	return &ledger.Error{Code: ledger.Code(strings.Map(printable, string(e.Code))), Message: strings.Map(printable, e.Message)}
}

// refusal turns any error of a handler into what the client is told. The
// details of a fault are for the log: they could tell a stranger about the
// inside of the bank.
func refusal(err error) *ledger.Error {
	var known *ledger.Error
	var body *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &body):
		return &ledger.Error{Code: ledger.CodeOversized,
			Message: fmt.Sprintf("the body has more than %d bytes: send less at once", body.Limit)}
	case errors.Is(err, postgres.ErrNotFound):
		return &ledger.Error{Code: CodeNotFound, Message: "there is no such batch or order here: check its number"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &ledger.Error{Code: clearing.CodeUnavailable,
			Message: "the bank did not answer in time: ask again; an order that is sent again is carried out once at most"}
	}
	return &ledger.Error{Code: CodeInternal,
		Message: "the bank met a fault of its own, which is in its log: ask again; an order that is sent again is carried out once at most"}
}

func statusOf(code ledger.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}

func errAddressNetwork(e *taproot.AddressNetworkError) *ledger.Error {
	return &ledger.Error{Code: CodeAddressNetwork,
		Message: fmt.Sprintf("the address %s belongs to %s and this bank is on %s: use an address of %s",
			e.Address, strings.Join(e.Networks, " or "), e.Want, e.Want)}
}
