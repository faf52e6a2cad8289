package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
)

func newServeReadyCommand() *cobra.Command {
	var listen string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Ask the bank on this machine whether it can work",
		Long: `ready asks /readyz of the bank that "daobank serve" runs on this machine. It is for
health checks where there is no other HTTP client, as in the bank's container.

Exit status: 0 the bank can work; 1 it cannot, or does not answer.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := localURL(listen)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			if err := api.Dial(url).Ready(ctx); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ready")
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", envOr("DAOBANK_LISTEN", defaultListen), "address that serve listens on (env DAOBANK_LISTEN)")
	cmd.Flags().DurationVar(&wait, "wait", 5*time.Second, "how long to wait for the answer")
	return cmd
}

// localURL is where a server that listens on an address answers to this machine.
func localURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("--listen is no host:port: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
