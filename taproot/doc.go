// Package taproot is the collective wallet: from a Policy come the vault's
// addresses, its output descriptor, what to sign to spend its coins, and what
// that weighs. It is for whoever receives into, watches, spends from or audits
// the vault; it holds no secret and talks to no one. Signing is package frost.
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
// # What is promised
//
//   - Equal policies give equal addresses, and those that Bitcoin Core derives
//     from Descriptor.
//   - A Vault is immutable and safe for concurrent use; what it returns is the
//     caller's own.
//   - KeySpendWeight, DustLimit and FeeForWeight agree to the unit with the
//     serialised transaction and with Bitcoin Core's rules.
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
// ErrSpendInvalid and ErrDescriptor; what is wrong is in the text.
package taproot
