// Package ledger is the books of the bank: the rules by which money moves
// inside it, the canonical bytes of all that is signed or hashed, and the trees
// that commit to them. What a rule means is written here once.
//
// It is for four programs that must agree to the satoshi. The clearing engine
// runs a State to decide what is accepted; recovery runs it over the stored
// journal to come back to where it was; guardians and auditors run it over
// batches that somebody else made, to check them. A member's program uses the
// formats alone: it makes and signs orders and verifies receipts.
//
// # What it promises
//
//   - A State is a function of the charter and the entries. It has no clock, no
//     disk, no network and no randomness, so two replays of one journal are
//     equal. The package builds for GOOS=js.
//   - An entry changes the books as a whole or not at all. A refusal is an
//     *Error with a stable Code and a sentence that says what to do.
//   - After every entry all accounts add up to zero, no account but the vault is
//     below zero, no hold is above its account's balance, and what the bank owes
//     equals the vault's coins. No sum passes 21 million BTC. CheckInvariants
//     verifies this in time linear in the accounts.
//   - A decoder accepts canonical bytes only, never panics, and makes nothing
//     larger than what it reads.
//
// # Accounts and postings
//
// Members' accounts are numbered from 16 in the order in which they are opened;
// the numbers below are the bank's own. Every movement is one Posting: Debit
// gives, Credit gets. The vault stands for the coins on chain, so its balance is
// minus their sum.
//
//	entry     debit                credit               amount
//	deposit   vault                member, treasury     the output's
//	                               or suspense
//	transfer  payer                payee                each payment's
//	withdraw  -                    -                    Amount + FeeMax are held
//	cut       owner of a payout    withdrawals-pending  Amount + FeeMax, the hold ends
//	          treasury             miner-fees           Fee - all FeeShares, beyond what is reserved
//	settled   withdrawals-pending  vault                Amount, for each payout of the version
//	          withdrawals-pending  miner-fees           FeeShare, for each payout of the version
//	          withdrawals-pending  owner of the payout  FeeMax - FeeShare, for each payout of the version
//	          withdrawals-pending  owner of the payout  Amount + FeeMax, for each of other versions: held again
//	          miner-fees           vault                Fee, once
//	          miner-fees           treasury             what was reserved for a dearer version
//	reorganised                                         coins that come and go, through suspense
//	correct   suspense             member, treasury     Amount
//	open, close, block, cancel, standing, draw          move nothing
//
// A withdrawal goes through three states: held from its order on (or from the draw of
// a standing payout), taken by a cut, paid when the settlement is posted. While it is
// held its owner can cancel it. Its account cannot close before it is paid or cancelled.
//
// A settlement has versions, which replace each other until a block holds one. All of
// them spend a common coin, so no chain holds two (flight.go says why that suffices).
//
// A posting of zero is left out. A deposit is in suspense when it paid a change
// address, an index that no member has, or an account that is closed; coins in
// suspense are owed like all others.
//
// # Batches and the chain
//
// Entries are accepted in batches. A batch's Header names the hash of the header
// before it (the first names the bank's id) and the Merkle root and number of
// its entries, and is signed by the operator whose key the charter holds: so one
// signature covers the whole journal up to it, and two signed headers of one
// number prove that the operator showed two histories. A Receipt is a signed
// header and a Merkle path; with the charter it verifies offline.
//
// A Cut is always the last entry of its batch. When Seal ends that batch, the
// State computes Books: one hash over the header, hence the journal, and over
// every balance. The settlement's transaction carries it.
//
// Each member's orders are a chain too: an order names its sequence number and
// the digest of the order before it.
//
// # What happens on failure
//
// A refused entry changes nothing and uses up no sequence number; the next one
// can be applied. CanApplyOrder gives the refusal without applying. When several
// reasons apply, the first in the order of checks is given (docs/formats.md).
//
// Append refuses a batch that contradicts the history, its own header or the
// operator's key with a *HistoryError, which names the batch and the entry. Some
// of the batch's entries may be applied by then: throw the State away, and
// believe nothing that came after. Seal alone changes nothing when it refuses.
//
// # Snapshots
//
// A bank's own start need not replay everything: Snapshot copies a State at the
// end of a batch, Encode writes it signed by the operator, DecodeSnapshot makes the
// State again, and VerifyHeaders checks the chain of headers up to it. Whoever
// checks the bank replays the journal instead.
//
// # What it does not do
//
//   - ApplyOrder and CanApplyOrder do not look at signatures. Order.Verify does,
//     for one order; Append with CheckAll does, for a batch.
//   - It does not see the chain. That a deposit, a block or a settlement is true
//     is for those who have a node to check; the books refuse only what
//     contradicts the books. They do not remember spent coins, but for those that a
//     deep reorganisation took from them.
//   - It builds no transaction and judges no fee rate. A Cut says which coins and
//     withdrawals it takes; that the choice is good is the settlement's matter.
//   - It stores nothing, and a State is not safe for concurrent use.
package ledger
