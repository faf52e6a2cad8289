// Package api is the bank's HTTP edge: NewHandler serves it, Client speaks it.
// It is for the programs of members, for wallets and for auditors who have no
// access to the bank's database. docs/api.md describes every endpoint for those
// who write a client in another language.
//
// # What it promises
//
// Every answer is JSON, or one JSON object a line for a batch of orders. A
// refusal has a code that never changes its meaning (ledger.Code and the codes
// of this package), a status that fits, and a sentence that says what to do;
// nothing has changed then. Amounts are whole satoshis. The server believes
// nobody's identity: who may do what is decided by the signature in an order,
// and everything that can be read here can be read by everyone.
//
// An order is "accepted" when Submit returns: it stands in a batch that the
// operator signed and that is on disk. How far
// the books are attested by guardians or anchored in a block is told by Bank, and
// Attestations proves the first; a receipt never implies either.
//
// Client checks each receipt under the bank's charter before it returns it, so
// a server that lies about an acceptance is found out at once.
//
// # What happens on failure
//
//	refused                *ledger.Error with the server's code; nothing changed
//	busy                   *ledger.Error, clearing.CodeBusy; nothing changed
//	the bank is stopping   *ledger.Error, clearing.CodeUnavailable; outcome unknown
//	no answer at all       *TransportError; outcome unknown
//	the receipt is false   ErrReceipt; keep the answer, it is evidence
//	so is an attestation   ErrAttestation; keep the answer, it is evidence
//
// After an unknown outcome the same order is sent again, which is harmless: an
// order is carried out once at most. SubmitUntilAnswered does that.
package api
