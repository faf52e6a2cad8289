package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
)

// regtest is the toolkit of package bitcoind by command line.
type regtest struct {
	dir    string
	asJSON bool
}

func newRegtestCommand() *cobra.Command {
	r := &regtest{}
	cmd := &cobra.Command{
		Use:   "regtest",
		Short: "Run a private Bitcoin node, and do to it what the world does",
		Long: `regtest is a Bitcoin node on a chain of its own, for people and for programs in any
language: blocks on demand, coins from a faucet, reorganisations, a full mempool.

"up" starts it in the background, with a chain that has coins to spend, and "down"
ends it. The chain lives as long as the node: the next "up" begins a new one. Only
this machine reaches the node, with a random password that the file "cookie" in the
state folder holds:

  bitcoin-cli -regtest -rpcconnect=127.0.0.1 -rpcport=PORT -rpccookiefile=FILE …

Go programs need none of this: package bitcoind does the same in one call.`,
		Example: `  daobank regtest up
  daobank regtest faucet bcrt1q… 0.5
  daobank regtest mine 6
  daobank regtest reorg 3 --keep-all
  daobank regtest status --json | jq -r .url
  daobank regtest down`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			advice := ""
			if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
				advice = fmt.Sprintf("; did you mean %q?", strings.Join(names, `" or "`))
			}
			return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), advice)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	f := cmd.PersistentFlags()
	f.StringVar(&r.dir, "dir", envOr("DAOBANK_REGTEST_DIR", defaultRegtestDir()), "state folder; each holds one node")
	f.BoolVar(&r.asJSON, "json", false, "print one JSON object")
	_ = cmd.MarkPersistentFlagDirname("dir") // fails only for a flag that is not there
	cmd.AddCommand(
		r.upCommand(), r.downCommand(), r.statusCommand(), r.logsCommand(),
		r.mineCommand(), r.reorgCommand(),
		r.faucetCommand(), r.sendCommand(), r.txCommand(), r.fillCommand(),
		r.keepCommand(),
	)
	return cmd
}

// defaultRegtestDir is in the user's cache: what it holds is worth nothing after
// the node's end.
func defaultRegtestDir() string {
	cache, err := os.UserCacheDir()
	if err != nil { // without a home, as in many containers
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("cache-%d", os.Getuid()))
	}
	return filepath.Join(cache, "daobank", "regtest")
}

// print writes a result as people read it, or as one JSON object.
func (r *regtest) print(out io.Writer, result fmt.Stringer) error {
	if r.asJSON {
		return json.NewEncoder(out).Encode(result)
	}
	_, err := fmt.Fprintln(out, strings.TrimSuffix(result.String(), "\n"))
	return err
}

// regtestBlock is a block as the commands print it.
type regtestBlock struct {
	Height int32          `json:"height"`
	Hash   chainhash.Hash `json:"hash"`
}

func (b regtestBlock) String() string { return fmt.Sprintf("%d %s", b.Height, b.Hash) }

func regtestBlocks(blocks []bitcoind.Block) []regtestBlock {
	list := make([]regtestBlock, len(blocks))
	for i, b := range blocks {
		list[i] = regtestBlock(b)
	}
	return list
}

// parseCount reads a number of things from least up.
func parseCount(what, text string, least int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, fmt.Errorf("%s: %q is not a whole number from %d up", what, text, least)
	}
	return n, nil
}

// parseTxID reads a transaction's id. chainhash alone would take a shorter one
// and fill it up with zeros.
func parseTxID(text string) (chainhash.Hash, error) {
	id, err := chainhash.NewHashFromStr(text)
	if err != nil || len(text) != chainhash.MaxHashStringSize {
		return chainhash.Hash{}, fmt.Errorf("%q is no transaction id: that is %d hexadecimal digits", text, chainhash.MaxHashStringSize)
	}
	return *id, nil
}

func parseTxIDs(texts []string) ([]chainhash.Hash, error) {
	ids := make([]chainhash.Hash, len(texts))
	for i, text := range texts {
		var err error
		if ids[i], err = parseTxID(text); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
