package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daobank/daobank/ledger"
)

// Errors of the store, compared with errors.Is.
var (
	// ErrNoBank: the database holds no bank yet.
	ErrNoBank = errors.New("the database holds no bank: create one first")
	// ErrFenced: another writer has taken the lease; nothing was written.
	ErrFenced = errors.New("another process has taken over the books")
	// ErrAmbiguous: COMMIT was sent and its answer never came. Only reading
	// the journal tells whether the batch was written.
	ErrAmbiguous = errors.New("the database did not say whether it committed")
	// ErrNotFound: no such batch, order or account.
	ErrNotFound = errors.New("not found")
	// ErrStepExists: the settlement has a step of this ordinal already.
	ErrStepExists = errors.New("the settlement step is written already")
)

// A BankError says that the database holds another bank than the one expected.
type BankError struct {
	Want, Stored ledger.BankID
}

func (e *BankError) Error() string {
	return fmt.Sprintf("the database holds the bank %s, not %s", e.Stored, e.Want)
}

// A BookingError says that PostgreSQL added the journal's batches up to other
// balances than the engine that wrote them.
type BookingError struct {
	Err error // PostgreSQL's own
}

func (e *BookingError) Error() string {
	return fmt.Sprintf("PostgreSQL adds up other balances than the books had: %v", e.Err)
}

func (e *BookingError) Unwrap() error { return e.Err }

// SQLSTATEs that the schema raises (package migrations) and PostgreSQL's own.
const (
	stateFenced     = "DAO01"
	stateUnbalanced = "DAO04"
	stateDuplicate  = "23505"
	stateCheck      = "23514"
)

// classify turns the schema's refusal of a writer into ErrFenced.
func classify(err error) error {
	if sqlState(err) == stateFenced {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}

// classifyCommit says what an error of COMMIT itself means. Only an answer of
// the server that the Tx was rolled back is certain. A server that ends the
// connection (FATAL, PANIC) may have committed before.
func classifyCommit(err error) error {
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR" {
		return classify(err)
	}
	return fmt.Errorf("%w: %w", ErrAmbiguous, err)
}

func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
