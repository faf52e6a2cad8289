package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
)

// connect reads the account, dials its bank and sends again what has no answer:
// what is shown afterwards includes it.
func (m *member) connect(cmd *cobra.Command) (*api.Client, *memberAccount, error) {
	a, err := m.account()
	if err != nil {
		return nil, nil, err
	}
	client, err := m.dial(cmd.Context(), a)
	if err != nil {
		return nil, nil, err
	}
	_, err = m.sendPending(cmd, client, a)
	return client, a, err
}

func (m *member) balanceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "balance",
		Short: "Show what your account holds",
		Long: `balance shows what your account holds, what of it is held for withdrawals that wait
for a settlement, and what you can spend now. It also checks that the bank knows
every order that it gave you a receipt for.`,
		Example: `  daobank member balance
  daobank member balance --json`,
		Args: cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			client, a, err := m.connect(cmd)
			if err != nil {
				return err
			}
			shown, err := m.position(cmd.Context(), client, a)
			if err != nil {
				return err
			}
			text := fmt.Sprintf("Balance:   %s\nHeld:      %s\nAvailable: %s", money(shown.Balance), money(shown.Held), money(shown.Available))
			if shown.Closed {
				text += "\nThe account is closed."
			}
			return m.print(cmd, shown, text)
		}),
	}
}

func (m *member) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List what came in and went out, newest first",
		Long: `history lists the movements of your account, newest first. It may lag a moment behind
the balance, which is always exact.

Each movement is in one of three states. Accepted: it stands in a batch that the
operator signed. Attested: as many guardians as must sign have replayed that batch.
Anchored: a Bitcoin transaction at its depth commits to the books at that batch or a
later one. The last two are as the bank tells them; docs/api.md says how to prove
that a batch is attested.`,
		Example: `  daobank member history
  daobank member history --limit 200 --json`,
		Args: cobra.NoArgs,
		RunE: m.run(func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return fmt.Errorf("--limit is %d: ask for at least 1", limit)
			}
			client, a, err := m.connect(cmd)
			if err != nil {
				return err
			}
			movements, err := readHistory(cmd.Context(), client, a, limit)
			if err != nil {
				return err
			}
			bank, err := client.Bank(cmd.Context()) // after the movements: what it tells covers them
			if err != nil {
				return err
			}
			list := withStates(movements, &bank)
			return m.print(cmd, map[string]any{"movements": list, "attested": bank.Attested, "anchored": bank.Anchored}, historyText(list))
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "number of movements")
	return cmd
}

// readHistory asks as often as the limit needs.
func readHistory(ctx context.Context, client *api.Client, a *memberAccount, limit int) ([]api.Movement, error) {
	list := []api.Movement{}
	for before := ""; len(list) < limit; {
		part, err := client.History(ctx, a.Number, before, limit-len(list))
		if err != nil {
			return nil, err
		}
		list = append(list, part.Movements...)
		if part.Next == "" || len(part.Movements) == 0 {
			break
		}
		before = part.Next
	}
	return list[:min(limit, len(list))], nil
}

// shownMovement is a movement with its state.
type shownMovement struct {
	api.Movement
	State string `json:"state"` // of its batch, as stateOf
}

func withStates(movements []api.Movement, bank *api.Bank) []shownMovement {
	list := make([]shownMovement, len(movements))
	for i, v := range movements {
		list[i] = shownMovement{Movement: v, State: stateOf(v.Cursor.Batch, bank)}
	}
	return list
}

// stateOf names the furthest state of what a batch holds: each implies those
// before it, and none is called by another's name.
func stateOf(batch uint64, bank *api.Bank) string {
	switch {
	case batch <= bank.Anchored:
		return "anchored"
	case batch <= bank.Attested:
		return "attested"
	}
	return "accepted"
}

func historyText(movements []shownMovement) string {
	if len(movements) == 0 {
		return "Nothing has moved yet."
	}
	lines := make([]string, len(movements))
	for i, v := range movements {
		direction, amount := "from", v.Amount
		if amount < 0 {
			direction, amount = "to  ", -amount
		}
		sign := "+"
		if v.Amount < 0 {
			sign = "-"
		}
		lines[i] = fmt.Sprintf("%s  %s  %s%s BTC (%s%d sat)  %s %s  %s", time.UnixMilli(int64(v.UnixMilli)).UTC().Format(time.DateTime),
			v.State, sign, amount.BTC(), sign, int64(amount), direction, printable(v.Counterparty), printable(v.Kind))
		// The reference is somebody else's bytes.
		if reference, err := hex.DecodeString(v.Reference); err == nil && len(reference) > 0 {
			lines[i] += "  " + strconv.Quote(string(reference))
		}
	}
	return strings.Join(lines, "\n")
}
