package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

func (m *member) withdrawCommand() *cobra.Command {
	var feeMax int64
	var yes bool
	var expiresIn uint32
	cmd := &cobra.Command{
		Use:   "withdraw ADDRESS AMOUNT_BTC",
		Short: "Take coins out of the bank with the next settlement",
		Long: `withdraw pays bitcoins from your account to an address on chain.

The address receives the amount; the miner's fee for your output is paid besides
and never passes the limit that you sign. Amount and limit are held at once, and
what the settlement did not need of the limit comes back to your account.

First the fee is quoted and you are asked. With --yes you are not asked.`,
		Example: `  daobank member withdraw bcrt1q… 0.25
  daobank member withdraw bcrt1q… 0.25 --fee-max 1500 --yes`,
		Args: cobra.ExactArgs(2),
		RunE: m.run(func(cmd *cobra.Command, args []string) error {
			a, err := m.account()
			if err != nil {
				return err
			}
			amount, err := ledger.ParseBTC(args[1])
			if err != nil {
				return err
			}
			client, err := m.dial(cmd.Context(), a)
			if err != nil {
				return err
			}
			body, quote, err := quoteWithdrawal(cmd.Context(), client, a, args[0], amount)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("fee-max") {
				body.FeeMax = ledger.Amount(feeMax)
			} else if body.FeeMax > amount {
				return fmt.Errorf("the bank suggests a fee limit of %s, more than the amount itself: name your own limit with --fee-max", money(body.FeeMax))
			}
			if !yes {
				if err := confirm(cmd, body, quote); err != nil {
					return err
				}
			}
			result, err := m.carryOut(cmd, client, a, body, expiresIn)
			if err != nil {
				return err
			}
			body = result.order.Body.(*ledger.Withdraw) // with the limit that was signed
			return m.print(cmd, struct {
				*accepted
				Address string        `json:"address"`
				Amount  ledger.Amount `json:"amount_sat"`
				FeeMax  ledger.Amount `json:"fee_max_sat"`
			}{result, quote.Address, body.Amount, body.FeeMax},
				result.text(fmt.Sprintf("%s to %s, with at most %s for the miner.\nIt is held now and paid by a coming settlement.", money(body.Amount), quote.Address, money(body.FeeMax))))
		}),
	}
	cmd.Flags().Int64Var(&feeMax, "fee-max", 0, "most that you pay the miner, in sat (default: twice the quoted fee)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().Uint32Var(&expiresIn, "expires-in", defaultExpiry, "blocks after which the order can no longer be accepted; 0 is never")
	return cmd
}

// quoteWithdrawal reads the address here, with the network that the vault is
// on, and asks the bank for the price alone.
func quoteWithdrawal(ctx context.Context, client *api.Client, a *memberAccount, address string, amount ledger.Amount) (*ledger.Withdraw, *api.Quote, error) {
	vault, err := a.vault()
	if err != nil {
		return nil, nil, err
	}
	quote, err := client.Quote(ctx, address, amount)
	if err != nil {
		return nil, nil, err
	}
	script, err := taproot.ParseAddress(address, vault.Params())
	if err != nil {
		return nil, nil, err
	}
	quote.Address = address
	return &ledger.Withdraw{Amount: amount, FeeMax: quote.FeeMax, Script: script}, &quote, nil
}

var errNotConfirmed = errors.New("not confirmed, nothing was ordered: answer \"yes\", or use --yes")

func confirm(cmd *cobra.Command, body *ledger.Withdraw, quote *api.Quote) error {
	note(cmd, "To:        %s\nAmount:    %s\nFee now:   %s at %d sat per 1,000 vbytes; less when outputs are shared\nFee limit: %s\nHeld:      %s",
		quote.Address, money(body.Amount), money(quote.Fee), quote.FeeRate, money(body.FeeMax), money(body.Amount+body.FeeMax))
	fmt.Fprint(cmd.ErrOrStderr(), "Withdraw? [yes/no] ")
	if saysYes(cmd) {
		return nil
	}
	return errNotConfirmed
}

// saysYes reads an answer.
func saysYes(cmd *cobra.Command) bool {
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr())
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "yes" || answer == "y"
}
