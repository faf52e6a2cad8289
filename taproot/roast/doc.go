// Package roast gets threshold signatures out of signers of which some are
// silent, slow or lie. It is the coordinator of ROAST around package frost, and
// the signers' side that goes with it, for whoever runs a vault or another key in
// several hands; it knows no network, no transaction and no bank.
//
// The idea is that of Ruffing, Ronge, Jin, Schneider-Bensch and Schröder, "ROAST:
// Robust Asynchronous Schnorr Threshold Signatures", CCS 2022 (eprint 2022/550,
// section 4). A signer that answers in one session hands in its nonces for the next
// with its answer. As soon as any t signers stand ready, a session begins with them,
// beside those in which somebody is still awaited. A signer is in one session at a
// time, so n−t bad ones hold up n−t sessions at most, and the one after that has
// only good ones in it.
//
// A request is for many messages at once, as a Bitcoin transaction has many inputs,
// each with its own digest and tweaks: a session signs all of them with a pair of
// nonces for each, in one round trip:
//
//	coordinator                                  signer i
//	Commit: request                          →
//	                                         ←   nonces, one for each message
//	Sign: session, signers, sums of nonces   →
//	                                         ←   partial signatures, next nonces
//	Sign: …
//
// # States of a signer
//
// In one call of [Coordinator.Sign] a signer goes from state to state so:
//
//	idle    → asked    at the beginning
//	asked   → ready    it gave nonces
//	asked   → parked   it failed: no connection, no answer in time
//	asked   → out      it refused, or gave a wrong number of nonces
//	ready   → signing  t are ready and a session begins
//	ready   → out      its last answer, or a nonce in it, is found to be wrong, or
//	                   its session's nonces to cancel out
//	signing → ready    it answered and gave nonces
//	signing → parked   it failed
//	signing → out      it refused, or gave a wrong number of anything
//	parked  → asked    fewer than t are left that never failed
//
// A session is lost when one of its signers fails or lies. Others in it that still
// answer become ready as ever.
//
// # When answers are checked
//
// Checking a partial signature costs about as much as checking a whole one, so it is
// put off. When all of a session have answered, the sum is checked, and the parts
// only where the sum is wrong. But a part is checked at the latest before its signer
// is put into another session: a liar that were let on unchecked could spoil one
// session by a wrong answer and hold up the next by silence. As it is, each session
// that fails has a signer that is in no other one that fails, and Sign needs at most
// n−t+1 sessions, where n is how many signers it was given.
//
// One lie cannot be pinned on a part: if signers that conspire choose nonces whose
// sum is infinity, all parts are right and the signature is not (BIP-445 puts G for
// such a sum). No honest signer can be among them, so all of that session that are
// not in a newer one are out, with ErrNoncesCancel. The last to answer always is,
// which keeps the bound.
//
// The bound holds while t signers never fail. When fewer are left, those that failed
// may be asked again (Options.Retries), each time for one more session at most.
//
// # What happens on failure
//
//   - A signer that is silent holds up its session until Options.Stall has passed
//     without an answer; then another is begun beside it.
//   - A signer that fails or refuses loses its session at once.
//   - A signer that lies is not asked again in this call and is named by a [*Blame],
//     which holds what it was asked and what it sent. Result.Blamed has it also when
//     signing succeeds.
//   - If fewer than t are left, Sign returns a [*NoQuorumError] that says of each what
//     was wrong. If the context ends first, the same, with those that are silent.
//   - A signer that restarts has lost its nonces: its Responder says ErrNoNonces, it
//     blames nobody, and it begins again with Commit.
//
// An honest signer is not blamed, whatever others do, if what reached the coordinator
// under its name is what it sent in reply to the call. That is for the channel to
// ensure. A coordinator can lie about a signer to others unless the signer signs what
// it sends; Blame has what such a proof would be about.
//
// # Bounds
//
// Up to MaxMessages messages and frost.MaxParticipants signers; one goroutine and one
// call for each signer, all ended when Sign returns; at most n−t+1 sessions kept, and
// only while an answer in them is awaited or unchecked. With m messages a commitment
// is 66·m bytes, a request to sign 66·m + 4·t, and an answer 98·m; a transport refuses
// more than the encoding of these.
//
// # Nonces are never stored
//
// Two answers with one nonce in two sessions give the share away. Within a process that
// cannot happen: a [Responder] takes nonces out of its list before it signs, for one
// caller only, and frost.SecretNonce itself signs once, also through a copy of the
// responder. They are on no disk, so a restored backup holds none.
//
// What no library can prevent is that a whole machine is copied while it runs: two
// clones hold the same nonces, and who talks to both may have each sign in another
// session. ResponderOptions.Lifetime narrows this: it is measured by the wall clock, so
// a snapshot resumed later than that signs nothing with the nonces in it, once its clock
// was set after the resume. Do not resume a signer's machine from a snapshot with memory;
// start it anew. The time and a counter are mixed into each nonce for the case that
// clones share the state of their random source. Clones that agree in that state and in
// the time give the same nonces, and three answers of theirs in different sessions give
// the share away: no scheme whose nonces leave before the session is known can prevent it.
package roast
