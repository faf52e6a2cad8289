package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
)

// Exit statuses of audit: 0 when all holds.
const (
	statusDiffers   = 1
	statusUnchecked = 2
)

func newAuditCommand() *cobra.Command {
	o := &auditOptions{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check that the sum of all wallets equals the coins on chain",
		Long: `audit checks a bank and believes nothing that it says.

It replays the journal from the first batch: every member's signature, every
signature of the operator, the hash chain, every rule. It compares each entry
that was taken from the chain with your own node, rebuilds every settlement and
its anchor, looks for spends of the vault that are none, compares the balances
that the bank has stored, and finds the vault's coins in the blocks and by a
scan of the node's unspent outputs. At the end stands one sum:

  all wallets in the books = the vault's account = coins on chain

You need three things: the bank's public file (bank/bank.json in the data
directory of "daobank serve"; ask the bank for it once and keep it), its
database, with the right to read, and a Bitcoin node that you trust. Nothing is
written.

Exit status: 0 all holds; 1 a difference, the first one named; 2 the check could
not be made, which says nothing about the bank.`,
		Example: `  # Audit the bank on this machine
  daobank audit --data ~/bank --postgres postgres://bank@127.0.0.1/bank \
    --bitcoind http://127.0.0.1:18443 --bitcoind-user u --bitcoind-password p

  # Audit somebody else's bank: its public file, a read-only role, your own node
  export DAOBANK_BITCOIND=http://127.0.0.1:8332 DAOBANK_BITCOIND_USER=u DAOBANK_BITCOIND_PASSWORD=p
  daobank audit --bank bank.json --postgres 'postgres://auditor@bank.example/bank?sslmode=verify-full'

  # For a program: one JSON object, and the exit status
  daobank audit --bank bank.json --json | jq '.ok, .ledger_sat, .chain_sat'

  # Every night; complain only when something is wrong
  daobank audit --bank bank.json --json > report.json || mail -s "audit: status $?" me < report.json`,
		// A mistyped command line must not look like a difference.
		Args: func(cmd *cobra.Command, args []string) error { return uncheckedAudit(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return uncheckedAudit(err)
			}
			progress := newAuditProgress(cmd.ErrOrStderr())
			o.Progress = progress.show
			report, err := runAudit(cmd.Context(), o)
			progress.clear()
			if err != nil {
				return uncheckedAudit(err)
			}
			return printAudit(cmd, report, asJSON)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return uncheckedAudit(err) })
	f := cmd.Flags()
	o.bankFlags(f)
	o.liveFlags(f)
	f.StringVar(&o.Export, "export", "", "journal: directory that daobank export wrote")
	f.StringVar(&o.Policy, "policy", "", "vault policy to check against, instead of the public file's: from a source that you trust more than the bank")
	f.StringVar(&o.Node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of your Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	f.StringVar(&o.Node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	f.StringVar(&o.Node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
	f.BoolVar(&asJSON, "json", false, "print the report as one JSON object")
	return cmd
}

// uncheckedAudit gives an error the status of a check that was not made.
func uncheckedAudit(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{status: statusUnchecked, message: err.Error()}
}

// auditOptions are what audit needs to know.
type auditOptions struct {
	sourceOptions
	Node     bitcoind.Config
	Progress func(audit.Progress) // may be nil
}

func (o *auditOptions) validate() error {
	if err := o.complete(", --export DIR"); err != nil {
		return err
	}
	if o.Node.URL == "" {
		return fmt.Errorf("say where your Bitcoin node answers: --bitcoind http://127.0.0.1:8332")
	}
	return nil
}

// printAudit writes the report and turns a difference into the exit status.
func printAudit(cmd *cobra.Command, report *audit.Report, asJSON bool) error {
	out := cmd.OutOrStdout()
	var err error
	if asJSON {
		encoder := json.NewEncoder(out)
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(out)
	}
	if err != nil {
		return uncheckedAudit(err)
	}
	if !report.OK {
		return &exitError{status: statusDiffers}
	}
	return nil
}
