// Package processor is a small payment processor: customers pay invoices, each to
// a script of its own, and the shop pays out what came in.
//
// It is an example of how to test such a program with package bitcoind. It is
// complete in what it does, and does little: one key, one book in a file.
//
//   - An invoice is paid when coins for it are Policy.Depth blocks deep. A
//     reorganisation takes that back.
//   - A payout is written down before it is sent, under a name that its caller
//     chose. To ask for it again, or to restart, sends the same transaction again.
//   - A payout that Policy.Patience blocks left out is replaced by one that pays
//     more and spends the same coins, so only one of them can be mined.
//
// The tests are the point: confirmation, reorganisation, fee bump, lost reply and
// restart, each on a real node that is ready in a fraction of a second.
package processor
