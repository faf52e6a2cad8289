// Command daobank is the DAO bank: a bank without a banker, whose vault is one
// Taproot wallet that many people own together.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newRootCommand().ExecuteContext(ctx)
	var status *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		if status.message != "" {
			fmt.Fprintln(os.Stderr, "daobank:", status.message)
		}
		return status.status
	default:
		fmt.Fprintln(os.Stderr, "daobank:", err)
		return 1
	}
}

// exitError ends the program with a status of its own. Its message, if any, is
// printed; a command that has said all on its own leaves it empty.
type exitError struct {
	status  int
	message string
}

func (e *exitError) Error() string { return e.message }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "daobank",
		Short: "A bank without a banker: one shared Bitcoin wallet, instant payments inside it",
		Long: `daobank runs a bank that its members own together.

Members pay each other at once and for free inside one shared Taproot wallet.
At every Bitcoin block one transaction, signed by a threshold of guardians,
settles the net of it all, and anyone can check that the sum of all wallets
equals the coins on chain.

Begin with "daobank demo": it shows the whole story on a private regtest chain.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newDemoCommand(), newFoundCommand(), newServeCommand(), newRotateCommand(), newOperatorCommand(), newGuardianCommand(), newMemberCommand(), newAuditCommand(), newExportCommand(), newProveCommand(), newVerifyCommand(), newReservesCommand(), newVaultCommand(), newBenchCommand(), newRegtestCommand())
	return root
}

// envOr is the value of an environment variable, or a default: what a flag
// says when it is not given.
func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
