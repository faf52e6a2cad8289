package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/taproot"
)

func newVaultCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vault",
		Short: "Look at the vault's coins, and recover them when the guardians are lost",
		Long: `vault works on the coins of a bank's vault with nothing but the bank's public
file and your own Bitcoin node. It needs neither the bank nor its database.

A coin of the vault has two ways out. The guardians spend it at any time. If they
cannot any more, the recovery keys spend it, but only once it has lain still for
the number of blocks that the policy says. Every settlement that moves a coin
starts its clock anew, and settlements move coins long before the clock runs out.

  status    how old each coin is, and whether one is too old
  recover   sweep the coins with the recovery keys`,
	}
	cmd.AddCommand(newVaultStatusCommand(), newVaultRecoverCommand())
	return cmd
}

// vaultOptions say which vault, and which node to ask.
type vaultOptions struct {
	Bank  string
	Data  string
	Range uint32
	Node  bitcoind.Config
}

func (o *vaultOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.Bank, "bank", envOr("DAOBANK_BANK_FILE", ""), "the bank's public file, bank.json (env DAOBANK_BANK_FILE)")
	f.StringVar(&o.Data, "data", envOr("DAOBANK_DATA", ""), "data directory of the bank, when it is here: its public file is read, nothing else (env DAOBANK_DATA)")
	f.Uint32Var(&o.Range, "range", 10_000, "look for coins of accounts and settlements up to this number")
	registerNode(f, &o.Node)
}

func registerNode(f *pflag.FlagSet, node *bitcoind.Config) {
	f.StringVar(&node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of your Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	f.StringVar(&node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	f.StringVar(&node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
}

// open reads the vault's policies, one for each key that it has had, and connects
// to the node.
func (o *vaultOptions) open(ctx context.Context) ([]*taproot.Vault, *bitcoind.Client, error) {
	if o.Bank == "" && o.Data != "" {
		o.Bank = filepath.Join(o.Data, bankFileName)
	}
	if o.Bank == "" {
		return nil, nil, fmt.Errorf("say which bank: --bank bank.json, its public file, or --data DIR for a bank on this machine")
	}
	file, err := readBankFile(o.Bank)
	if err != nil {
		return nil, nil, err
	}
	var vaults []*taproot.Vault
	for _, policy := range file.policies() {
		vault, err := taproot.NewVault(policy)
		if err != nil {
			return nil, nil, err
		}
		vaults = append(vaults, vault)
	}
	node, err := dialNode(ctx, o.Node)
	if err != nil {
		return nil, nil, err
	}
	if node.Network().Net != vaults[0].Params().Net {
		return nil, nil, fmt.Errorf("the node is on %s, the bank's vault on %s", node.Network().Name, file.Policy.Network)
	}
	return vaults, node, nil
}

func dialNode(ctx context.Context, config bitcoind.Config) (*bitcoind.Client, error) {
	if config.URL == "" {
		return nil, fmt.Errorf("say where your Bitcoin node answers: --bitcoind http://127.0.0.1:8332")
	}
	node, err := bitcoind.Dial(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	return node, nil
}

// vaultCoins are the vault's confirmed coins at a height.
type vaultCoins struct {
	Tip     uint32
	Coins   []taproot.Coin
	Highest uint32 // number of an account or settlement that has a coin
}

// findCoins scans the node's unspent outputs for those of the vault.
func findCoins(ctx context.Context, vault *taproot.Vault, node *bitcoind.Client, rangeEnd uint32) (vaultCoins, error) {
	type place struct {
		branch taproot.Branch
		index  uint32
	}
	places := make(map[string]place, 2*rangeEnd+2)
	for _, branch := range []taproot.Branch{taproot.Deposit, taproot.Change} {
		scripts, err := vault.Scripts(branch, 0, rangeEnd+1)
		if err != nil {
			return vaultCoins{}, err
		}
		for i, script := range scripts {
			places[string(script)] = place{branch, uint32(i)}
		}
	}
	descriptors := vault.Descriptors()
	scan, err := node.ScanDescriptor(ctx, descriptors[:], int(rangeEnd))
	if err != nil {
		return vaultCoins{}, fmt.Errorf("scan for the vault's coins: %w", err)
	}
	found := vaultCoins{Tip: uint32(scan.Height)}
	for _, coin := range scan.Coins {
		at, known := places[string(coin.Script)]
		if !known {
			return vaultCoins{}, fmt.Errorf("the node derives another script than this program for %v: %x", coin.OutPoint, coin.Script)
		}
		found.Highest = max(found.Highest, at.index)
		found.Coins = append(found.Coins, taproot.Coin{TxID: coin.OutPoint.Hash, Vout: coin.OutPoint.Index,
			Branch: at.branch, Index: at.index, Amount: int64(coin.Amount), Height: uint32(coin.Height)})
	}
	return found, nil
}

// rangeHint says when coins may lie past the end of the scan.
func (c *vaultCoins) rangeHint(rangeEnd uint32) string {
	if uint64(c.Highest)*10 < uint64(rangeEnd)*9 {
		return ""
	}
	return fmt.Sprintf("A coin belongs to number %d, near the end of the scan at %d: look further with --range %d.",
		c.Highest, rangeEnd, uint64(rangeEnd)*10)
}
