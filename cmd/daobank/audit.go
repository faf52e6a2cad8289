package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
)

// Exit statuses of audit: 0 when all holds.
const (
	statusDiffers   = 1
	statusUnchecked = 2
)

func newAuditCommand() *cobra.Command {
	o := &auditOptions{}
	asJSON, follow := false, false
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
directory of "daobank serve"; ask the bank for it once and keep it), its journal,
and a Bitcoin node that you trust. The journal can come from the bank's database
(the right to read is enough), from its API, or from files that "daobank export"
wrote; whoever brings it is not believed. Stored balances are compared only with
the database's.

--state keeps what was proved, so that the next audit goes on there. It trusts
that file, and that nobody else can write to it, and nothing else: the journal
must still have the batch at which it ended. Two auditors compare the head that
each of them prints: give yours to the other, who says --head BATCH=HASH.
docs/audit.md says how to begin, and what is proved and what is not.

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

  # From files, with a page to look at
  daobank audit --bank bank.json --export journal/ --report page/

  # All the time, and on where it stopped; ends with status 1 at the first difference
  daobank audit --bank bank.json --api https://bank.example --follow --state audit.state

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
			if follow {
				return followAudit(cmd, o, progress, asJSON)
			}
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
	f.BoolVar(&follow, "follow", false, "go on: audit what comes, until a difference is found or the program is stopped")
	f.DurationVar(&o.Interval, "interval", 10*time.Second, "with --follow, how often to look for new batches")
	f.StringVar(&o.State, "state", "", "file to go on from, and to keep what was proved in; made when it is not there")
	f.StringVar(&o.Page, "report", "", "directory to write the report into, as one HTML page that needs nothing else")
	f.StringVar(&o.Explorer, "explorer", "", "with --report, where links to transactions lead: https://…/{txid}")
	f.BoolVar(&o.Named, "name-accounts", false, "with --report, say which accounts are the largest")
	f.StringToStringVar(&o.heads, "head", nil, "BATCH=HASH: the header hash of a batch that somebody else was shown (several: --head again)")
	f.BoolVar(&o.WithoutSignatures, "without-signatures", false, "leave out the members' signatures, when an earlier audit has verified them")
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
	State    string // file; empty for none
	Page     string // directory of the HTML page; empty for none
	Explorer string // of its links
	Named    bool   // whether it names accounts
	Interval time.Duration
	Heads    map[uint64]ledger.Hash

	WithoutSignatures bool

	heads    map[string]string
	Progress func(audit.Progress) // may be nil
}

func (o *auditOptions) validate() error {
	if err := o.complete(", --export DIR"); err != nil {
		return err
	}
	o.Heads = make(map[uint64]ledger.Hash)
	for number, text := range o.heads {
		n, err := strconv.ParseUint(number, 10, 64)
		var hash ledger.Hash
		if err == nil {
			err = hash.UnmarshalText([]byte(text))
		}
		if err != nil {
			return fmt.Errorf("--head is BATCH=HASH, such as 17=%s…: %w", hash.String()[:8], err)
		}
		o.Heads[n] = hash
	}
	switch {
	case o.Node.URL == "":
		return fmt.Errorf("say where your Bitcoin node answers: --bitcoind http://127.0.0.1:8332")
	case o.Interval <= 0:
		return fmt.Errorf("--interval is above zero")
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
