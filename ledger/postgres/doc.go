// Package postgres is the durable store of the books: the journal, the balances
// that PostgreSQL adds up itself, the diary of settlements and the members'
// history. It is for the programs of the bank; whoever only checks books needs
// package ledger alone.
//
// # What it promises
//
// Commit writes one batch in one Tx: its signed header, its entries, the
// accounts it opened and what it added to each balance. When Commit returns
// nil, the batch is on disk. The schema (package migrations) refuses, whatever
// a program does: a change to history, a gap or a fork in the chain of batches,
// a repeated (payer, sequence), a negative balance of anyone but the vault, a
// batch whose movements do not add up to zero, and every writer but the last
// one that took the lease.
//
// # Balances
//
// A commit writes one row for what a batch adds to balances and what they then are;
// Book adds many such rows to the accounts' own at once, and compares. Balances and
// BalancesAt read both together, so they never lag.
//
// # The lease
//
//	TakeLease      epoch 7 ── commits ── commits ── refused: ErrFenced
//	                                   │
//	another process        TakeLease ──┴── epoch 8 ── commits
//
// A take-over waits for a Commit under way, so what it reads afterwards is
// everything that the writer before it ever wrote.
//
// # History
//
// Members read their movements from a table that Project derives from the
// journal, outside every commit. It may lag; it neither misses a movement nor
// shows one twice.
//
// # Snapshots
//
// SaveSnapshot keeps the books as they stood at a batch, so that a start need not
// read the journal from the beginning. They are a cache: old ones are removed, all
// can be, and one that is not whole does not exist.
//
// # What happens on failure
//
// An error of Commit is one of three. ErrFenced: another writer has taken over;
// nothing was written. ErrAmbiguous: COMMIT was sent and no answer came back;
// the batch is on disk or it is not, and only reading the journal tells. Any
// other error: nothing was written. The clearing engine stops on each of them
// and is opened again.
package postgres
