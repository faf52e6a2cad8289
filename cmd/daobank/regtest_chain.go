package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
)

type mineQuestion struct {
	Blocks int              `json:"blocks"`
	To     string           `json:"to,omitempty"`
	Empty  bool             `json:"empty,omitempty"`
	Only   []chainhash.Hash `json:"only,omitempty"`
	At     time.Time        `json:"at,omitzero"`
}

type mineAnswer struct {
	Blocks []regtestBlock `json:"blocks"` // lowest first
}

func (a mineAnswer) String() string {
	var b strings.Builder
	for _, block := range a.Blocks {
		fmt.Fprintln(&b, block)
	}
	return b.String()
}

func (r *regtest) mineCommand() *cobra.Command {
	var ask mineQuestion
	var only []string
	var at string
	cmd := &cobra.Command{
		Use:   "mine [blocks]",
		Short: "Mine blocks with what the mempool holds, one if no number is given",
		Example: `  daobank regtest mine
  daobank regtest mine 101 --to bcrt1q…
  daobank regtest mine --empty`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ask.Blocks = 1
			if len(args) == 1 {
				if ask.Blocks, err = parseCount("blocks", args[0], 1); err != nil {
					return err
				}
			}
			if ask.Only, err = parseTxIDs(only); err != nil {
				return err
			}
			if at != "" {
				if ask.At, err = time.Parse(time.RFC3339, at); err != nil {
					return fmt.Errorf("--at: %q is not a time such as 2030-01-31T12:00:00Z", at)
				}
			}
			var answer mineAnswer
			if err := r.ask(cmd.Context(), "mine", ask, &answer); err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), answer)
		},
	}
	f := cmd.Flags()
	f.StringVar(&ask.To, "to", "", "pay the coinbases to this `address`, not to the faucet")
	f.BoolVar(&ask.Empty, "empty", false, "leave the mempool as it is")
	f.StringSliceVar(&only, "only", nil, "take only these `transactions`")
	f.StringVar(&at, "at", "", "give the first block this `time`")
	cmd.MarkFlagsMutuallyExclusive("empty", "only")
	_ = cmd.RegisterFlagCompletionFunc("only", r.completeTxID)
	return cmd
}

func mineRegtest(ctx context.Context, node *bitcoind.Node, ask mineQuestion) (answer mineAnswer, err error) {
	var options []bitcoind.MineOption
	if ask.To != "" {
		options = append(options, bitcoind.MineToAddress(ask.To))
	}
	if ask.Empty {
		options = append(options, bitcoind.MineEmpty())
	}
	if len(ask.Only) > 0 {
		options = append(options, bitcoind.MineOnly(ask.Only...))
	}
	if !ask.At.IsZero() {
		options = append(options, bitcoind.MineAt(ask.At))
	}
	hashes, err := node.Mine(ctx, ask.Blocks, options...)
	for _, hash := range hashes {
		_, height, lookup := node.Header(ctx, hash)
		if lookup != nil {
			return answer, lookup
		}
		answer.Blocks = append(answer.Blocks, regtestBlock{Height: height, Hash: hash})
	}
	return answer, err
}

type reorgQuestion struct {
	Depth   int              `json:"depth"`
	Longer  int              `json:"longer"`
	KeepAll bool             `json:"keep_all,omitempty"`
	Keep    []chainhash.Hash `json:"keep,omitempty"`
	Drop    []chainhash.Hash `json:"drop,omitempty"`
	Replace []replacement    `json:"replace,omitempty"`
}

type replacement struct {
	Old chainhash.Hash `json:"old"`
	By  string         `json:"by"` // a transaction in hex
}

type reorgAnswer struct {
	Fork         regtestBlock     `json:"fork"`
	Disconnected []regtestBlock   `json:"disconnected"` // top first
	Connected    []regtestBlock   `json:"connected"`    // lowest first
	Reconfirmed  []chainhash.Hash `json:"reconfirmed"`
	Returned     []chainhash.Hash `json:"returned"` // to the mempool
	Evicted      []chainhash.Hash `json:"evicted"`
}

func (a reorgAnswer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fork after block %s\n", a.Fork)
	for _, block := range a.Disconnected {
		fmt.Fprintf(&b, "disconnected %s\n", block)
	}
	for _, block := range a.Connected {
		fmt.Fprintf(&b, "connected    %s\n", block)
	}
	for _, group := range []struct {
		what string
		ids  []chainhash.Hash
	}{{"confirmed again", a.Reconfirmed}, {"back in the mempool", a.Returned}, {"gone", a.Evicted}} {
		for _, id := range group.ids {
			fmt.Fprintf(&b, "%s: %s\n", group.what, id)
		}
	}
	return b.String()
}

func (r *regtest) reorgCommand() *cobra.Command {
	ask := reorgQuestion{}
	var keep, drop, replace []string
	cmd := &cobra.Command{
		Use:   "reorg <depth>",
		Short: "Replace the last blocks by a chain of more work",
		Long: `reorg builds a competing chain that leaves the active one depth blocks below its top,
and shows it to the node, which changes over by itself. The competing blocks are empty
unless flags say otherwise, and what was confirmed goes back to the mempool.`,
		Example: `  daobank regtest reorg 3
  daobank regtest reorg 3 --keep-all --drop TXID
  daobank regtest reorg 1 --replace TXID=HEX      # a double spend is confirmed`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if ask.Depth, err = parseCount("depth", args[0], 1); err != nil {
				return err
			}
			if ask.Longer < 1 {
				return fmt.Errorf("--longer %d: the competing chain must be longer by one block or more", ask.Longer)
			}
			if ask.Keep, err = parseTxIDs(keep); err != nil {
				return err
			}
			if ask.Drop, err = parseTxIDs(drop); err != nil {
				return err
			}
			if ask.Replace, err = parseReplacements(replace); err != nil {
				return err
			}
			var answer reorgAnswer
			if err := r.ask(cmd.Context(), "reorg", ask, &answer); err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), answer)
		},
	}
	f := cmd.Flags()
	f.IntVar(&ask.Longer, "longer", 1, "by how many blocks the competing chain is longer")
	f.BoolVar(&ask.KeepAll, "keep-all", false, "confirm all transactions again")
	f.StringSliceVar(&keep, "keep", nil, "confirm these `transactions` again")
	f.StringSliceVar(&drop, "drop", nil, "leave these `transactions` out")
	f.StringSliceVar(&replace, "replace", nil, "confirm another in the place of one: `TXID=HEX`")
	return cmd
}

func parseReplacements(texts []string) ([]replacement, error) {
	var list []replacement
	for _, text := range texts {
		id, raw, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("--replace %q: write TXID=HEX", text)
		}
		old, err := parseTxID(id)
		if err != nil {
			return nil, fmt.Errorf("--replace: %w", err)
		}
		if _, err := parseTx(raw); err != nil {
			return nil, fmt.Errorf("--replace: %w", err)
		}
		list = append(list, replacement{Old: old, By: raw})
	}
	return list, nil
}

func reorgRegtest(ctx context.Context, node *bitcoind.Node, ask reorgQuestion) (reorgAnswer, error) {
	options := []bitcoind.ReorgOption{bitcoind.ReorgLonger(ask.Longer), bitcoind.ReorgKeep(ask.Keep...), bitcoind.ReorgDrop(ask.Drop...)}
	if ask.KeepAll {
		options = append(options, bitcoind.ReorgKeepAll())
	}
	for _, r := range ask.Replace {
		by, err := parseTx(r.By)
		if err != nil {
			return reorgAnswer{}, err
		}
		options = append(options, bitcoind.ReorgReplace(r.Old, by))
	}
	result, err := node.Reorg(ctx, ask.Depth, options...)
	return reorgAnswer{
		Fork:         regtestBlock(result.Fork),
		Disconnected: regtestBlocks(result.Disconnected), Connected: regtestBlocks(result.Connected),
		Reconfirmed: orNone(result.Reconfirmed), Returned: orNone(result.Returned), Evicted: orNone(result.Evicted),
	}, err
}

// orNone makes JSON write [] where there is nothing.
func orNone(ids []chainhash.Hash) []chainhash.Hash {
	if ids == nil {
		return []chainhash.Hash{}
	}
	return ids
}
