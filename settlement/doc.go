// Package settlement settles the net of the books in one Bitcoin transaction at
// a time. It is the part of the bank that touches the chain: it credits what
// arrives, pays what was withdrawn, and anchors the books.
//
// A Desk is driven by blocks. At each new one it takes into the books the blocks
// that have reached the charter's depth, with their deposits and the settlement
// they hold; then it moves the settlement in flight one or more stages on, or
// cuts the journal for the next:
//
//	cut → sign → broadcast → mined → posted
//
// states.go holds the stages, the events and what is durable before each step;
// docs/settlement.md draws them.
//
// What it promises: a withdrawal is paid exactly once. The cut is an entry of
// the journal and fixes the transaction to the byte (package netting), so
// whatever is repeated after a crash is the same transaction with the same
// txid; no second cut is possible before the books have posted the first. The
// signed transaction is stored before any node sees it.
//
// On failure: Advance returns the error and has done nothing that a second call
// does not continue. A node that refuses the transaction is recorded with its
// reason and asked again at the next block. A block of the books that is no
// longer in the chain (a reorganisation deeper than the charter's depth) is a
// ReorgError: nothing is cut or credited until the chain has it again or a
// person decides.
//
// Raising the fee of a settlement that is not mined is not built yet: it waits.
package settlement
