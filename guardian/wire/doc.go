// Package wire is what guardians and the coordinator of a bank say to each
// other, both ends of it. It is HTTP with JSON bodies, inside a connection of
// package link, in which the coordinator asks and the guardian answers.
//
//	GET  /status              where the guardian stands; its attestation
//	POST /keygen/…            one step of ChillDKG each: begin, step2, finalize, adopt, investigate
//	POST /commit              nonces for a proposed settlement, succession, or proof of reserves
//	POST /sign                partial signatures in a session
//
// Guardian serves the guardian's end, Remote and Found are the coordinator's.
//
// What it promises: a guardian answers key generation only for the founding
// document that its owner agreed to, and saves the recovery data before it
// acknowledges; Found returns only when all n have acknowledged, so that no key
// is funded that somebody could lose. Found may be called again after a crash at
// any point: a run that one guardian has finished is handed to the others.
//
// On failure: an answer that cannot be decoded is a *roast.MalformedError and
// blames its sender; a refusal is a *roast.RefusalError; no answer blames nobody.
// Bodies are limited to 1 MiB on both ends.
package wire
