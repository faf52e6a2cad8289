// Package taproot is the collective wallet: from a Policy come the vault's
// addresses, its output descriptor, what to sign to spend its coins, and what
// that weighs. It is for whoever receives into, watches, spends from or audits
// the vault; it keeps no secret and talks to no one. Signing is package frost.
//
//	Policy ──NewVault──> Vault ──Output──> script, internal key, tweaks for frost
//	                       └──Descriptor──> what a stock Bitcoin Core watches
//
// Every output of the vault is P2TR. Its key path is one BIP-340 signature of t
// of n guardians, under the group key taken through BIP-32 (group key as an
// extended key with BIP-328's chain code; 0/i deposits of account i, 1/n change
// of settlement n) and BIP-341. Its script path is one leaf, the same
// everywhere, by which the recovery quorum may spend a coin that has not moved
// for the policy's delay:
//
//	tr(xpub/<0;1>/*,and_v(v:multi_a(m,K1,…,Kk),older(N)))
//
// # Ways of owning together
//
// That is scheme FROST, the default and what the bank uses. A Policy can name
// another, for small groups and for comparison; each derives its addresses in
// the same way, has a descriptor and the recovery leaf:
//
//	scheme        who signs  by                   group key              signatures on chain
//	FROST         t or more  key path             ChillDKG               one, in two rounds
//	MuSig2        all n      key path             aggregate of all keys  one, in two rounds
//	MuSig2Leaves  exactly t  a leaf for each set  aggregate, or nobody's one, in two rounds
//	CheckSigAdd   exactly t  one leaf             aggregate, or nobody's t, without rounds
//
// Path says how a set of guardians spends: messages, witness, weight. With the
// aggregate as group key, all n of a scheme of leaves spend by key path too.
// Package quorum signs by any scheme inside one process.
//
// # Recovery
//
// CoinAges says how far each coin's timelock has run: from a third of it the next
// settlement should spend the coin, from half something is wrong. When the
// guardians are lost, PlanRecovery plans the sweep of what has opened, each
// holder of a recovery key makes a RecoverySpend of the plan and signs apart, and
// Finish joins the signatures. "daobank vault" is the program around it.
//
// # What is promised
//
//   - Equal policies give equal addresses, and those that Bitcoin Core derives
//     from Descriptor.
//   - A Vault is immutable and safe for concurrent use; what it returns is the
//     caller's own.
//   - KeySpendWeight, Path.Weight, DustLimit and FeeForWeight agree to the unit
//     with the serialised transaction and with Bitcoin Core's rules.
//   - ParseAddress accepts exactly the five kinds of address that the bank pays
//     to, of the asked network only.
//   - VerifySpend says before broadcast whether a node would accept the
//     witnesses. It does not look at fees, values or timelocks other than by
//     script.
//
// # On failure
//
// Nothing here changes state. Errors wrap one of ErrPolicy, ErrDerivation,
// ErrAddressMalformed, ErrAddressNetwork, ErrPayoutScript, ErrSpendShape,
// ErrSpendInvalid, ErrSigners, ErrTimelock, ErrRecoveryPlan, ErrRecoveryQuorum,
// ErrRecoverySignature and ErrDescriptor; what is wrong is in the text.
package taproot
