package bitcoind

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// coreSettings are for bitcoind. They go into a file, because there a setting
// that another version does not know is no error: corepolicy is Bitcoin
// Knots's own and gives it Bitcoin Core's relay rules.
var coreSettings = []string{
	"server=1", "txindex=1", "fallbackfee=0.0002",
	"dnsseed=0", "fixedseeds=0", "discover=0", "listenonion=0", "natpmp=0",
	"corepolicy=1",
	"keypool=100",                      // a wallet is made in a fraction of the time that the usual 1,000 keys take
	"maxsigcachesize=4",                // of 32 MiB, which each start would write over before it answers
	"rpcthreads=16", "rpcworkqueue=64", // what 29 has by default; 28 refuses more than 16 calls that wait
	"printtoconsole=1", // into the log of the package
}

// coreConfig is the text of bitcoin.conf. Settings of the network, such as the
// port, count only in its section.
func coreConfig(config Config, settings ...string) string {
	lines := append([]string{
		"regtest=1", "[regtest]",
		"rpcuser=" + config.User, "rpcpassword=" + config.Password,
	}, coreSettings...)
	return strings.Join(append(lines, settings...), "\n") + "\n"
}

// corePeers opens a port for other nodes, or none. Only what is bound by name is
// bound, so no second port for onions clashes with other nodes'. A peer that may
// not be banned hears of transactions at once.
func corePeers(port int) []string {
	if port == 0 {
		return []string{"listen=0"}
	}
	return []string{"listen=1", fmt.Sprintf("bind=127.0.0.1:%d", port), "whitelist=noban,in,out@127.0.0.1"}
}

// coreRPC binds one address by name. Left to itself bitcoind binds that of IPv6
// too, and is content with that one when a stranger has the port of the other.
func coreRPC(port int) []string {
	return []string{fmt.Sprintf("rpcport=%d", port), "rpcbind=127.0.0.1", "rpcallowip=127.0.0.1"}
}

// coreRecipe starts a local bitcoind.
func coreRecipe(binary, rung string) recipe {
	return recipe{kind: "bitcoind", source: rung + " " + binary, binary: binary, prepare: func(h home) (program, error) {
		file := filepath.Join(h.dir, "bitcoin.conf")
		text := coreConfig(h.config, append(corePeers(h.peerPort), coreRPC(h.port)...)...)
		if h.config.ZMQ != "" {
			text += "zmqpubsequence=" + h.config.ZMQ + "\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		argv := []string{binary, "-datadir=" + h.dir, "-conf=" + file, "-nodebuglogfile"}
		return &process{argv: append(argv, h.args...), dir: h.dir, log: h.log, guard: h.guard}, nil
	}}
}
