// Package netting turns the books into a Bitcoin transaction and the chain into
// entries of the books, both as pure functions. It is shared by everyone who
// must come to the same result: the settlement desk proposes, guardians rebuild
// before they sign, auditors rebuild afterwards.
//
//	books ── Plan, Replace ──▶ ledger.Cut ── applied ──▶ ledger.OpenCut ── Build ──▶ unsigned transaction
//	block ── Watch.Facts ──▶ ledger.Block, ledger.Deposit, ledger.Settled
//
// Plan decides: which coins are spent, which held withdrawals are paid, and
// what each pays the miner. Its decision is written into the journal as a Cut.
// Build decides nothing: from an OpenCut there is exactly one transaction, to
// the byte, so its txid is known before anyone signs. Signatures do not change
// it (BIP-141).
//
// Replace decides the next version of a settlement that was not mined: all coins of
// the version before, all payouts of any, and a fee that satisfies BIP-125 and the
// node. A Flight are the transactions of all versions; a block may hold any of them.
//
// CheckReorganised compares an entry that takes the books to another branch of the
// chain with the blocks of that branch, and names the version of the settlement in
// flight that must be posted with it.
//
// Vaults are the bank's vaults, one for each generation of its key; a new one is
// an entry of the books that the key before has signed. Change goes to the newest,
// coins of the others are moved by the next cuts, and all their addresses stay
// watched.
//
// NewReserves makes the transactions of a proof of reserves (BIP-127), which spend every
// coin and can never be mined.
//
// The transaction of a cut: version 2, lock time 0, every input signalling replacement
// (BIP-125); one output for each destination, however many withdrawals it
// collects; change to the vault's address of branch 1 with the settlement's
// number; one OP_RETURN that anchors the books. Inputs and outputs are sorted
// as BIP-69 says.
//
// Who pays the miner: a destination's output is paid by the withdrawals that
// share it, in equal parts, the first in order of acceptance paying one satoshi
// more where it does not divide; the treasury pays the rest. When change would
// be dust there is none, and the treasury pays it to the miner.
package netting
