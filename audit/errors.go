package audit

import (
	"errors"
	"fmt"
)

// Reasons why an audit could not be made, compared with errors.Is.
var (
	// ErrOtherChain: the node is not on the chain that the charter names.
	ErrOtherChain = errors.New("the node follows another chain than the bank")
	// ErrNodeBehind: the node has fewer blocks than the books.
	ErrNodeBehind = errors.New("the node has fewer blocks than the books: wait until it has caught up")
	// ErrReorganised: the chain changed under the audit. Run it again.
	ErrReorganised = errors.New("the chain was reorganised during the audit: run it again")
	// ErrOtherVault: the vault is not on the charter's chain.
	ErrOtherVault = errors.New("the vault's policy is for another network than the charter's chain")
)

// UncheckedError says that the audit could not be made. It proves nothing for
// or against the bank.
type UncheckedError struct {
	What string // what could not be done
	Err  error
}

func (e *UncheckedError) Error() string { return fmt.Sprintf("could not %s: %v", e.What, e.Err) }
func (e *UncheckedError) Unwrap() error { return e.Err }

func unchecked(err error, format string, args ...any) error {
	return &UncheckedError{What: fmt.Sprintf(format, args...), Err: err}
}
