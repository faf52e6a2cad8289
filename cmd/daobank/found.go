package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// founding is what a new bank is made with.
type founding struct {
	Data              string
	Name              string
	Depth             uint32
	Threshold         int
	Guardians         []string // files of their public keys
	RecoveryThreshold int      // 0 means Threshold
	RecoveryDelay     uint16
	Node              bitcoind.Config
}

const (
	withdrawalMin = 1_000  // satoshis
	recoveryDelay = 52_560 // blocks: a year
)

func newFoundCommand() *cobra.Command {
	f := founding{Depth: 3, Threshold: 3, RecoveryDelay: recoveryDelay}
	var ifMissing bool
	var out string
	cmd := &cobra.Command{
		Use:   "found",
		Short: "Write the founding document of a new bank",
		Long: `found makes the operator's keys in the data directory and writes founding.json: who
the guardians are, how many must sign, on which chain and from which block on.

Every guardian reads it, compares its hash with the others, and agrees to it with
"guardian keygen". The first "serve" on the data directory then runs the key
generation with them; the bank opens when all of them have their share safe.`,
		Example: `  daobank found --data ~/bank --name "our bank" --threshold 3 \
    --guardian ann.json --guardian bob.json --guardian eve.json --guardian joe.json --guardian kim.json \
    --bitcoind http://127.0.0.1:18443 --bitcoind-user u --bitcoind-password p`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := filepath.Join(f.Data, foundingFileName)
			doc, err := found(cmd.Context(), &f)
			if ifMissing && errors.Is(err, errFounded) {
				doc, err = parseFounding(path)
			}
			if err != nil {
				return err
			}
			if out != "" {
				if err := copyPublic(path, out); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\nfounding document, hash %s\n", path, doc.Hash())
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Data, "data", envOr("DAOBANK_DATA", ""), "directory of the bank's keys and settings (env DAOBANK_DATA)")
	flags.StringVar(&f.Name, "name", "", "name of the bank, for people")
	flags.Uint32Var(&f.Depth, "depth", f.Depth, "confirmations at which the bank believes the chain")
	flags.IntVar(&f.Threshold, "threshold", f.Threshold, "guardians that must sign")
	flags.StringArrayVar(&f.Guardians, "guardian", nil, "public.json of a guardian, as \"guardian init\" wrote it; once for each, in order")
	flags.IntVar(&f.RecoveryThreshold, "recovery-threshold", 0, "recovery keys that spend the vault when its coins have not moved for the delay; 0 means as many as guardians sign")
	flags.Uint16Var(&f.RecoveryDelay, "recovery-delay", f.RecoveryDelay, "blocks until the recovery keys can spend a coin")
	flags.StringVar(&f.Node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of the Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	flags.StringVar(&f.Node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	flags.StringVar(&f.Node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
	flags.BoolVar(&ifMissing, "if-missing", false, "leave a founding document that is there as it is and succeed: for machines that set themselves up")
	flags.StringVar(&out, "out", "", "write a copy of the founding document, for the guardians, to this file")
	return cmd
}

// errFounded says that the data directory holds a bank, which stays as it is.
var errFounded = errors.New("there is a bank already")

// found writes the founding document and the operator's keys into the data
// directory, in one rename. Error: errFounded.
func found(ctx context.Context, f *founding) (*guardian.Founding, error) {
	switch {
	case f.Data == "":
		return nil, errors.New("say where the bank's keys and settings shall live: --data DIR")
	case f.Node.URL == "":
		return nil, errors.New("say where the Bitcoin node answers: --bitcoind http://127.0.0.1:18443")
	}
	dir := filepath.Dir(filepath.Join(f.Data, foundingFileName))
	switch _, err := os.Stat(dir); {
	case err == nil:
		return nil, fmt.Errorf("%w in %s: it is left as it is", errFounded, f.Data)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	node, err := bitcoind.Dial(ctx, f.Node)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	tip, err := node.Tip(ctx)
	if err != nil {
		return nil, err
	}
	doc, err := f.document(node, tip)
	if err != nil {
		return nil, err
	}
	operator, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	defer operator.Zero()
	coordinator, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	defer coordinator.Zero()
	doc.Operator = ledger.KeyOf(operator)
	doc.Coordinator = chilldkg.HostPublicKey(coordinator.PubKey().SerializeCompressed())
	if err := doc.Validate(); err != nil {
		return nil, err
	}
	return doc, writeFounding(dir, doc, operator, coordinator)
}

// document gathers all but the operator's keys.
func (f *founding) document(node *bitcoind.Client, tip bitcoind.Block) (*guardian.Founding, error) {
	network, err := networkName(node)
	if err != nil {
		return nil, err
	}
	if network == "mainnet" {
		return nil, errors.New("this version is not for real money yet: point --bitcoind at a regtest, signet or testnet node")
	}
	doc := &guardian.Founding{Name: f.Name, Network: network, BirthHeight: uint32(tip.Height), BirthHash: ledger.Hash(tip.Hash),
		Depth: f.Depth, WithdrawalMin: withdrawalMin, Threshold: f.Threshold,
		Recovery: taproot.Recovery{Threshold: f.RecoveryThreshold, Delay: f.RecoveryDelay}}
	if doc.Recovery.Threshold == 0 {
		doc.Recovery.Threshold = f.Threshold
	}
	return doc, addGuardians(doc, f.Guardians)
}

// parseFounding reads a founding document.
func parseFounding(path string) (*guardian.Founding, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return guardian.ParseFounding(raw)
}

// networkName is the name that taproot.Policy has for the node's chain.
func networkName(node *bitcoind.Client) (string, error) {
	for _, name := range []string{"mainnet", "testnet", "signet", "regtest"} {
		if params, err := taproot.NetworkParams(name); err == nil && *params.GenesisHash == *node.Network().GenesisHash {
			return name, nil
		}
	}
	return "", fmt.Errorf("the node follows a chain that is not known here (%s)", node.Network().Name)
}

func writeFounding(path string, doc *guardian.Founding, operator, coordinator *btcec.PrivateKey) error {
	// Open to others, as serve makes it: PostgreSQL may run as another user. The folder in it is closed.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".founding-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	raw, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	err = errors.Join(
		writeSecret(filepath.Join(dir, "operator.key"), operator.Serialize()),
		writeSecret(filepath.Join(dir, "coordinator.key"), coordinator.Serialize()),
		keyfile.WriteNew(filepath.Join(dir, filepath.Base(foundingFileName)), append(raw, '\n'), 0o644))
	if err != nil {
		return err
	}
	if err := os.Rename(dir, path); err != nil {
		return err
	}
	return keyfile.SyncDir(filepath.Dir(path))
}
