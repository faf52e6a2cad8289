package clearing

import (
	"fmt"

	"github.com/daobank/daobank/ledger"
)

// Codes of refusals that are not about the order itself. The order may be sent
// again, unchanged.
const (
	CodeBusy        ledger.Code = "busy"        // the queue is full; nothing changed
	CodeUnavailable ledger.Code = "unavailable" // the engine stopped; the order may have been accepted
)

// Errors of the engine, compared with errors.Is.
var (
	// ErrBusy: too many orders are waiting. Nothing changed.
	ErrBusy = &ledger.Error{Code: CodeBusy,
		Message: "the bank is busy: nothing changed, send the same order again in a moment"}
	// ErrStopped: the engine stopped before it could answer.
	ErrStopped = &ledger.Error{Code: CodeUnavailable,
		Message: "the bank stopped before it could answer and the outcome is unknown: send the same order again, it is carried out once at most"}

	errLookup = &ledger.Error{Code: CodeUnavailable,
		Message: "the bank could not look up whether it accepted this order before: send the same order again in a moment"}
)

// An EventError names the event that Record refused. The events before it are
// committed, it and those after it are not.
type EventError struct {
	Index int
	Err   error
}

func (e *EventError) Error() string { return fmt.Sprintf("event %d: %v", e.Index, e.Err) }

func (e *EventError) Unwrap() error { return e.Err }

// A SnapshotError says that a stored snapshot of the books does not fit the
// journal, which is always right. A start ignores such a snapshot; with
// VerifyGenesis it ends the start, so that somebody asks why.
type SnapshotError struct {
	Batch  uint64 // at whose end it is said to be taken
	Reason string
	Err    error // why it cannot be used, if that is known
}

func (e *SnapshotError) Error() string {
	text := fmt.Sprintf("the snapshot at batch %d: %s", e.Batch, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + " (the journal is not touched by this: remove the snapshot with \"delete from snapshot\")"
}

func (e *SnapshotError) Unwrap() error { return e.Err }

// A BalanceError says that the balance PostgreSQL has added up is not the one
// that the journal gives, so one of the two was tampered with or the program
// has a fault. The engine does not start on such books.
type BalanceError struct {
	Account          ledger.AccountID
	Stored, Replayed ledger.Amount
	Reason           string // what differs when it is not the amount
}

func (e *BalanceError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("account %s: %s", e.Account, e.Reason)
	}
	return fmt.Sprintf("account %s: the database holds %d sat, the journal gives %d sat", e.Account, e.Stored, e.Replayed)
}
