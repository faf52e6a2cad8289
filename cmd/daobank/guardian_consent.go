package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/settlement/netting"
)

// consentMax is the longest time for which an owner can consent.
const consentMax = 30 * 24 * time.Hour

func (o *guardianOptions) consentCommand() *cobra.Command {
	var message string
	var period time.Duration
	var withdraw, yes bool
	cmd := &cobra.Command{
		Use:   "consent",
		Short: "Let the guardian sign a proof of reserves with a message",
		Long: `consent lets the running guardian sign proofs of reserves with exactly this message, for
a day or as long as --for says. Without it a guardian signs none.

A proof of reserves (BIP-127) shows an auditor that you and the other guardians can spend
the vault's coins. What is signed is a transaction that spends all of them, but only after
an output that does not exist: it can never be mined. The guardian makes it itself, from
the message and its own books, and its node must not know that output; nobody else's word
counts. It takes nothing out of the vault and counts for no limit.

Ask the auditor for the message on a way that the operator does not control. Only the last
consent is in force; --withdraw takes it back. Proofs that were signed stand.`,
		Example: `  daobank guardian consent --dir ~/guardian --message "Example & Co., audit of 28 November 2026, 5f0c2a"
  daobank guardian consent --dir ~/guardian --withdraw`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			c, err := newConsent(message, period, withdraw, time.Now())
			if err != nil {
				return err
			}
			if c != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "message    %s\nuntil      %s\nThe guardian will show with its signature that the vault's coins can be spent. It moves none.\n", c.Text, c.Until.UTC().Format(time.RFC3339))
				if !yes {
					fmt.Fprint(cmd.ErrOrStderr(), "Is this what the auditor asked you for, and do you consent? [yes/no] ")
				}
				if !yes && !saysYes(cmd) {
					return errors.New("no consent, nothing was changed: answer \"yes\", or use --yes")
				}
			}
			said, err := o.consent(cmd.Context(), c)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), said)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&message, "message", "", "what the auditor asked to be signed")
	f.DurationVar(&period, "for", 24*time.Hour, "how long the guardian may sign it")
	f.BoolVar(&withdraw, "withdraw", false, "take the consent back")
	f.BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// newConsent is what the owner consents to; nil when the consent is taken back.
func newConsent(message string, period time.Duration, withdraw bool, now time.Time) (*guardian.Consent, error) {
	switch {
	case withdraw && message != "":
		return nil, errors.New("give --message or --withdraw, not both")
	case withdraw:
		return nil, nil
	case message == "":
		return nil, errors.New("say what the auditor asked to be signed: --message TEXT")
	case period <= 0 || period > consentMax:
		return nil, fmt.Errorf("--for %v: want at most %v", period, consentMax)
	}
	return &guardian.Consent{Text: message, Until: now.Add(period)}, netting.CheckStatement(message)
}

// consent gives the consent to the process that runs on the folder, or keeps it there
// for the next one.
func (o *guardianOptions) consent(ctx context.Context, c *guardian.Consent) (string, error) {
	k, err := keep.Open(o.Dir)
	if err == nil {
		defer k.Close()
		return "Kept. Start the guardian with: daobank guardian run", k.Consent(c)
	}
	if !errors.Is(err, keep.ErrInUse) {
		return "", err
	}
	return "The running guardian goes by it from here.", o.tell(ctx, "/consent", c)
}

// takeConsent keeps the owner's word and lets the running guardian go by it.
func takeConsent(r *http.Request, g *guardian.Guardian, k *keep.Keep) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return err
	}
	var c *guardian.Consent
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	if c == nil { // the guardian first: what cannot be kept is still taken back
		g.Consent(nil)
	}
	if err := k.Consent(c); err != nil {
		return err
	}
	g.Consent(c)
	return nil
}
