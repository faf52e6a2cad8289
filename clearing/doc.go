// Package clearing makes payments between members instant and durable: it is
// the one writer of a bank's books. Package api and package settlement call it;
// nobody else changes a balance.
//
//	Submit, SubmitMany                       Record, View
//	      │ bounded queue, or ErrBusy              │
//	      ▼                                        │
//	verify: all cores ── a bad one among them ──┐  │
//	      │ all good                            ▼  │
//	      │ ◀────────── judge: apart, at leisure   │
//	      ▼                                        ▼
//	┌───────────────────────────────────────────────────┐
//	│ sequence: one goroutine, the ledger.State in       │  gathers and applies batch k+1
//	│ memory; accepts or refuses, fills the open batch   │
//	└──────────────┬─────────────────────────────────────┘
//	               ▼ one batch at a time
//	       commit: header signed, one PostgreSQL Tx           writes batch k
//	               ▼ COMMIT returned
//	       acknowledge: receipts, answers, views              answers batch k
//	               ▼ nudge
//	       project: members' history, outside the way
//	       book: PostgreSQL's own balances, outside the way
//	       snapshot: the books written down, outside the way
//
// # What it promises
//
// An answer, whether receipt, refusal or view, is given only after everything
// that it rests on is on disk. The orders of a call are taken in their order; calls
// follow each other as their signatures are verified, which is about as they came.
// A batch is as large as what arrived while the one before it was being written: a
// lone order is committed at once, many share one commit. Orders that come one by one
// but densely are gathered for a moment, since together they cost less.
//
// Who sends bad signatures waits for himself: they are looked for apart, in an
// eighth of the time while others wait, and hardly cost those others anything.
//
// An order is carried out once at most. Sending an accepted order again gives
// its first answer, at any later time and after any restart; another order
// at its sequence number is refused.
//
// # What happens on failure
//
//	queue full               ErrBusy at once; nothing changed
//	any error of COMMIT      the engine stops; whoever waits gets ErrStopped
//	another engine started   this one is fenced: it can commit no more and stops
//	PostgreSQL adds up       the engine stops, with *postgres.BookingError
//	  other balances
//	the process dies         what was answered is on disk; Open replays it
//
// Open begins with the newest snapshot of the books and replays the batches after
// it; of those before it only the signed headers are verified. A snapshot is
// signed by the operator and stands at a header of the journal, or it is ignored:
// without any, Open replays everything. VerifyGenesis asks for that.
//
// A stopped engine never continues: what it holds in memory may be ahead of
// the journal. Open another one; it reads the truth. A client that got
// ErrStopped sends the same order again and learns its outcome.
//
// The members' history may lag: while payments are made it gets a tenth of the
// time, and it catches up when they pause. So does PostgreSQL's own sum of every
// balance, by a minute at most: a batch that leaves an account below zero by its own words,
// or makes money, is refused at once, one that says a wrong balance a moment later.
//
// An engine that was replaced while idle finds out within a second. Until then
// its views may be older than what the new engine accepted.
package clearing
