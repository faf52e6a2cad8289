package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

// vaultStatus is what `daobank vault status --json` prints.
type vaultStatus struct {
	Height   uint32      `json:"height"`
	Timelock uint32      `json:"timelock_blocks"` // of the newest key
	TotalSat int64       `json:"total_sat"`
	Due      int         `json:"refresh_due"`
	Alarms   int         `json:"alarms"` // coins older than half the timelock
	Coins    []vaultCoin `json:"coins"`  // by key, then oldest first
	Hint     string      `json:"hint,omitempty"`
}

// vaultCoin is a coin of one of the vault's keys.
type vaultCoin struct {
	Generation uint32 `json:"generation"`
	taproot.CoinAge
}

func newVaultStatusCommand() *cobra.Command {
	o, asJSON := &vaultOptions{}, false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show each coin's age, and warn of one that is too old",
		Long: `status finds the vault's coins in your node's unspent outputs and says how much
of the recovery timelock each has let pass:

  fresh         under a third: nothing to do
  refresh due   from a third: the next settlement should spend the coin
  ALARM         from half: no settlement has. Look at the settlement desk and the
                guardians; there is still half of the timelock to set it right
  OPEN          all of it: the recovery keys can spend the coin

Exit status: 0 all coins younger than half the timelock; 1 one is not; 2 the
coins could not be looked at.`,
		Example: `  daobank vault status --bank bank.json --bitcoind http://127.0.0.1:8332 --bitcoind-user u
  # Every hour; mail when a coin grows too old
  daobank vault status --bank bank.json > status.txt || mail -s "vault: status $?" me < status.txt`,
		Args: func(cmd *cobra.Command, args []string) error { return uncheckedAudit(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			status, err := readVaultStatus(cmd, o)
			if err == nil {
				err = status.print(cmd.OutOrStdout(), asJSON)
			}
			if err != nil {
				return uncheckedAudit(err)
			}
			if status.Alarms > 0 {
				return &exitError{status: statusDiffers}
			}
			return nil
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return uncheckedAudit(err) })
	o.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func readVaultStatus(cmd *cobra.Command, o *vaultOptions) (*vaultStatus, error) {
	vaults, node, err := o.open(cmd.Context())
	if err != nil {
		return nil, err
	}
	s := &vaultStatus{}
	for generation, vault := range vaults {
		found, err := findCoins(cmd.Context(), vault, node, o.Range)
		if err != nil {
			return nil, err
		}
		recovery := vault.Policy().Recovery
		s.Height, s.Timelock = found.Tip, uint32(recovery.Delay)
		if hint := found.rangeHint(o.Range); hint != "" {
			s.Hint = hint
		}
		for _, age := range recovery.CoinAges(found.Coins, found.Tip) {
			s.add(vaultCoin{Generation: uint32(generation), CoinAge: age})
		}
	}
	return s, nil
}

func (s *vaultStatus) add(coin vaultCoin) {
	s.Coins = append(s.Coins, coin)
	s.TotalSat += coin.Amount
	switch {
	case coin.Freshness >= taproot.Alarm:
		s.Alarms++
	case coin.Freshness == taproot.RefreshDue:
		s.Due++
	}
}

func (s *vaultStatus) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	fmt.Fprintf(out, "%d coins, %s BTC, at height %d. The recovery keys can spend a coin after %d blocks.\n",
		len(s.Coins), ledger.Amount(s.TotalSat).BTC(), s.Height, s.Timelock)
	if len(s.Coins) > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "coin\tBTC\tkey\tpath\tage\tleft\tpassed\t")
		for _, c := range s.Coins {
			fmt.Fprintf(w, "%v\t%s\t%d\t%d/%d\t%d\t%d\t%d %%\t%s\n", c.OutPoint(), ledger.Amount(c.Amount).BTC(),
				c.Generation, c.Branch, c.Index, c.Age, c.Left, 100*uint64(c.Age)/(uint64(c.Age)+uint64(c.Left)), c.Freshness)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	switch {
	case s.Alarms > 0:
		fmt.Fprintf(out, "ALARM: %d coins are older than half the timelock. Find out why no settlement moves them.\n", s.Alarms)
	case s.Due > 0:
		fmt.Fprintf(out, "%d coins wait for the next settlement to refresh them.\n", s.Due)
	default:
		fmt.Fprintln(out, "All coins are fresh.")
	}
	if s.Hint != "" {
		fmt.Fprintln(out, s.Hint)
	}
	return nil
}
