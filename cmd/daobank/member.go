package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/ledger"
)

// A member is one run of "daobank member": where its key is and how it speaks to
// the bank.
type member struct {
	keyFile        string
	passphraseFile string
	bankURL        string
	asJSON         bool
	wait           time.Duration
}

func newMemberCommand() *cobra.Command {
	m := &member{}
	cmd := &cobra.Command{
		Use:   "member",
		Short: "Hold an account: pay, be paid, deposit and withdraw",
		Long: `member is the wallet of one member of the bank.

Your key never leaves this machine. Every order is signed here, and for every
order that the bank accepts it signs a receipt, which is checked and kept beside
your key. Should the bank ever deny an order, the receipt proves it to anyone.

An order goes through three states, which are never mixed up here:

  accepted   it stands in a batch that the bank signed and stored
  attested   enough guardians replayed that batch
  anchored   its books are committed in a confirmed Bitcoin transaction

Before an order is sent it is written down beside your key. If no answer comes,
the next command sends the same order again, which can never pay twice.`,
		Example: `  daobank member init                        # make a key, once
  daobank member open                        # open an account for it
  daobank member deposit                     # where to send bitcoins to
  daobank member address                     # where others pay you, free and at once
  daobank member pay dao1qpz… 0.0015         # pay another member
  daobank member withdraw bcrt1q… 0.25       # take coins out with the next settlement`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&m.keyFile, "key", defaultKeyFile(), "file of your encrypted key")
	f.StringVar(&m.passphraseFile, "passphrase-file", "", "file whose first line is the key's passphrase; without it you are asked")
	f.StringVar(&m.bankURL, "bank", envOr("DAOBANK_BANK", "http://127.0.0.1:7070"), "URL of the bank (env DAOBANK_BANK)")
	f.BoolVar(&m.asJSON, "json", false, "print one JSON object instead of text, errors too")
	f.DurationVar(&m.wait, "wait", 30*time.Second, "how long to wait for the bank's answer")
	cmd.AddCommand(m.initCommand(), m.openCommand(), m.addressCommand(), m.depositCommand(), m.payCommand(),
		m.balanceCommand(), m.historyCommand(), m.withdrawCommand(), m.withdrawalCommand(), m.cancelCommand(), m.standingCommand(), m.closeCommand(), m.receiptCommand())
	return cmd
}

func defaultKeyFile() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "member.key"
	}
	return filepath.Join(dir, "daobank", "member.key")
}

// run makes a cobra function of fn that reports its error in JSON when asked.
func (m *member) run(fn func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := fn(cmd, args)
		if err != nil && m.asJSON {
			code := ledger.CodeOf(err)
			if code == "" && api.Unanswered(err) {
				code = "no_answer"
			}
			_ = json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
				"error": map[string]string{"code": string(code), "message": err.Error()},
			})
		}
		return err
	}
}

// print writes a result: an object for programs or a text for people.
func (m *member) print(cmd *cobra.Command, object any, text string) error {
	if m.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(object)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// note tells people something besides the result.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}

// money writes an amount as everything here does: bitcoins with eight places,
// and satoshis.
func money(a ledger.Amount) string { return fmt.Sprintf("%s BTC (%d sat)", a.BTC(), int64(a)) }

// printable makes text of somebody else harmless for a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
