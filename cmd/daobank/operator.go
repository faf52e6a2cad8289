package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

func newOperatorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "operator",
		Short: "Take the bank out of an emergency that a person has to decide",
		Long: `operator works on the bank's own directory and database, while serve does not run:
whichever started last keeps the other from writing.

  resolve   go on from another branch, after a reorganisation deeper than the bank's depth
  correct   give from suspense to an account what is its`,
	}
	cmd.AddCommand(newResolveCommand(), newCorrectCommand())
	return cmd
}

// registerOperator adds the flags that say which bank.
func registerOperator(f *pflag.FlagSet, o *serveOptions) {
	f.StringVar(&o.Data, "data", envOr("DAOBANK_DATA", ""), "directory of the bank's keys and settings (env DAOBANK_DATA)")
	f.StringVar(&o.Postgres, "postgres", envOr("DAOBANK_POSTGRES", ""), "URL of the database; empty starts the private PostgreSQL in the data directory (env DAOBANK_POSTGRES)")
	registerNode(f, &o.Node)
}

func newResolveCommand() *cobra.Command {
	o := &serveOptions{Policy: settlement.DefaultPolicy()}
	var yes bool
	cmd := &cobra.Command{
		Use:   "resolve",
		Short: "Let the books go on from another branch of the chain",
		Long: `resolve compares the books with the branch that took the place of theirs, and shows the
difference: coins that the chain has lost, coins that it has and the books have not, and
withdrawals that it has paid and the books let wait. What the books have settled and the
branch does not hold is sent again first: then resolve asks you to wait until that is deep.

With --yes it records the difference. What members were credited or paid stands. Suspense
bears it, and what suspense lacks the treasury. If both lack it, pay the difference to
the treasury's address on the new branch, let it become deep, and run resolve again.

Guardians compare the entry with their own nodes before they sign anything again.`,
		Example: `  daobank operator resolve --data ~/bank --bitcoind http://127.0.0.1:18443
  daobank operator resolve --data ~/bank --bitcoind http://127.0.0.1:18443 --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withDesk(cmd.Context(), func(ctx context.Context, desk *settlement.Desk, _ *clearing.Engine) error {
				r, err := desk.Resolve(ctx)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), resolutionText(r))
				if !yes {
					return errors.New("nothing was recorded: run it again with --yes")
				}
				if err := desk.Follow(ctx, r); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "The books go on from block %d. Start serve again.\n", r.Event.Height)
				return nil
			})
		},
	}
	registerOperator(cmd.Flags(), o)
	cmd.Flags().BoolVar(&yes, "yes", false, "record the difference")
	return cmd
}

func resolutionText(r *settlement.Resolution) string {
	e := r.Event
	text := fmt.Sprintf("Blocks of the books from %d on have left the chain. They go on from block %d.\nCoins lost: %d\nCoins that are new or back: %d\nWithdrawals that the chain has paid: %d",
		e.From, e.Height, len(e.Removed), len(e.Added), len(e.Paid))
	if r.Settled != nil {
		text += fmt.Sprintf("\nSettlement %d, version %d, is in the new branch, deep enough to be posted.", r.Settled.Settlement, r.Settled.Version)
	}
	for _, at := range e.Removed {
		text += fmt.Sprintf("\n  lost   %s", at)
	}
	for _, a := range e.Added {
		kind := "back "
		if a.Deposit {
			kind = "new  "
		}
		text += fmt.Sprintf("\n  %s  %s  %s", kind, a.OutPoint, money(a.Amount))
	}
	for _, p := range r.Unpaid {
		text += fmt.Sprintf("\nNot paid: withdrawal %s, which the books have posted. When its transaction can be mined no more, give its amount back with \"operator correct\".", p.OrderRef)
	}
	return text
}

func newCorrectCommand() *cobra.Command {
	o := &serveOptions{Policy: settlement.DefaultPolicy()}
	var batch uint64
	var index uint32
	cmd := &cobra.Command{
		Use:   "correct ACCOUNT AMOUNT_BTC",
		Short: "Give from suspense to an account what is its",
		Long: `correct pays out of suspense, where coins are that arrived for nobody, and what a deep
reorganisation left open. It names the entry of the journal that it corrects, such as the
deposit or the settlement, by --batch and --index. Everybody can read it.`,
		Example: `  daobank operator correct dao1qpz… 0.015 --batch 411 --index 2 --data ~/bank --bitcoind http://127.0.0.1:18443`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := ledger.ParseBTC(args[1])
			if err != nil {
				return err
			}
			return o.withDesk(cmd.Context(), func(ctx context.Context, desk *settlement.Desk, engine *clearing.Engine) error {
				e := &ledger.Correct{Account: ledger.Treasury, Amount: amount, Batch: batch, Index: index}
				if args[0] != ledger.Treasury.String() {
					if e.Account, err = ledger.ParseAccount(charterID(engine), args[0]); err != nil {
						return err
					}
				}
				if err := desk.Correct(ctx, e); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Account %s has %s from suspense.\n", args[0], money(amount))
				return nil
			})
		},
	}
	registerOperator(cmd.Flags(), o)
	cmd.Flags().Uint64Var(&batch, "batch", 0, "batch of the entry that is corrected")
	cmd.Flags().Uint32Var(&index, "index", 0, "index of that entry in its batch")
	return cmd
}

// withDesk opens the bank's engine and desk without guardians and without the API.
func (o *serveOptions) withDesk(ctx context.Context, use func(context.Context, *settlement.Desk, *clearing.Engine) error) error {
	if err := o.validate(); err != nil {
		return err
	}
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	node, err := bitcoind.Dial(ctx, o.Node)
	if err != nil {
		return err
	}
	dir, err := openBankDir(ctx, o.Data, node)
	if err != nil {
		return err
	}
	if !dir.finished() {
		return errors.New("the bank's key is not made yet: run serve first")
	}
	founding, err := taproot.NewVault(dir.Policy)
	if err != nil {
		return err
	}
	url, _, stop, err := database(ctx, o)
	if err != nil {
		return err
	}
	defer stop()
	store, err := postgres.Open(ctx, url)
	if err != nil {
		return err
	}
	defer store.Close()
	engine, err := clearing.Open(ctx, clearing.Config{Store: store, Charter: dir.Charter, Operator: dir.operator, Log: o.Log})
	if err != nil {
		return err
	}
	desk, err := settlement.New(settlement.Config{Engine: engine, Store: store, Vaults: netting.NewVaults(dir.Charter.ID(), founding),
		Chain: node, Signer: nobody{}, Policy: o.Policy, Log: o.Log})
	if err == nil {
		err = use(ctx, desk, engine)
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, engine.Close(grace))
}

func charterID(engine *clearing.Engine) ledger.BankID {
	charter := engine.Charter()
	return charter.ID()
}
