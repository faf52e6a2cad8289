package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// demoOptions are the sizes of the story.
type demoOptions struct {
	Members   int
	Transfers int
	Seed      uint64
	Data      string // kept when given
}

// demoResult is what `daobank demo --json` prints as its last line.
type demoResult struct {
	Node struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	} `json:"node"`
	Members      int              `json:"members"`
	Deposits     int              `json:"deposits"`
	Transfers    int              `json:"transfers"`
	Settlements  []demoSettlement `json:"settlements"`
	SumOfWallets struct {
		LedgerSat int64 `json:"ledger_sat"`
		ChainSat  int64 `json:"chain_sat"`
		Equal     bool  `json:"equal"`
	} `json:"sum_of_wallets"`
	Crash struct {
		Killed           bool `json:"killed"`
		AcknowledgedLost int  `json:"acknowledged_lost"`
	} `json:"crash"`
	Proofs struct {
		Verified        int  `json:"verified"`
		TamperedRefused bool `json:"tampered_refused"`
	} `json:"proofs"`
	Seconds float64 `json:"seconds"`
}

type demoSettlement struct {
	Number  uint32 `json:"number"`
	TxID    string `json:"txid"`
	Height  uint32 `json:"height"`
	Payouts int    `json:"payouts"`
	VSize   int64  `json:"vsize"`
	FeeSat  int64  `json:"fee_sat"`
}

// statusInterrupted is what shells expect of a program that Ctrl-C has ended.
const statusInterrupted = 130

func newDemoCommand() *cobra.Command {
	var o demoOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story on a private regtest chain, in under a minute",
		Long: `demo starts a private Bitcoin node and a private PostgreSQL, founds a bank whose
vault belongs to 3 of 5 guardians, and lets its members live: they open accounts,
deposit real regtest coins, pay each other thousands of times and withdraw, while
blocks come in. In the middle of the traffic the bank's process is killed with
SIGKILL and started again, with one guardian gone. At the end an audit replays
everything and compares the sum of all wallets with the coins on chain, and proofs of a
payment, a balance, the coins, the journal and the reserves are verified offline, with
the bank stopped, as a stranger would; one that was tampered with is refused.

Everything runs on this machine and is removed at the end. The exit status is 0
only if all of it held.`,
		Example: `  daobank demo
  daobank demo --json | tail -n 1
  daobank demo --data /tmp/bank --members 50 --transfers 20000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var out io.Writer = os.Stdout
			if asJSON {
				out = os.Stderr
			}
			d := newDemo(o, out)
			err := d.run(cmd.Context())
			if errors.Is(err, errInterrupted) {
				return &exitError{status: statusInterrupted, message: err.Error()}
			}
			if asJSON {
				line, _ := json.Marshal(d.result)
				fmt.Fprintln(os.Stdout, string(line))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Members, "members", 20, "members of the bank")
	f.IntVar(&o.Transfers, "transfers", 10_000, "signed transfers between them")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of the amounts and payees; 0 takes a new one and prints it")
	f.StringVar(&o.Data, "data", "", "directory for keys, database and logs, kept at the end; empty uses a temporary one")
	f.BoolVar(&asJSON, "json", false, "narrate on standard error and print one JSON object as the last line of standard output")
	return cmd
}
