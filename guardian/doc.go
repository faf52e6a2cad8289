// Package guardian holds a share of the vault's key and looks before it signs.
// It is for the people who keep the coins of others: a guardian trusts neither
// the operator of the bank nor the other guardians.
//
// A Guardian follows the journal. Of every batch it checks the operator's
// signature, the hash chain, the Merkle root and each member's signature, and
// replays it with package ledger; of every entry that was taken from the chain
// it looks at its own node. Asked to sign settlement n, it rebuilds the
// transaction from its own books and signs only what it has built itself: the
// proposal's bytes are compared, never used.
//
//	          ┌──────────── Sync: replay, check facts ◀──┐
//	          ▼                                          │
//	following ── Commit: rebuild, compare ──▶ nonces out ── Sign ──▶ following
//	          ├── chain differs ──▶ waiting: signs nothing until its node agrees
//	          └── history wrong ──▶ halted: signs nothing, ever
//
// On failure: an error from the journal's source or from the node is passed on
// and the next call tries again; so is a batch that differs from the chain as
// the guardian's node sees it (netting.FactError), for a node can be on a branch
// that loses. A batch that contradicts the history, the rules or a signature
// halts the guardian for good; HaltError says what it saw. A refused
// proposal is a RefusalError and changes nothing. Nonces live in memory only
// and are used once; a guardian that restarts begins at round one.
//
// Quorum is the coordinator's side: it asks guardians until t of them have
// signed, verifies the result and names whoever answered wrongly. It needs no
// trust; without t honest guardians it can only fail.
//
// Guardians of this version live inside the bank's process, with shares made by
// frost.TrustedDealer. They check all the same.
package guardian
