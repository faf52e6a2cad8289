// Package bitcoind starts private regtest nodes and talks to Bitcoin nodes. It
// is for any Go program or test that handles coins and wants a real node under
// it in a fraction of a second. It knows nothing of the rest of this module.
//
//	func TestPayment(t *testing.T) {
//		node := bitcoind.Start(t, bitcoind.WithBlocks(120)) // a chain with coins to spend
//		coin, err := node.Fund(t.Context(), script, 1e8)    // 1 BTC to script, in the mempool
//		...
//		_, err = node.Mine(t.Context(), 1)                  // and now in a block
//		_, err = node.Reorg(t.Context(), 1)                 // and now no more
//	}
//
// # What is where
//
//   - A node: [Start], [Open], [StartNet] for several that are connected, [NewWarm]
//     for some started ahead. [Node.Kill], [Node.Stop], [Node.Restart], [Node.Pause].
//   - The chain: [Miner.Mine] with options for what a block holds, whom it pays
//     and when; [Miner.MineUntilConfirmed]; [Miner.Reorg] by a chain of more work,
//     and [Miner.PrepareFork] for one that comes out later.
//   - Money: [Miner.Fund]; [MiniWallet] for the transactions that wallets refuse to
//     make; [Client.Wallet] for wallets inside the node.
//   - The mempool: [Client.TestAccept], [Client.SubmitPackage], [Client.Prioritise],
//     [Miner.FillMempool], [Miner.Evict], [Miner.TeachFeeRate].
//   - Time: [Client.Freeze], [Client.Advance], [Miner.MineMedianTime].
//   - Faults: [Proxy] between the code under test and its node; [Net.Partition].
//   - Following: [Client.Follow] for blocks, [Client.Watch] for transactions too.
//   - Diagnosis: [Node.Report], [Node.ExpectLog], [Node.Require], [WaitError].
//
// docs/bitcoind.md is a cookbook.
//
// # What it promises
//
// [Start] and [Open] return a node that answers, with a data directory and ports
// of its own. They look for a node program in this order and use the first that
// starts: the option [WithBinary] or the variable BITCOIND; bitcoind in PATH;
// .tools/bitcoind/bin/bitcoind beside go.mod (or in DAOBANK_TOOLS); a Docker
// image that is already present (BITCOIND_IMAGE, by default
// daobank/bitcoind:regtest; nothing is ever pulled); and last btcd, from the
// variable BTCD or, where the importing module has it among its tools (go get
// -tool github.com/btcsuite/btcd@v0.24.2), as go builds it. [WithExternal] uses
// a node that runs already. Hundreds may be started at once: they start in turn.
// [Node.Info] says which one it became; when none starts, [NoNodeError] says why
// for each.
//
// Nothing is left behind. [Node.Close] kills the node and removes its
// directory; if this process dies without calling it, even by SIGKILL, a small
// shell which holds the other end of a pipe does both.
//
// [Miner] needs no wallet in the node. It keeps the coinbase keys in Go and
// builds the blocks itself, so the same code drives bitcoind and btcd.
//
// [Client] works alone too, against any node that [Dial] reaches. Every method
// takes a context first and honours it; amounts are satoshis, and fee rates are
// satoshis per 1,000 virtual bytes.
//
// [Client.Follow] reports every connected and disconnected block, in order,
// once each, through reorganisations and restarts of the node. [Client.Watch] adds
// every transaction of those blocks, also one that was in no mempool, and what the
// mempool holds whenever it looks. Announcements by ZMQ ([WithZMQ]) make both
// quicker and are never what they rely on.
//
// # What happens on failure
//
// An answer of the node that is an error is an [*RPCError]; match it by code,
// never by text. When no answer came, or none that can be read, the error is a
// [*TransportError], and whether the node executed the call is unknown: the
// package never repeats a call by itself, except where a method says that it
// waits or follows. A wait that ends with its context says what it saw last.
// A test that fails prints the node's chain tips, its mempool and the end of its
// log.
//
// # What btcd cannot do
//
// btcd stands in where no bitcoind is to be had. It removes its regtest chain
// whenever it starts, so a Restart begins at genesis; it needs 432 blocks, which
// the first Fund mines, before segwit and taproot are active; and its mempool
// keeps transactions whose inputs a reorganisation took away, which Mine then
// leaves out. It has no scantxoutset, wallets, packages, settable clock, limit
// of the mempool or links to other nodes of a [Net]: [ErrUnsupported]. A test
// that needs these calls [Node.Require] first.
//
// # Why not rpcclient
//
// The btcsuite types for blocks, transactions, scripts and keys are used
// throughout. Its rpcclient is not: it repeats a POST whenever the transport
// fails, so that a slow call may run twice, it takes no context, and its typed
// results break when a field changes between versions of the node. [Client.Call]
// is one POST over net/http, and each method decodes only the fields it needs,
// which also leaves nothing for btcjson's result types to do.
//
// The package runs on Linux and other Unix systems that have a POSIX shell.
package bitcoind
