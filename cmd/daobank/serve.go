package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/settlement"
)

// defaultListen is where the API answers unless it is told otherwise.
const defaultListen = "127.0.0.1:7070"

func newServeCommand() *cobra.Command {
	o := &serveOptions{Policy: settlement.DefaultPolicy()}
	var verbose bool
	var retired []uint
	var policyFile string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bank: clearing, settlement and the HTTP API",
		Long: `serve runs the bank on a Bitcoin node and a PostgreSQL.

The data directory is made by "daobank found": it holds the operator's keys and the
founding document, and never a share of the vault's key. Guardians connect to this
process from theirs. The first serve makes the vault's key with all of them, and
opens the bank when each has its share safe; later ones need only enough of them to
sign.

The treasury pays the miner for the bank's own part of each settlement: deposit
some coins at its address, which serve logs when it starts, or no withdrawal is
paid.

The process stops, with status 1, whenever it cannot know whether a batch of
payments was stored. Start it again: it reloads the truth from the database, and
members send what was not answered once more. Nothing is lost or done twice.

A start reads the newest snapshot of the books, replays the payments after it, and
verifies the operator's signature on every batch since the first. With
--verify-genesis it replays everything instead, with every member's signature, and
compares the snapshots with what comes out. It takes longer the older the bank is.`,
		Example: `  # A bank on a local regtest node, with a PostgreSQL of its own in the data directory
  daobank serve --data ~/bank --bitcoind http://127.0.0.1:18443 --bitcoind-user u --bitcoind-password p

  # The same on a database that is already there
  daobank serve --data ~/bank --postgres postgres://bank@127.0.0.1/bank --bitcoind http://127.0.0.1:18443

  # After a repair of the database, or whenever it may have been touched
  daobank serve --data ~/bank --verify-genesis --bitcoind http://127.0.0.1:18443

  # With a second node, which must have the same blocks
  daobank serve --data ~/bank --bitcoind http://127.0.0.1:18443 --second-bitcoind http://10.0.0.7:18443

  # For guardians on other machines
  daobank serve --data ~/bank --guardian-listen 0.0.0.0:7071 --bitcoind http://127.0.0.1:18443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
			if err := o.readPolicy(cmd, policyFile); err != nil {
				return err
			}
			for _, generation := range retired {
				o.Policy.Limits.Away = append(o.Policy.Limits.Away, uint32(generation))
			}
			tell := func(line map[string]string) {
				text, _ := json.Marshal(line)
				fmt.Fprintln(cmd.OutOrStdout(), string(text))
			}
			o.Waiting = func(guardians, api string) { tell(map[string]string{"guardians": guardians, "api": api}) }
			o.Ready = func(url string) { tell(map[string]string{"listening": url}) }
			return serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", envOr("DAOBANK_DATA", ""), "directory of the bank's keys and settings (env DAOBANK_DATA)")
	f.StringVar(&o.Listen, "listen", envOr("DAOBANK_LISTEN", defaultListen), "address of the HTTP API (env DAOBANK_LISTEN)")
	f.StringVar(&o.Guardians, "guardian-listen", envOr("DAOBANK_GUARDIAN_LISTEN", "127.0.0.1:7071"), "address at which guardians connect (env DAOBANK_GUARDIAN_LISTEN)")
	f.StringVar(&o.Postgres, "postgres", envOr("DAOBANK_POSTGRES", ""), "URL of the database; empty starts a private PostgreSQL in the data directory (env DAOBANK_POSTGRES)")
	f.StringVar(&o.Node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of the Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	f.StringVar(&o.Node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	f.StringVar(&o.Node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
	f.StringVar(&o.Second.URL, "second-bitcoind", envOr("DAOBANK_SECOND_BITCOIND", ""), "URL of another node's RPC: the books take only blocks that both have (env DAOBANK_SECOND_BITCOIND)")
	f.StringVar(&o.Second.User, "second-bitcoind-user", envOr("DAOBANK_SECOND_BITCOIND_USER", ""), "its RPC user (env DAOBANK_SECOND_BITCOIND_USER)")
	f.StringVar(&o.Second.Password, "second-bitcoind-password", envOr("DAOBANK_SECOND_BITCOIND_PASSWORD", ""), "its RPC password; prefer the environment (env DAOBANK_SECOND_BITCOIND_PASSWORD)")
	f.StringVar(&policyFile, "policy", "", "JSON file that says when and at what price the bank settles (docs/settlement.md); without it, whatever waits is settled in the next block")
	f.Int64Var(&o.Policy.FeeRateFallback, "fee-rate-fallback", o.Policy.FeeRateFallback, "fee rate when the node has no estimate, in sat per 1,000 vbytes")
	f.UintSliceVar(&retired, "retired", nil, "generations of the vault's key whose coins are left where they are, because too few of their guardians would sign: a settlement must not wait for them")
	f.DurationVar(&o.Policy.Poll, "poll", o.Policy.Poll, "how often the node is asked for a new block")
	f.BoolVar(&o.VerifyGenesis, "verify-genesis", false, "replay everything since the first batch, with every signature, before the bank opens")
	f.BoolVarP(&verbose, "verbose", "v", false, "log more")
	cmd.AddCommand(newServeReadyCommand())
	return cmd
}

// readPolicy takes the policy from a file, if one is named; flags that were given go
// before it.
func (o *serveOptions) readPolicy(cmd *cobra.Command, file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p, err := settlement.ParsePolicy(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	p.Poll = o.Policy.Poll
	if cmd.Flags().Changed("fee-rate-fallback") {
		p.FeeRateFallback = o.Policy.FeeRateFallback
	}
	o.Policy = p
	return nil
}
