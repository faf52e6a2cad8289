// Package audittest is a small bank in memory for the tests of whoever checks
// banks: real books, real signatures of members, operator and guardians (3 of
// 5), and a fake chain. It is for tests only.
//
// Bank does honestly what the clearing engine and the settlement desk do, one
// step at a call, and can be made to lie. Chain stands in for a node: its blocks
// are well-formed and linked and have regtest's work, but no other rule of Bitcoin is
// checked. Everything is the same at every run.
package audittest
