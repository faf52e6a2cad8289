package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/ledger"
)

// defaultExpiry is how many blocks an order may wait to be accepted: about a
// day. Without an end, an order that was refused could be accepted much later,
// when its signer has forgotten it.
const defaultExpiry = 144

func (m *member) payCommand() *cobra.Command {
	var reference string
	var expiresIn uint32
	cmd := &cobra.Command{
		Use:   "pay ACCOUNT AMOUNT_BTC [ACCOUNT AMOUNT_BTC]…",
		Short: "Pay one or many members, free and at once",
		Long: `pay pays other members under one signature: all of the payments, or none.

Amounts are bitcoins with up to eight places. Accounts are in the dao1… form, whose
checksum catches typing errors and accounts of another bank.

Should no answer come, run the same command again: the order that was signed is
sent again and the payment is made once.`,
		Example: `  daobank member pay dao1qpz… 0.0015
  daobank member pay dao1qpz… 0.01 dao1q9x… 0.02 --reference "rent, May"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args)%2 != 0 {
				return fmt.Errorf("pay needs pairs of an account and an amount in BTC, such as: dao1… 0.0015")
			}
			return nil
		},
		RunE: m.run(func(cmd *cobra.Command, args []string) error {
			var transfer *ledger.Transfer
			a, result, err := m.order(cmd, expiresIn, func(a *memberAccount) (_ ledger.Body, err error) {
				transfer, err = parseTransfer(a.bank, args, reference)
				return transfer, err
			})
			if err != nil {
				return err
			}
			return m.print(cmd, struct {
				*accepted
				Payments []paymentForm `json:"payments"`
			}{result, paymentForms(a.bank, transfer)}, result.text(describeTransfer(a.bank, transfer)))
		}),
	}
	cmd.Flags().StringVar(&reference, "reference", "", "a text of at most 64 bytes for the payees; everyone can read it")
	cmd.Flags().Uint32Var(&expiresIn, "expires-in", defaultExpiry, "blocks after which the order can no longer be accepted; 0 is never")
	return cmd
}

type paymentForm struct {
	Payee  string        `json:"payee"`
	Amount ledger.Amount `json:"amount_sat"`
}

func parseTransfer(bank ledger.BankID, args []string, reference string) (*ledger.Transfer, error) {
	transfer := &ledger.Transfer{}
	if reference != "" {
		transfer.Reference = []byte(reference)
	}
	for i := 0; i < len(args); i += 2 {
		payee, err := ledger.ParseAccount(bank, args[i])
		if err != nil {
			return nil, err
		}
		amount, err := ledger.ParseBTC(args[i+1])
		if err != nil {
			return nil, err
		}
		transfer.Payments = append(transfer.Payments, ledger.Payment{Payee: payee, Amount: amount})
	}
	return transfer, nil
}

func paymentForms(bank ledger.BankID, t *ledger.Transfer) []paymentForm {
	forms := make([]paymentForm, len(t.Payments))
	for i, p := range t.Payments {
		forms[i] = paymentForm{Payee: ledger.FormatAccount(bank, p.Payee), Amount: p.Amount}
	}
	return forms
}

func describeTransfer(bank ledger.BankID, t *ledger.Transfer) string {
	lines := make([]string, len(t.Payments))
	for i, p := range t.Payments {
		lines[i] = fmt.Sprintf("%s to %s", money(p.Amount), ledger.FormatAccount(bank, p.Payee))
	}
	return strings.Join(lines, "\n          ")
}

func (m *member) closeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "close",
		Short: "Close your account for ever",
		Long: `close ends an account that is empty and waits for no withdrawal. It cannot be opened
again; coins that are sent to its deposit address afterwards are not credited.`,
		Example: `  daobank member close`,
		Args:    cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			a, result, err := m.order(cmd, defaultExpiry, func(*memberAccount) (ledger.Body, error) { return &ledger.Close{}, nil })
			if err != nil {
				return err
			}
			return m.print(cmd, result, result.text("account "+a.address()+" is closed"))
		}),
	}
}
