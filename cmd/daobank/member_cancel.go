package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

func (m *member) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ORDER",
		Short: "Take back a withdrawal that waits",
		Long: `cancel takes back a withdrawal that no settlement has taken yet: what it held is
available again. ORDER is the number that "withdraw" printed.

Once a settlement has taken it, it may be paid any moment and cannot be taken back.
It can again when a block holds a version of the settlement that does not pay it.`,
		Example: `  daobank member cancel 7`,
		Args:    cobra.ExactArgs(1),
		RunE: m.run(func(cmd *cobra.Command, args []string) error {
			sequence, err := orderNumber(args[0])
			if err != nil {
				return err
			}
			_, result, err := m.order(cmd, defaultExpiry, func(*memberAccount) (ledger.Body, error) { return &ledger.Cancel{Sequence: sequence}, nil })
			if err != nil {
				return err
			}
			return m.print(cmd, result, result.text(fmt.Sprintf("withdrawal %d is cancelled.", sequence)))
		}),
	}
}

func orderNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not the number of an order: write a whole number above 0, as \"withdraw\" printed it", text)
	}
	return n, nil
}

func (m *member) withdrawalCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "withdrawal ORDER",
		Short: "Show how far a withdrawal has come",
		Long: `withdrawal follows one of your withdrawals from its order to the chain: whether it
waits, is being settled, is paid or was cancelled, in which transaction, and how deep.
Ordered, taken and posted name the entries of the journal that say so, which anybody can
look up. Of a standing payout it shows the last draw.`,
		Example: `  daobank member withdrawal 7
  daobank member withdrawal 7 --json`,
		Args: cobra.ExactArgs(1),
		RunE: m.run(func(cmd *cobra.Command, args []string) error {
			sequence, err := orderNumber(args[0])
			if err != nil {
				return err
			}
			client, a, err := m.connect(cmd)
			if err != nil {
				return err
			}
			w, err := client.Withdrawal(cmd.Context(), ledger.OrderRef{Payer: a.Number, Sequence: sequence})
			if err != nil {
				return err
			}
			return m.print(cmd, w, withdrawalText(w))
		}),
	}
}

func withdrawalText(w *settlement.Withdrawal) string {
	text := fmt.Sprintf("Withdrawal %d: %s\nAmount:     %s\nOrdered:    entry %d of batch %d", w.Sequence, printable(string(w.State)), money(w.Amount), w.Ordered.Index, w.Ordered.Batch)
	if w.Settlement > 0 {
		text += fmt.Sprintf("\nSettlement: %d, version %d, fee %s\nTxid:       %s\nDepth:      %d confirmations", w.Settlement, w.Version, money(w.FeeShare), printable(w.TxID), w.Confirmations)
	}
	if w.Cut != nil {
		text += fmt.Sprintf("\nTaken:      entry %d of batch %d", w.Cut.Index, w.Cut.Batch)
	}
	if w.Posted != nil {
		text += fmt.Sprintf("\nPosted:     entry %d of batch %d", w.Posted.Index, w.Posted.Batch)
	}
	if w.Waits != "" {
		text += "\nWaits:      " + printable(w.Waits)
	}
	return text
}

func (m *member) standingCommand() *cobra.Command {
	var every uint32
	var feeMax int64
	cmd := &cobra.Command{
		Use:   "standing (ADDRESS KEEP_BTC | end)",
		Short: "Have the bank pay out what your account has above an amount",
		Long: `standing sets your account's standing payout: what it has above KEEP_BTC is paid to the
address with coming settlements, at most once in --every blocks. It replaces the one
before. Each payout leaves room for --fee-max, and what it does not need of that comes
back. A payout that waits can be taken back with "cancel" and this order's number; to
end the standing payout say "end".`,
		Example: `  daobank member standing bcrt1q… 0.5 --every 144
  daobank member standing end`,
		Args: cobra.RangeArgs(1, 2),
		RunE: m.run(func(cmd *cobra.Command, args []string) error {
			var body *ledger.Standing
			_, result, err := m.order(cmd, defaultExpiry, func(a *memberAccount) (_ ledger.Body, err error) {
				body, err = standingBody(a, args, every, ledger.Amount(feeMax))
				return body, err
			})
			if err != nil {
				return err
			}
			what := "the standing payout has ended."
			if len(body.Script) > 0 {
				what = fmt.Sprintf("what is above %s goes to %s, at most once in %d blocks, with at most %s for the miner.", money(body.Keep), args[0], body.Every, money(body.FeeMax))
			}
			return m.print(cmd, result, result.text(what))
		}),
	}
	cmd.Flags().Uint32Var(&every, "every", 144, "blocks between two payouts at least")
	cmd.Flags().Int64Var(&feeMax, "fee-max", 5_000, "most that you pay the miner for each, in sat")
	return cmd
}

func standingBody(a *memberAccount, args []string, every uint32, feeMax ledger.Amount) (*ledger.Standing, error) {
	if len(args) == 1 && args[0] == "end" {
		return &ledger.Standing{}, nil
	}
	if len(args) != 2 {
		return nil, fmt.Errorf("say to which address and how much stays, or \"end\": daobank member standing ADDRESS KEEP_BTC")
	}
	vault, err := a.vault()
	if err != nil {
		return nil, err
	}
	script, err := taproot.ParseAddress(args[0], vault.Params())
	if err != nil {
		return nil, err
	}
	body := &ledger.Standing{Every: every, FeeMax: feeMax, Script: script}
	if args[1] != "0" {
		if body.Keep, err = ledger.ParseBTC(args[1]); err != nil {
			return nil, err
		}
	}
	return body, nil
}
