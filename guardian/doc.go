// Package guardian holds a share of the vault's key and looks before it signs.
// It is for the people who keep the coins of others: a guardian trusts neither
// the operator of the bank nor the other guardians.
//
// A Guardian follows the journal. Of every batch it checks the operator's
// signature, the hash chain, the Merkle root and each member's signature, and
// replays it with package ledger; of every entry that was taken from the chain
// it looks at its own node. Asked to sign settlement n, it rebuilds the
// transaction from its own books and signs only what it has built itself: the
// proposal's bytes are compared, never used. Its own node must know every coin
// that is spent: unspent, deep enough, with the amount and script of the books.
//
//	          ┌──────────── Sync: replay, check facts ◀──┐
//	          ▼                                          │
//	following ── Commit: rebuild, compare, look up coins ──▶ nonces out ── Sign: remember, sign ──▶ following
//	          ├── chain differs ──▶ waiting: signs nothing until its node agrees
//	          └── history wrong ──▶ halted: signs nothing while it runs
//
// Memory and Headers are what a guardian knows besides the journal, on disk:
// what it has agreed to sign, written before a signature leaves, and every
// header it has replayed, so that a restart cannot be shown another history
// unseen. Of the versions of one settlement it signs only such as share a coin with all
// that it has signed, so that no two can be mined. Without them it remembers only while it runs. Memory also counts what
// leaves the vault in 24 hours; Limits bound that, one settlement, and its fee.
//
// On failure: an error from the journal's source or from the node is passed on
// and the next call tries again; so is a batch that differs from the chain as
// the guardian's node sees it (netting.FactError), for a node can be on a branch
// that loses. A batch that the operator did not sign as it is counts as no answer.
// A batch that contradicts the history, the rules, a signature or a
// kept header, on the operator's word, halts the guardian; HaltError says what it saw, Equivocation is
// the proof when there are two headers of one number. A guardian
// that is given such a proof when it starts (Config.Proof) is halted from then
// on; any other halt is not stored: it replays from genesis and halts again if
// it is shown the same. A refused proposal is a roast.RefusalError and changes
// nothing. Nonces (roast.Responder) live in memory only and are used once; a
// guardian that restarts begins at Commit.
//
// Quorum is the coordinator's side, on package roast: it succeeds whenever t
// guardians answer rightly, whatever the others do, verifies the result, and
// logs who failed or lied. It needs no trust; without t honest guardians it can
// only fail. A Peer is a Guardian in this process or, as in the program, a
// wire.Remote: each guardian runs in a process of its own and dials out
// (packages guardian/link and guardian/wire), on a folder of its own
// (guardian/keep).
//
// A guardian has a seat in each group whose key it helped to make (Add); the books
// say which group guards which coins. Guardians change by a Succession: those of the
// vault's newest key sign a ledger.Rekey, each after it has rebuilt the entry from the document to which its
// own owner agreed (Agree) and from the proof that all who are named there made
// their key and can recover their shares (KeyProof). It refuses an entry that the
// books would not take. From then on each generation signs the coins that lie at its
// key, and settlements move those of older ones to the newest. What an owner takes
// back is not signed any more; a signature that is out stands.
//
// A guardian whose owner says so (Consent) also signs a proof of reserves: a message
// that an auditor asked for, under transactions that spend every coin of the vault
// after an output that does not exist (netting.Reserves). It makes them itself, from the
// message and its own books, and its node must not know that output: nobody's word makes
// it sign one that could be mined. They are no settlements: they count for no limit,
// are not remembered, and take no nonce from a settlement. The default is to refuse.
//
// Founding is what guardians agree on before they make their key with package
// chilldkg. Attestation is a guardian's signature, with its host key, for what it
// has replayed.
package guardian
