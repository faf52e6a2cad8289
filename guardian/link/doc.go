// Package link connects guardians with the coordinator of their bank. Guardians
// dial out, so that nothing on a guardian's machine listens; once connected, the
// coordinator asks and the guardian answers, by HTTP/2 inside the connection.
//
//	guardian                                         coordinator
//	   │ ── TCP ─────────────────────────────────────────▶ │ Hub
//	   │ ── Noise_XK: host key, coordinator's key ───────▶ │ known host keys only
//	   │ ◀───────────────────── HTTP/2 request: /sign ──── │
//	   │ ── answer ──────────────────────────────────────▶ │
//
// Both ends are authenticated by their long-term keys (Noise_XK over secp256k1,
// lnd's brontide): the guardian's is its ChillDKG host key, so that who signs is
// who made the key; the coordinator's is written in the founding document.
// Messages are encrypted, cannot be repeated or reordered, and are limited in
// size on both ends.
//
// On failure: a connection that breaks is dialled again until the context ends,
// with growing pauses; a request under way gets an error, and whether the guardian
// carried it out is unknown. A newer connection of a guardian replaces its older
// one; if that still answered the log asks whether the guardian runs twice. An unknown key is cut off after the handshake.
package link
