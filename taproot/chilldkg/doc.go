// Package chilldkg makes a t-of-n key that nobody ever holds: n participants,
// each with a long-term host key, and one coordinator between them run ChillDKG
// (version 0.3.0-dev) and end with a group for package frost. It is for whoever
// keeps keys together; it knows nothing of banks, networks or transports.
//
//	         participant                    coordinator
//	step 1   NewParticipant → message 1  ─▶
//	                                     ◀─ NewCoordinator → message 1
//	step 2   Participant.Step2 → message 2 ─▶
//	                                     ◀─ Coordinator.Finalize → certificate
//	         Participant.Finalize → Result
//	after    Result.Acknowledge          ─▶ everybody: Acknowledgements
//
// Messages are bytes of a known length (the sizes are methods of Params). The
// coordinator needs no trust: it can make the run fail, not learn or bend a key.
// The participants must have each other's host keys from a source that they
// trust; comparing Params.Hash over the telephone is enough.
//
// # What is promised
//
//   - Participants that finalise have the same group: everyone's host key signs
//     all that the group was made of, and each verifies all n signatures.
//   - Fewer than t participants, with the coordinator, learn nothing of the key
//     and cannot choose it: everyone proves possession of what they contribute.
//   - A host key and the recovery data give the share back on a blank machine
//     (Recover). Recovery data is not confidential and any one copy will do.
//   - A state is used once. A step out of order, a second time, or after an
//     error is refused with ErrState; secrets are wiped when consumed.
//   - No bytes from outside cause a panic. Secrets print as redacted and refuse
//     to be marshalled.
//
// Zero values of Coordinator and Acknowledgements are not usable.
//
// # Two rules for the caller
//
// Never erase the host key once message 2 has left, whatever error follows.
// Another participant may hold a valid certificate and fund the key at any later
// time; the share is then recovered from the host key and the recovery data.
// That is why every error of Participant.Finalize wraps ErrOutcomeUnknown. A
// Participant cannot be stored; after a restart past step 2 ask the others for
// the recovery data, before that begin a new run.
//
// Do not fund the key before all n acknowledgements are in. A Result does not
// mean that the others have one: the coordinator may have sent the certificate
// to one participant only, and if that machine dies, so does the key. Take the
// group from Acknowledgements.Group, which names who is missing until then.
//
// # Who is to blame
//
// All blame assumes that the transport delivers what was sent.
//
//   - *FaultyParticipantError, to the coordinator: certain, if it is honest.
//   - *FaultyCoordinatorError, to a participant: certain.
//   - *FaultyParticipantOrCoordinatorError, to a participant: uncertain. The
//     coordinator relays everything and may have framed the participant.
//   - *UnknownFaultyError, to a participant: the sum of the shares is wrong. Its
//     Investigate narrows that down with a message from Investigations.
//   - ErrDegenerate: somebody is faulty and cannot be named. By chance it does
//     not happen.
//   - *LengthError blames nobody: the transport should have refused the message.
//     It says whose it was.
//
// # The group's key
//
// ChillDKG adds to the sum of all contributions a BIP-341 tweak that commits to
// no script (an unspendable script path), so that no participant can have hidden
// one inside. Result.Group, the public shares and the share are those of the
// tweaked key: there is nothing to add before signing. A vault takes
// Result.Group.Key() as the group key of its policy as it is; derivation and the
// commitment to the recovery leaf come on top, as frost tweaks. The key may as
// well be used directly as an output key.
//
// # What is not promised
//
// Robustness: one participant that is silent or lies stops the run; start again
// without it. Point arithmetic is btcec's and takes time that depends on its
// scalars, also where these are secret (the host key in Step2 and Recover, the
// contribution in NewParticipant); who can time many runs on the participant's
// machine to the nanosecond may learn something of them. Wiping is best effort.
// A group has at most frost.MaxParticipants participants; the specification
// would allow more.
//
// The specification is the Python of BlockstreamResearch/bip-frost-dkg at commit
// a91896883f85b159415ecf298d5e844879af112d.
package chilldkg
