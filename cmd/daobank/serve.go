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
	o := &serveOptions{Policy: settlement.DefaultPolicy(), Founding: defaultFounding()}
	var verbose bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the bank: clearing, settlement and the HTTP API",
		Long: `serve runs the bank on a Bitcoin node and a PostgreSQL.

The data directory holds the operator's key and, in this version, the guardians'
shares, dealt inside this process: serve therefore founds a bank on regtest only.
When the directory is empty, serve founds a new bank in it.

The treasury pays the miner for the bank's own part of each settlement: deposit
some coins at its address, which serve logs when it starts, or no withdrawal is
paid.

The process stops, with status 1, whenever it cannot know whether a batch of
payments was stored. Start it again: it reloads the truth from the database, and
members send what was not answered once more. Nothing is lost or done twice.`,
		Example: `  # A bank on a local regtest node, with a PostgreSQL of its own in the data directory
  daobank serve --data ~/bank --bitcoind http://127.0.0.1:18443 --bitcoind-user u --bitcoind-password p

  # The same on a database that is already there
  daobank serve --data ~/bank --postgres postgres://bank@127.0.0.1/bank --bitcoind http://127.0.0.1:18443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
			o.Ready = func(url string) {
				line, _ := json.Marshal(map[string]string{"listening": url})
				fmt.Fprintln(cmd.OutOrStdout(), string(line))
			}
			return serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", envOr("DAOBANK_DATA", ""), "directory of the bank's keys and settings (env DAOBANK_DATA)")
	f.StringVar(&o.Listen, "listen", envOr("DAOBANK_LISTEN", defaultListen), "address of the HTTP API (env DAOBANK_LISTEN)")
	f.StringVar(&o.Postgres, "postgres", envOr("DAOBANK_POSTGRES", ""), "URL of the database; empty starts a private PostgreSQL in the data directory (env DAOBANK_POSTGRES)")
	f.StringVar(&o.Node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of the Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	f.StringVar(&o.Node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	f.StringVar(&o.Node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
	f.StringVar(&o.Founding.Name, "name", o.Founding.Name, "name of a new bank")
	f.Uint32Var(&o.Founding.Depth, "depth", o.Founding.Depth, "confirmations at which a new bank believes the chain")
	f.IntVar(&o.Founding.Threshold, "threshold", o.Founding.Threshold, "guardians that must sign, for a new bank")
	f.IntVar(&o.Founding.Guardians, "guardians", o.Founding.Guardians, "guardians in all, for a new bank")
	f.Int64Var(&o.Policy.FeeRateFallback, "fee-rate-fallback", o.Policy.FeeRateFallback, "fee rate when the node has no estimate, in sat per 1,000 vbytes")
	f.DurationVar(&o.Policy.Poll, "poll", o.Policy.Poll, "how often the node is asked for a new block")
	f.BoolVarP(&verbose, "verbose", "v", false, "log more")
	cmd.AddCommand(newServeReadyCommand())
	return cmd
}
