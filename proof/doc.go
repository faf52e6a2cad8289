// Package proof is what a stranger can check about a bank without asking it: small
// files that verify offline, with nothing but block headers and the bank's public
// file. It is for members, auditors and guardians, for whoever they show a file to,
// and for a browser: it has no clock, disk, network or database, and builds for
// GOOS=js.
//
//	receipt       the operator accepted an order                 binds the operator
//	payment       it is in the journal that the chain commits to
//	balance       a balance is counted in an anchored total
//	coins         an anchored total was at most the vault's coins
//	consistency   one anchored journal is the beginning of another
//	omission      an anchored journal lacks an accepted order    accuses the operator
//	equivocation  two signed headers of one number               accuses the operator
//	double-order  two signed orders of one number                accuses a member
//	stray-spend   a signed spend that is no settlement           accuses the guardians
//	reserves      the guardians signed a message with the vault's coins
//
// # What a proof rests on
//
// Trust is all of it: the id of the bank that is meant, its vault's policies and a
// chain of headers. Nothing in a file is believed because it stands there. The
// charter in it is only good when its hash is the id. A block counts when its header
// is in the chain that the verifier brought, which begins at the bank's birth block,
// links, and has the work that the network's rules demand.
//
// An anchor is a transaction that carries the hash of the books (ledger.Books) and
// that the vault's own key has signed: so many guardians as must sign. Anybody can
// write an OP_RETURN; nobody else can make this signature. The books commit to every
// batch header (journal tree) and to every balance and their total (sum tree), so a
// payment, a balance and the history between two anchors are each a path of a few
// hundred bytes.
//
// # What happens on failure
//
// Decode refuses what is no proof (ErrNotProof). Verify answers with a Finding, which
// says in words what holds, whom it accuses and what it does not prove; or with an
// *InvalidError, which names the first thing that is wrong; or with a *NeedError,
// when the verifier has to bring more: that says nothing of the proof.
//
// # What it does not do
//
// Headers cannot show that an output was not spent. Coins therefore tells coins that
// the settlement itself spends, which were unspent until its block, from those that
// merely existed; Reserves says so unless a node was asked (Trust.Unspent). It does not
// replay: that all entries keep the rules is for package audit, which needs the journal
// and a node.
package proof
