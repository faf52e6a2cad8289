package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
)

type faucetQuestion struct {
	Address   string        `json:"address"`
	AmountSat ledger.Amount `json:"amount_sat"`
	Confirm   int           `json:"confirm"`
}

type faucetAnswer struct {
	TxID      chainhash.Hash `json:"txid"`
	Output    uint32         `json:"output"`
	Address   string         `json:"address"`
	AmountSat ledger.Amount  `json:"amount_sat"`
	Blocks    []regtestBlock `json:"blocks"` // mined on top
}

func (a faucetAnswer) String() string {
	where := "in the mempool"
	if n := len(a.Blocks); n > 0 {
		where = fmt.Sprintf("confirmed by block %d", a.Blocks[0].Height)
	}
	return fmt.Sprintf("%s to %s, %s\n%s:%d", money(a.AmountSat), a.Address, where, a.TxID, a.Output)
}

func (r *regtest) faucetCommand() *cobra.Command {
	var ask faucetQuestion
	cmd := &cobra.Command{
		Use:   "faucet <address> <BTC>",
		Short: "Pay mined coins to an address",
		Example: `  daobank regtest faucet bcrt1q… 0.5
  daobank regtest faucet bcrt1q… 0.5 --confirm 6`,
		Args: cobra.ExactArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ask.Address = args[0]
			if ask.AmountSat, err = ledger.ParseBTC(args[1]); err != nil {
				return err
			}
			if ask.Confirm < 0 {
				return fmt.Errorf("--confirm %d: give a number of blocks, 0 or more", ask.Confirm)
			}
			var answer faucetAnswer
			if err := r.ask(cmd.Context(), "faucet", ask, &answer); err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), answer)
		},
	}
	cmd.Flags().IntVar(&ask.Confirm, "confirm", 0, "mine this many `blocks` afterwards")
	return cmd
}

func faucetRegtest(ctx context.Context, node *bitcoind.Node, ask faucetQuestion) (faucetAnswer, error) {
	coin, err := node.FundAddress(ctx, ask.Address, btcutil.Amount(ask.AmountSat))
	if err != nil {
		return faucetAnswer{}, err
	}
	answer := faucetAnswer{TxID: coin.Hash, Output: coin.Index, Address: ask.Address, AmountSat: ask.AmountSat, Blocks: []regtestBlock{}}
	if ask.Confirm > 0 {
		mined, err := mineRegtest(ctx, node, mineQuestion{Blocks: ask.Confirm})
		if err != nil {
			return answer, fmt.Errorf("%s is paid, but: %w", coin, err)
		}
		answer.Blocks = mined.Blocks
	}
	return answer, nil
}

type fillQuestion struct {
	SatPerKvB int64 `json:"sat_per_kvb"`
}

type fillAnswer struct {
	FloorSatPerKvB int64 `json:"floor_sat_per_kvb"`
	Count          int   `json:"count"`
	UsageBytes     int64 `json:"usage_bytes"`
}

func (a fillAnswer) String() string {
	return fmt.Sprintf("nothing below %s sat/vB enters the mempool now; it holds %d transactions", perVByte(a.FloorSatPerKvB), a.Count)
}

func perVByte(satPerKvB int64) string {
	return strconv.FormatFloat(float64(satPerKvB)/1000, 'f', -1, 64)
}

func (r *regtest) fillCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fill-mempool <sat/vB>",
		Short: "Fill the mempool until nothing below a fee rate enters",
		Long: `fill-mempool sends large transactions until the mempool is full and its floor has
reached the rate, in satoshis per virtual byte. What paid less is evicted on the way.
It mines one block for its coins, which holds nothing else.`,
		Example: "  daobank regtest fill-mempool 20",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			const most = 9000 // bitcoind refuses to relay 0.1 BTC for 1,000 virtual bytes, which is 10,000
			rate, err := strconv.ParseFloat(args[0], 64)
			if err != nil || !(rate > 0 && rate <= most) {
				return fmt.Errorf("%q is not a fee rate: give satoshis per virtual byte, above 0 and up to %d", args[0], most)
			}
			var answer fillAnswer
			if err := r.ask(cmd.Context(), "fill-mempool", fillQuestion{SatPerKvB: int64(math.Round(rate * 1000))}, &answer); err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), answer)
		},
	}
}

func fillRegtest(ctx context.Context, node *bitcoind.Node, ask fillQuestion) (fillAnswer, error) {
	if err := node.Can(ctx, bitcoind.CanLimitMempool); err != nil {
		return fillAnswer{}, err
	}
	if err := node.FillMempool(ctx, ask.SatPerKvB); err != nil {
		if errors.Is(err, bitcoind.ErrUnsupported) {
			err = fmt.Errorf("%w (for this node: daobank regtest up --mempool 5)", err)
		}
		return fillAnswer{}, err
	}
	info, err := node.MempoolInfo(ctx)
	return fillAnswer{FloorSatPerKvB: info.Floor, Count: info.Count, UsageBytes: info.Usage}, err
}

type sendAnswer struct {
	TxIDs []chainhash.Hash `json:"txids"`
}

func (a sendAnswer) String() string {
	var b strings.Builder
	for _, id := range a.TxIDs {
		fmt.Fprintln(&b, id)
	}
	return b.String()
}

func (r *regtest) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "send <hex>...",
		Short: "Give transactions to the node; several are a package, the child last",
		Long: `send gives a signed transaction to the node and prints its id. To send it again is
harmless. Several are submitted as one package, parents before their one child, so that
a child may pay for parents that are too cheap. A dash reads from standard input.`,
		Example: `  daobank regtest send 02000000…
  bitcoin-cli … signrawtransactionwithwallet … | jq -r .hex | daobank regtest send -`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "-" {
				text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 32<<20))
				if err != nil {
					return err
				}
				if args = strings.Fields(string(text)); len(args) == 0 {
					return errors.New("standard input holds no transaction")
				}
			}
			txs := make([]*wire.MsgTx, len(args))
			answer := sendAnswer{TxIDs: make([]chainhash.Hash, len(args))}
			for i, text := range args {
				var err error
				if txs[i], err = parseTx(text); err != nil {
					return err
				}
				answer.TxIDs[i] = txs[i].TxHash()
			}
			if err := r.send(cmd.Context(), txs); err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), answer)
		},
	}
}

func (r *regtest) send(ctx context.Context, txs []*wire.MsgTx) error {
	client, err := r.dial(ctx)
	if err != nil {
		return err
	}
	if len(txs) == 1 {
		return client.Broadcast(ctx, txs[0])
	}
	result, err := client.SubmitPackage(ctx, txs...)
	if err != nil {
		return err
	}
	if result.Accepted {
		return nil
	}
	reasons := []string{result.Message}
	for _, tx := range result.Txs {
		if !tx.Allowed {
			reasons = append(reasons, fmt.Sprintf("%s: %s", tx.TxID, tx.Reason))
		}
	}
	return fmt.Errorf("the package is refused: %s", strings.Join(reasons, "; "))
}

func parseTx(text string) (*wire.MsgTx, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%.32q… is no transaction in hex", text)
	}
	tx, rest := &wire.MsgTx{}, bytes.NewReader(raw)
	if err := tx.Deserialize(rest); err != nil || rest.Len() > 0 {
		return nil, fmt.Errorf("%.32q… is no transaction in hex: it is cut off or goes on after its end", text)
	}
	return tx, nil
}

type txAnswer struct {
	TxID          chainhash.Hash  `json:"txid"`
	Confirmations int64           `json:"confirmations"` // 0 in the mempool
	Block         *chainhash.Hash `json:"block"`         // null in the mempool
	VSize         int64           `json:"vsize"`
	Outputs       []txOutput      `json:"outputs"`
	Hex           string          `json:"hex"`
}

type txOutput struct {
	AmountSat ledger.Amount `json:"amount_sat"`
	Script    string        `json:"script"`            // in hex
	Address   string        `json:"address,omitempty"` // if it has one
}

func (a txAnswer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d vB\n", a.TxID, a.VSize)
	if a.Block == nil {
		fmt.Fprintln(&b, "in the mempool")
	} else {
		fmt.Fprintf(&b, "%d confirmations, in block %s\n", a.Confirmations, a.Block)
	}
	for i, out := range a.Outputs {
		to := out.Address
		if to == "" {
			to = "script " + out.Script
		}
		fmt.Fprintf(&b, "output %d: %s to %s\n", i, money(out.AmountSat), to)
	}
	return b.String()
}

func (r *regtest) txCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tx <txid>",
		Short: "Show a transaction of the mempool or the chain",
		Args:  cobra.ExactArgs(1), ValidArgsFunction: r.completeTxID,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseTxID(args[0])
			if err != nil {
				return err
			}
			answer, err := r.tx(cmd.Context(), id)
			if err != nil {
				return err
			}
			return r.print(cmd.OutOrStdout(), answer)
		},
	}
}

func (r *regtest) tx(ctx context.Context, id chainhash.Hash) (*txAnswer, error) {
	client, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	tx, confirmations, block, err := client.Tx(ctx, id)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	if err := tx.Serialize(&raw); err != nil {
		return nil, err
	}
	answer := &txAnswer{TxID: id, Confirmations: confirmations, Block: block, Hex: hex.EncodeToString(raw.Bytes()),
		VSize: mempool.GetTxVirtualSize(btcutil.NewTx(tx))}
	for _, out := range tx.TxOut {
		shown := txOutput{AmountSat: ledger.Amount(out.Value), Script: hex.EncodeToString(out.PkScript)}
		if _, addresses, _, err := txscript.ExtractPkScriptAddrs(out.PkScript, &chaincfg.RegressionNetParams); err == nil && len(addresses) == 1 {
			shown.Address = addresses[0].EncodeAddress()
		}
		answer.Outputs = append(answer.Outputs, shown)
	}
	return answer, nil
}

// completeTxID offers the shell what the mempool holds.
func (r *regtest) completeTxID(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if cmd.Name() == "tx" && len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := r.dial(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ids, err := client.Mempool(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts, cobra.ShellCompDirectiveNoFileComp
}
