package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
)

func newVaultRecoverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Sweep the vault with the recovery keys",
		Long: `recover moves the vault's coins when the guardians cannot, by the recovery leaf
that every coin has carried since it came in. It works once a coin has lain still
for the timelock, and needs as many recovery keys as the policy says. No two keys
ever have to be on one machine:

  1. plan     somebody with a node writes the plan: which coins, where to, what fee
  2. sign     each key holder, offline if they like, reads the plan and signs
  3. finish   somebody collects the signature files and broadcasts

Plan and signature files are public; a signature serves that one transaction
only. Where to send the coins is the one decision: usually a new vault whose
guardians are well, or a wallet that all owners agree on. Agree on the address by
voice or in person, because whoever writes the plan could write another one.`,
		Example: `  daobank vault recover plan --bank bank.json --to bc1p… --out plan.json
  daobank vault recover sign --plan plan.json --to bc1p… --key recovery.age   # each key holder
  daobank vault recover finish --plan plan.json --broadcast recovery-*.sig.json`,
	}
	cmd.AddCommand(newRecoverPlanCommand(), newRecoverSignCommand(), newRecoverFinishCommand())
	return cmd
}

func newRecoverPlanCommand() *cobra.Command {
	o := &vaultOptions{}
	var to, out string
	var feeRate float64
	generation := -1
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Write the plan of a recovery, once the timelock allows it",
		Long: `plan finds the vault's coins with your node and writes the transaction that
sweeps them to one address. It takes the coins whose timelock has run out and
says of the others how many blocks are left; if there is none yet, it refuses.

At most as many coins as one standard transaction carries are taken, the largest
first, and none that is worth less than its fee. Plan again for what is left.

A vault whose guardians have changed has had several keys, each with recovery keys of
its own: plan for each that "vault status" shows coins of, with --generation.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" || out == "" {
				return errors.New("say where the coins go (--to ADDRESS) and where to write the plan (--out plan.json)")
			}
			vaults, node, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			if generation < 0 {
				generation = len(vaults) - 1
			}
			if generation >= len(vaults) {
				return fmt.Errorf("--generation %d: the bank's public file knows the keys 0 to %d", generation, len(vaults)-1)
			}
			vault := vaults[generation]
			rate, err := recoveryFeeRate(cmd, node, feeRate)
			if err != nil {
				return err
			}
			found, err := findCoins(cmd.Context(), vault, node, o.Range)
			if err != nil {
				return err
			}
			plan, err := taproot.PlanRecovery(vault, found.Coins, found.Tip, to, rate)
			if err != nil {
				return err
			}
			return writeRecoveryPlan(cmd, plan, found, o.Range, out)
		},
	}
	f := cmd.Flags()
	o.register(f)
	f.IntVar(&generation, "generation", generation, "key of the vault whose coins are recovered; 0 is the founding's, -1 the newest")
	f.StringVar(&to, "to", "", "address that gets the coins")
	f.StringVar(&out, "out", "", "new file for the plan")
	f.Float64Var(&feeRate, "fee-rate", 0, "satoshis per virtual byte; 0 asks the node for six blocks")
	return cmd
}

// recoveryFeeRate is in satoshis per 1,000 virtual bytes.
func recoveryFeeRate(cmd *cobra.Command, node *bitcoind.Client, satPerVB float64) (int64, error) {
	if satPerVB < 0 || satPerVB > 10_000 {
		return 0, fmt.Errorf("--fee-rate %v: give satoshis per virtual byte, such as 5", satPerVB)
	}
	if satPerVB > 0 {
		return int64(satPerVB * 1000), nil
	}
	rate, err := node.FeeRate(cmd.Context(), 6)
	if errors.Is(err, bitcoind.ErrNoFeeEstimate) {
		return 0, fmt.Errorf("%w: say it with --fee-rate, in satoshis per virtual byte", err)
	}
	return rate, err
}

func writeRecoveryPlan(cmd *cobra.Command, plan *taproot.RecoveryPlan, found vaultCoins, rangeEnd uint32, path string) error {
	if err := writePublicJSON(path, plan); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	taken := make(map[string]bool, len(plan.Coins))
	for _, coin := range plan.Coins {
		taken[coin.OutPoint().String()] = true
	}
	for _, age := range plan.Policy.Recovery.CoinAges(found.Coins, found.Tip) {
		switch {
		case taken[age.OutPoint().String()]:
		case age.Left > 0:
			fmt.Fprintf(out, "Not yet: %v, %s BTC, %d blocks left.\n", age.OutPoint(), ledger.Amount(age.Amount).BTC(), age.Left)
		default:
			fmt.Fprintf(out, "Left out: %v, %s BTC: too small for its fee, or too many coins for one transaction.\n", age.OutPoint(), ledger.Amount(age.Amount).BTC())
		}
	}
	if hint := found.rangeHint(rangeEnd); hint != "" {
		fmt.Fprintln(out, hint)
	}
	spend, err := describeRecovery(cmd, plan)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Wrote %s. Now %d of the %d key holders sign transaction %s:\n  daobank vault recover sign --plan %s --to %s --key KEYFILE\n",
		path, plan.Policy.Recovery.Threshold, len(plan.Policy.Recovery.Keys), spend.TxID(), path, plan.Destination)
	return nil
}

// describeRecovery says what a plan does, from the transaction itself.
func describeRecovery(cmd *cobra.Command, plan *taproot.RecoveryPlan) (*taproot.RecoverySpend, error) {
	spend, err := taproot.NewRecoverySpend(plan)
	if err != nil {
		return nil, err
	}
	vbytes := (spend.Weight() + 3) / 4
	fmt.Fprintf(cmd.OutOrStdout(), "%d coins of %s BTC: %s BTC go to %s, %d sat to the miner (%.1f sat/vB, %d vB).\n",
		len(plan.Coins), ledger.Amount(plan.Total()).BTC(), ledger.Amount(spend.Amount()).BTC(), plan.Destination,
		plan.FeeSat, float64(plan.FeeSat)/float64(vbytes), vbytes)
	return spend, nil
}

func newRecoverSignCommand() *cobra.Command {
	var planPath, to, keyPath, out string
	var feeRateMax float64
	var lockOptions guardianOptions
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign a plan with one recovery key",
		Long: `sign reads a plan, says what it does, and writes a file with one key's
signatures. It needs no node and no network: the plan can come and the signatures
can go by memory card.

Give the address that the owners have agreed on with --to; a plan that pays to
another is not signed. The key file is the recovery.age that "guardian init" made,
opened like it, or holds the 32 bytes in hex; it must be readable by you alone. A
plan that lies about what a coin is or holds gives a signature that no node
accepts.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if planPath == "" || to == "" || keyPath == "" {
				return errors.New("say what to sign: --plan plan.json --to ADDRESS --key KEYFILE")
			}
			plan, err := readRecoveryPlan(planPath)
			if err != nil {
				return err
			}
			if !strings.EqualFold(plan.Destination, to) {
				return fmt.Errorf("not signed: the plan pays to %s, you said %s", plan.Destination, to)
			}
			spend, err := describeRecovery(cmd, plan)
			if err != nil {
				return err
			}
			if limit := taproot.FeeForWeight(spend.Weight(), int64(feeRateMax*1000)); plan.FeeSat > limit {
				return fmt.Errorf("not signed: the fee of %d sat is above %d sat, what --fee-rate-max %v allows", plan.FeeSat, limit, feeRateMax)
			}
			key, err := readRecoveryKey(cmd, keyPath, &lockOptions)
			if err != nil {
				return err
			}
			defer key.Zero()
			signatures, err := spend.Sign(key)
			if err != nil {
				return err
			}
			if out == "" {
				out = fmt.Sprintf("recovery-%s.sig.json", signatures.Key.String()[:8])
			}
			if err := writePublicJSON(out, signatures); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Signed transaction %s with key %s. Give %s to whoever finishes.\n", spend.TxID(), signatures.Key, out)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&planPath, "plan", "", "the plan's file")
	f.StringVar(&to, "to", "", "the address that you have agreed on")
	f.StringVar(&keyPath, "key", "", "file of the recovery key")
	f.StringVar(&lockOptions.PassphraseFile, "passphrase-file", "", "file whose first line is the passphrase of a recovery.age; without it you are asked")
	f.StringVar(&lockOptions.IdentityFile, "identity-file", "", "age identity that opens a recovery.age, instead of a passphrase")
	f.StringVar(&out, "out", "", "new file for the signatures; by default recovery-KEY.sig.json with the key's first digits")
	f.Float64Var(&feeRateMax, "fee-rate-max", 500, "do not sign above this many satoshis per virtual byte")
	return cmd
}

// readRecoveryKey reads a recovery key from a guardian's recovery.age or from hex.
func readRecoveryKey(cmd *cobra.Command, path string, o *guardianOptions) (*btcec.PrivateKey, error) {
	if filepath.Ext(path) != ".age" {
		return readSecret(path)
	}
	l, err := o.open(cmd)
	if err != nil {
		return nil, err
	}
	secret, err := keyfile.Open(path, l)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	if len(secret) != 32 {
		return nil, fmt.Errorf("%s does not hold a recovery key", path)
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	return key, nil
}

func newRecoverFinishCommand() *cobra.Command {
	var planPath string
	var node bitcoind.Config
	broadcast := false
	cmd := &cobra.Command{
		Use:   "finish SIGNATUREFILE…",
		Short: "Join the signatures, and broadcast",
		Long: `finish checks each signature file, joins as many as the policy asks for, runs the
transaction through the script engine and prints it in hex. With --broadcast it
gives it to your node. A file that is wrong is named, and the others are still
good.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if planPath == "" {
				return errors.New("say which plan: --plan plan.json")
			}
			plan, err := readRecoveryPlan(planPath)
			if err != nil {
				return err
			}
			spend, err := taproot.NewRecoverySpend(plan)
			if err != nil {
				return err
			}
			parts, err := readRecoverySignatures(spend, files)
			if err != nil {
				return err
			}
			tx, err := spend.Finish(parts)
			if err != nil {
				return err
			}
			var raw bytes.Buffer
			if err := tx.Serialize(&raw); err != nil {
				return err
			}
			if !broadcast {
				fmt.Fprintln(cmd.OutOrStdout(), hex.EncodeToString(raw.Bytes()))
				return nil
			}
			client, err := dialNode(cmd.Context(), node)
			if err != nil {
				return err
			}
			if err := client.Broadcast(cmd.Context(), tx); err != nil {
				return fmt.Errorf("the node refuses transaction %s: %w", tx.TxHash(), err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Broadcast transaction %s: %s BTC to %s.\n", tx.TxHash(), ledger.Amount(spend.Amount()).BTC(), plan.Destination)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&planPath, "plan", "", "the plan's file")
	f.BoolVar(&broadcast, "broadcast", false, "give the transaction to the node instead of printing it")
	registerNode(f, &node)
	return cmd
}

func readRecoveryPlan(path string) (*taproot.RecoveryPlan, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	plan, err := taproot.ParseRecoveryPlan(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return plan, nil
}

// readRecoverySignatures names the file that is wrong.
func readRecoverySignatures(spend *taproot.RecoverySpend, files []string) ([]taproot.RecoverySignatures, error) {
	var parts []taproot.RecoverySignatures
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var part taproot.RecoverySignatures
		if err := json.Unmarshal(raw, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := spend.Verify(part); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// writePublicJSON writes a new file that everyone may read.
func writePublicJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return keyfile.WriteNew(path, append(raw, '\n'), 0o644)
}
