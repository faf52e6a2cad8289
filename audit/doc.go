// Package audit checks a bank from outside, with nothing but its public file
// (charter and vault policy), a copy of its journal and a Bitcoin node of one's
// own. It is for auditors, for members who want to be one, and, through Replay,
// for guardians before they sign. The journal may come from the bank's database,
// its API or the files of package export; none of them is believed.
//
// Run replays the whole journal and compares it with the chain:
//
//	journal      header chain, operator's signatures, Merkle roots
//	orders       every member's signature, every rule of package ledger
//	chain        every block, deposit and settlement of the books, on the node
//	settlements  each transaction rebuilt from its cut; its anchor; its block
//	spends       every spend of the vault is one of these settlements
//	balances     the stored account table equals the replayed one
//	coins        the vault's coins in the blocks, coin by coin
//	scan         the same coins in the node's own set of unspent outputs
//	sum          all wallets = the vault's account = the coins on chain
//
//	batches ─▶ prepare (cores) ─▶ apply (one) ─▶ verify signatures (cores) ─▶ tell
//
// All four work at the same time on different batches, and what is told is told in
// the order of the journal. New and Round do what Run does again and again, for what
// came since; Save and Resume keep what was proved from one program to the next.
//
// # What it proves
//
// That at the last block of the books the bank owed its members exactly the
// coins that its vault held; that nobody's coins were moved without that
// member's signature; that nothing left the vault but what members ordered to
// leave; that nothing which was paid to the vault was kept out of the books.
// The proof is as good as the node, and needs no trust in the bank.
//
// # What it does not prove
//
// That the journal is the only one: an operator could show another to someone
// else. Compare the head hash in the report with other auditors, or an older
// head with the books that a settlement anchors; two signed headers of one
// number are evidence against the operator. That orders were not delayed or
// refused: what was never accepted stands nowhere. That t guardians will not
// steal tomorrow. What lies above the books' last block, fewer than the
// charter's depth of confirmations deep, is for the next audit. Coins at the
// vault's addresses that the books do not claim (paid before the bank's birth,
// immature, or to an address further ahead than the bank watched when they
// came) are counted apart, as "outside".
//
// # What happens on failure
//
// A difference is a result: Run returns a Report whose OK is false and whose
// First says where. An error means that nothing is proved either way (the node
// is away, behind or on another chain; the database does not answer): it is an
// *UncheckedError. After a batch that contradicts the history the replay cannot
// go on; checks that need the end of it are then marked as not made.
package audit
