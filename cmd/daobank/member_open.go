package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

func (m *member) openCommand() *cobra.Command {
	var bankID string
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open an account for your key",
		Long: `open opens the account of your key at the bank and remembers the bank: its charter,
from which its id follows, and the policy of its vault, from which your deposit
address is derived here. Every later command refuses another bank at this URL.

The first answer decides which bank that is. Where that matters, get the bank's id
from somebody you trust and give it with --bank-id.

A key has one account for ever. Running open again finds it, also when the folder
beside the key was lost.`,
		Example: `  daobank member open
  daobank member open --bank https://bank.example --bank-id 5f0c…`,
		Args: cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			if a, err := m.account(); err == nil {
				if bankID != "" && bankID != a.bank.String() {
					return fmt.Errorf("the key has its account at the bank %s: use another key for another bank", a.bank)
				}
				return m.print(cmd, openedForm(a), "Your account is open already: "+a.address())
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			a, err := m.open(cmd, bankID)
			if err != nil {
				return err
			}
			return m.print(cmd, openedForm(a), fmt.Sprintf("Accepted: your account is %s\nat %q, bank id %s.\nNext: daobank member deposit",
				a.address(), a.Charter.Name, a.bank))
		}),
	}
	cmd.Flags().StringVar(&bankID, "bank-id", "", "the bank's id, 64 hex digits, that you expect at the URL")
	return cmd
}

func openedForm(a *memberAccount) map[string]any {
	return map[string]any{"account": a.address(), "number": a.Number, "bank": a.bank, "bank_name": a.Charter.Name}
}

// open opens the key's account, or finds it again: the order to open is the same
// whenever it is signed, so the bank gives its first answer.
func (m *member) open(cmd *cobra.Command, bankID string) (*memberAccount, error) {
	client := api.Dial(m.bankURL)
	if bankID != "" {
		var want ledger.BankID
		if err := want.UnmarshalText([]byte(bankID)); err != nil {
			return nil, fmt.Errorf("--bank-id: %w", err)
		}
		client.Pin(want)
	}
	bank, err := client.Bank(cmd.Context())
	if err != nil {
		return nil, err
	}
	if _, err := bank.Vaults(); err != nil {
		return nil, fmt.Errorf("the bank's vault: %w", err)
	}
	a := &memberAccount{Charter: bank.Charter, Policy: bank.Founded, Rekeys: bank.Rekeys, bank: bank.ID, file: m.stateFile(".account.json")}
	p, err := m.openOrder(cmd, a)
	if err != nil {
		return nil, err
	}
	if _, err := m.send(cmd.Context(), client, a, p); err != nil {
		return nil, err
	}
	if _, err := m.position(cmd.Context(), client, a); err != nil {
		return a, err
	}
	return a, a.saveBankFile()
}

// openOrder is the order to open that was sent before without an answer, or a
// new one.
func (m *member) openOrder(cmd *cobra.Command, a *memberAccount) (*pending, error) {
	list, err := m.pendingOrders()
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		p := list[0]
		open, ok := p.order.Body.(*ledger.Open)
		if !ok || p.order.Bank != a.bank {
			return nil, fmt.Errorf("%s holds an order of account %s at bank %s without an answer: restore its account file first", p.file, p.order.Payer, p.order.Bank)
		}
		a.Key = open.Key
		return p, nil
	}
	priv, err := m.unlock(cmd)
	if err != nil {
		return nil, err
	}
	defer priv.Zero()
	a.Key = ledger.KeyOf(priv)
	order := &ledger.Order{Bank: a.bank, Body: &ledger.Open{Key: a.Key}}
	if err := order.Sign(priv); err != nil {
		return nil, err
	}
	return m.keepPending(order)
}

func (m *member) addressCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "address",
		Short: "Show your account, on which other members pay you",
		Long: `address shows your account. Give it to members who want to pay you; payments inside
the bank are free and accepted at once. It needs no connection.

To send bitcoins from outside, use the address of "daobank member deposit".`,
		Example: `  daobank member address`,
		Args:    cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			a, err := m.account()
			if err != nil {
				return err
			}
			return m.print(cmd, openedForm(a), a.address())
		}),
	}
}

func (m *member) depositCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "deposit",
		Short: "Show the Bitcoin address that fills your account",
		Long: `deposit shows your own Bitcoin address in the bank's vault. Coins sent to it are
credited to your account once they are deep enough in the chain. You may use it
again and again.

The address is derived here from the vault's policy, which was remembered when the
account was opened: no server can give you a false one. When the guardians have
changed, the bank is asked for the vault's new key, which must be signed by the one
before. Without a connection you get the address of the last key that is known here;
coins sent to an older one are credited all the same.`,
		Example: `  daobank member deposit`,
		Args:    cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			a, err := m.account()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), refreshWithin)
			defer cancel()
			if _, err := m.dial(ctx, a); errors.Is(err, errOtherKeys) {
				return err
			}
			vault, err := a.vault()
			if err != nil {
				return err
			}
			address, err := vault.Address(taproot.Deposit, a.Number.Index())
			if err != nil {
				return err
			}
			form := map[string]any{"account": a.address(), "deposit_address": address, "network": a.Policy.Network, "confirmations": a.Charter.Depth}
			return m.print(cmd, form, fmt.Sprintf("%s\nSend bitcoins of the network %s to it; they are credited at %d confirmations.", address, a.Policy.Network, a.Charter.Depth))
		}),
	}
}

// refreshWithin is how long "deposit" asks the bank for a new key of its vault.
const refreshWithin = 2 * time.Second
