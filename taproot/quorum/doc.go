// Package quorum holds the keys of all guardians in one process and signs with
// them, by any scheme of package taproot. It is for tests, for a small group
// that shares one machine, and for measuring what each scheme costs; a bank's
// guardians each run in a process of their own (package guardian).
//
//	Quorum ──NewSession(path, output, message)──> Session
//	                  Commit(i), Prepare, Sign(i), Finish ──> signatures for Path.Witness
//
// Sign of a Quorum does it all for a transaction. On failure nothing is
// released: a session that returned an error is thrown away, and its nonces
// with it.
package quorum
