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
// txid. The signed transaction is stored before any node sees it. A settlement that
// is not in the next block is cut again, as its next version: versions share a coin,
// so at most one is mined, and whichever it is is recognised (replace.go). The next
// settlement is cut when that one is posted.
//
// On failure: Advance returns the error and has done nothing that a second call
// does not continue. A node that refuses the transaction is recorded with its
// reason; when it asks for more the next version pays it, else it is asked again at the
// next block. What keeps a settlement from being replaced (the ceiling, the
// treasury) is recorded too and shown in its Status. A block of the books that is no
// longer in the chain (a reorganisation deeper than the charter's depth) is a
// ReorgError: nothing is cut or credited until the chain has it again, or an operator
// takes the books to the other branch (Resolve, Follow, Correct).
//
// Withdrawal follows one withdrawal from its order to the block that pays it.
package settlement
