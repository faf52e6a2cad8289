// Package cluster gives a program a PostgreSQL server of its own.
//
// It is for the demo, for tests and for small installations: whoever has a server already gives its URL in
// DAOBANK_POSTGRES and nothing is started. [Open] takes the first of these that works:
//
//  1. the server at the URL in DAOBANK_POSTGRES;
//  2. the programs initdb and postgres, version 15 or newer, installed on this machine (PATH, pg_config,
//     /usr/lib/postgresql) or unpacked by scripts/setup in .tools/postgres;
//  3. a Docker engine that holds the image DAOBANK_POSTGRES_IMAGE (else postgres:17 or daobank/postgres).
//
// If none does, the error is a [*NoServerError] that names each rung, why it did not hold, and what would help.
//
// # What it promises
//
// A private server listens on a Unix socket in a folder that only its owner (and root) may enter, and on nothing
// else unless [WithTCP] asks; then on 127.0.0.1 alone, with a random password. A committed transaction is on disk
// when COMMIT returns, unless [WithoutFsync] says that it need not be. A process that runs as root starts the
// server as the user postgres or nobody, for PostgreSQL refuses root; neither su nor sudo is needed.
//
// # What happens on failure
//
// When the process that opened the cluster ends without [Cluster.Close], even by SIGKILL, a watchdog (a shell that
// waits on a pipe which only that process holds open) stops the server and removes its folder if it was temporary;
// under Docker the engine removes the container, because its input has ended.
// A kept folder ([WithDir]) can be opened again at once: Open waits until the watchdog is done, and PostgreSQL
// recovers from its log. Two processes cannot open one folder: the second gets [ErrInUse].
//
// The package runs on Unix systems.
package cluster
