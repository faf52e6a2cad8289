package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
)

// A prover collects what a proof consists of from the bank's API and a node.
type prover struct {
	Bank string // path of the public file
	API  string
	Node bitcoind.Config
	Out  string

	file   bankFile
	client *api.Client
	node   *bitcoind.Client
}

func newProveCommand() *cobra.Command {
	p := &prover{}
	cmd := &cobra.Command{
		Use:   "prove",
		Short: "Write a proof that anybody can verify offline",
		Long: `prove writes one small file that "daobank verify" checks without the bank.

It asks the bank's API for its part (paths in its trees, never a word that has to be
believed) and your Bitcoin node for blocks, puts both together, and verifies the
result before it writes it. The receipts of your own payments are proofs already:
"daobank member" keeps them beside your key.

The bank keeps the balances of its last 8 cuts: ask in time, about once an hour.`,
		Example: `  export DAOBANK_BANK_FILE=bank.json DAOBANK_BANK=https://bank.example DAOBANK_BITCOIND=http://127.0.0.1:8332
  daobank prove balance dao1… --out balance.json
  daobank prove payment receipt.json --out payment.json
  daobank prove headers --out headers.txt
  daobank verify --bank bank.json --headers headers.txt balance.json payment.json`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&p.Bank, "bank", envOr("DAOBANK_BANK_FILE", ""), "the bank's public file, bank.json (env DAOBANK_BANK_FILE)")
	f.StringVar(&p.API, "api", envOr("DAOBANK_BANK", "http://127.0.0.1:7070"), "URL of the bank's API (env DAOBANK_BANK)")
	f.StringVar(&p.Node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of your Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	f.StringVar(&p.Node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	f.StringVar(&p.Node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
	f.StringVar(&p.Out, "out", "", "the file to write; it must not exist")
	cmd.AddCommand(p.balanceCommand(), p.paymentCommand(), p.coinsCommand(), p.consistencyCommand(), p.omissionCommand(),
		p.spendCommand(), p.equivocationCommand(), p.doubleOrderCommand(), p.headersCommand())
	return cmd
}

// command is a command that makes a proof's body and writes it.
func (p *prover) command(use, short, long string, args cobra.PositionalArgs, body func(ctx context.Context, args []string) (proof.Body, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.open(); err != nil {
				return err
			}
			b, err := body(cmd.Context(), args)
			if err != nil {
				return err
			}
			return p.write(cmd, b)
		},
	}
}

// open reads the bank's public file.
func (p *prover) open() (err error) {
	if p.Bank == "" {
		return errors.New("say which bank: --bank bank.json, its public file")
	}
	if p.Out == "" {
		return errors.New("say where to write the proof: --out FILE")
	}
	p.file, err = readBankFile(p.Bank)
	return err
}

// connect dials the bank, which must be the one of the public file, and the node.
func (p *prover) connect(ctx context.Context) (err error) {
	if err := p.dialNode(ctx); err != nil {
		return err
	}
	p.client = api.Dial(p.API).Pin(p.file.Charter.ID())
	_, err = p.client.Bank(ctx)
	return err
}

func (p *prover) dialNode(ctx context.Context) (err error) {
	if p.Node.URL == "" {
		return errors.New("say where your Bitcoin node answers: --bitcoind http://127.0.0.1:8332")
	}
	if p.node, err = bitcoind.Dial(ctx, p.Node); err != nil {
		return fmt.Errorf("bitcoin node: %w", err)
	}
	return nil
}

// write verifies a proof and writes it.
func (p *prover) write(cmd *cobra.Command, body proof.Body) error {
	made := &proof.Proof{Charter: p.file.Charter, Body: body}
	trust := proof.Trust{Bank: p.file.Charter.ID()}
	var err error
	if trust.Vaults, err = p.file.vaults(); err != nil {
		return err
	}
	if p.node != nil {
		lines, err := p.headers(cmd.Context())
		if err != nil {
			return err
		}
		if trust.Chain, err = proof.ReadHeaders(strings.NewReader(lines), &p.file.Charter); err != nil {
			return err
		}
	}
	found, err := made.Verify(trust)
	if err != nil {
		return fmt.Errorf("nothing is written: %w", err)
	}
	text, err := made.Encode()
	if err != nil {
		return err
	}
	if err := keyfile.WriteNew(p.Out, text, 0o644); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), (&verified{File: p.Out, OK: true, Finding: found}).text())
	return nil
}

func (p *prover) balanceCommand() *cobra.Command {
	var settlement uint32
	cmd := p.command("balance ACCOUNT", "Prove that a balance is part of an anchored total",
		`balance proves what an account was owed at a cut, and that it is counted in the total
that the settlement of that cut anchors. The newest anchored cut is taken, or the one
of --settlement. The account is written dao1… or as a number.`, cobra.ExactArgs(1),
		func(ctx context.Context, args []string) (proof.Body, error) {
			id, err := p.parseAccount(args[0])
			if err != nil {
				return nil, err
			}
			at, err := p.anchored(ctx, settlement)
			if err != nil {
				return nil, err
			}
			sum, err := p.client.BalanceProof(ctx, id, at.books.Batch)
			if err != nil {
				return nil, err
			}
			return &proof.Balance{Account: id, Owed: sum.Owed, Path: sum.Path, Anchor: *at.anchor}, nil
		})
	cmd.Flags().Uint32Var(&settlement, "settlement", 0, "number of the settlement; 0 is the newest that is anchored")
	return cmd
}

func (p *prover) parseAccount(text string) (ledger.AccountID, error) {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return ledger.AccountID(n), nil
	}
	return ledger.ParseAccount(p.file.Charter.ID(), text)
}

func (p *prover) paymentCommand() *cobra.Command {
	return p.command("payment RECEIPT", "Prove that an accepted order is in an anchored journal",
		`payment takes a receipt and shows that its batch is in the journal that the newest
settlement anchors. When the journal there has another batch in its place, use
"prove omission".`, cobra.ExactArgs(1),
		func(ctx context.Context, args []string) (proof.Body, error) {
			receipt, at, err := p.receiptAnchored(ctx, args[0])
			if err != nil {
				return nil, err
			}
			_, path, err := p.client.JournalProof(ctx, receipt.Receipt.Header.Number, at.books.Batch)
			if err != nil {
				return nil, err
			}
			return &proof.Payment{Receipt: *receipt, Path: path, Anchor: *at.anchor}, nil
		})
}

func (p *prover) omissionCommand() *cobra.Command {
	return p.command("omission RECEIPT", "Prove that an anchored journal lacks an order that was accepted",
		`omission takes a receipt and shows that the journal which the newest settlement
anchors has another batch in the place of the receipt's: the operator has signed both.`, cobra.ExactArgs(1),
		func(ctx context.Context, args []string) (proof.Body, error) {
			receipt, at, err := p.receiptAnchored(ctx, args[0])
			if err != nil {
				return nil, err
			}
			stands, path, err := p.client.JournalProof(ctx, receipt.Receipt.Header.Number, at.books.Batch)
			if err != nil {
				return nil, err
			}
			return &proof.Omission{Receipt: *receipt, Stands: stands, Path: path, Anchor: *at.anchor}, nil
		})
}

// receiptAnchored reads a receipt and finds the newest anchor, which must come after it.
func (p *prover) receiptAnchored(ctx context.Context, file string) (*proof.Receipt, *anchoredCut, error) {
	made, err := readProof(file)
	if err != nil {
		return nil, nil, err
	}
	receipt, ok := made.Body.(*proof.Receipt)
	if !ok {
		return nil, nil, fmt.Errorf("%s is a %s, not a receipt", file, made.Body.Kind())
	}
	at, err := p.anchored(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	if number := receipt.Receipt.Header.Number; number > at.books.Batch {
		return nil, nil, fmt.Errorf("the receipt is of batch %d, and the chain anchors the journal up to batch %d: wait for the next settlement", number, at.books.Batch)
	}
	return receipt, at, nil
}

func (p *prover) consistencyCommand() *cobra.Command {
	var from, to uint32
	cmd := p.command("consistency", "Prove that one anchored journal is the beginning of another",
		`consistency shows that between two settlements the journal was only added to. Both must
be among the cuts that the bank keeps.`, cobra.NoArgs,
		func(ctx context.Context, _ []string) (proof.Body, error) {
			if from == 0 {
				return nil, errors.New("say from which settlement on: --from NUMBER")
			}
			first, err := p.anchored(ctx, from)
			if err != nil {
				return nil, err
			}
			second, err := p.anchored(ctx, to)
			if err != nil {
				return nil, err
			}
			path, err := p.client.ConsistencyProof(ctx, first.books.Batch, second.books.Batch)
			if err != nil {
				return nil, err
			}
			return &proof.Consistency{Path: path, From: *first.anchor, To: *second.anchor}, nil
		})
	cmd.Flags().Uint32Var(&from, "from", 0, "number of the earlier settlement")
	cmd.Flags().Uint32Var(&to, "to", 0, "number of the later settlement; 0 is the newest that is anchored")
	return cmd
}

func (p *prover) coinsCommand() *cobra.Command {
	var settlement uint32
	cmd := p.command("coins", "Prove that an anchored total was at most the vault's coins",
		`coins shows, coin by coin, that as much had been paid to the vault as the bank owed at
a cut. It replays the journal up to there, which takes a while for a large bank.

Coins that the settlement spends were unspent until its block. Of the others headers
can only show that they were made; the file says how much that is.`, cobra.NoArgs,
		func(ctx context.Context, _ []string) (proof.Body, error) {
			at, err := p.anchored(ctx, settlement)
			if err != nil {
				return nil, err
			}
			return p.coins(ctx, at)
		})
	cmd.Flags().Uint32Var(&settlement, "settlement", 0, "number of the settlement; 0 is the newest that is anchored")
	return cmd
}

func (p *prover) spendCommand() *cobra.Command {
	var height uint32
	cmd := p.command("spend TXID", "Prove that the vault's key signed what is no settlement",
		`spend takes a transaction of a block that spends coins of the vault and is none of the
bank's settlements. When it carries the anchor of one, the journal must have posted
that settlement as another transaction.`, cobra.ExactArgs(1),
		func(ctx context.Context, args []string) (proof.Body, error) {
			txid, err := chainhash.NewHashFromStr(args[0])
			if err != nil {
				return nil, fmt.Errorf("the transaction's id: %w", err)
			}
			if height == 0 {
				return nil, errors.New("say which block holds the transaction: --height NUMBER")
			}
			if err := p.connect(ctx); err != nil {
				return nil, err
			}
			return p.straySpend(ctx, *txid, height)
		})
	cmd.Flags().Uint32Var(&height, "height", 0, "height of the block that holds the transaction")
	return cmd
}

func (p *prover) equivocationCommand() *cobra.Command {
	return p.command("equivocation FILE FILE", "Prove that the operator signed two headers of one number",
		`equivocation takes two files, each a receipt or a signed header in hex, and needs
neither the bank nor a node.`, cobra.ExactArgs(2),
		func(_ context.Context, args []string) (proof.Body, error) {
			var both [2]ledger.SignedHeader
			for i, file := range args {
				var err error
				if both[i], err = readSignedHeader(file); err != nil {
					return nil, err
				}
			}
			return proof.NewEquivocation(&both[0], &both[1]), nil
		})
}

func (p *prover) doubleOrderCommand() *cobra.Command {
	var key string
	cmd := p.command("double-order FILE FILE", "Prove that a member signed two orders of one number",
		`double-order takes two files, each a receipt or a signed order in hex, and needs
neither the bank nor a node. --key is the key of the account.`, cobra.ExactArgs(2),
		func(_ context.Context, args []string) (proof.Body, error) {
			made := &proof.DoubleOrder{}
			if err := made.Key.UnmarshalText([]byte(key)); err != nil {
				return nil, fmt.Errorf("--key: %w", err)
			}
			for i, into := range []*proof.Bytes{&made.A, &made.B} {
				var err error
				if *into, err = readOrderBytes(args[i]); err != nil {
					return nil, err
				}
			}
			return made, nil
		})
	cmd.Flags().StringVar(&key, "key", "", "the account's key, 64 hex digits")
	return cmd
}

// readReceiptOr reads a receipt, or else hex.
func readReceiptOr(file string) (*proof.Receipt, []byte, error) {
	if made, err := readProof(file); err == nil {
		if receipt, ok := made.Body.(*proof.Receipt); ok {
			return receipt, nil, nil
		}
		return nil, nil, fmt.Errorf("%s is a %s, not a receipt", file, made.Body.Kind())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is neither a receipt nor hex: %w", file, err)
	}
	return nil, raw, nil
}

func readSignedHeader(file string) (ledger.SignedHeader, error) {
	receipt, raw, err := readReceiptOr(file)
	switch {
	case err != nil:
		return ledger.SignedHeader{}, err
	case receipt != nil:
		return receipt.Receipt.Header, nil
	}
	return ledger.DecodeSignedHeader(raw)
}

func readOrderBytes(file string) ([]byte, error) {
	receipt, raw, err := readReceiptOr(file)
	if err == nil && receipt != nil {
		raw = receipt.Order
	}
	return raw, err
}

func (p *prover) headersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "headers",
		Short: "Write the chain's block headers from the bank's birth on",
		Long: `headers writes the block headers of your node, one a line in hex, from the block after
the bank's birth up to the tip: what "daobank verify --headers" reads.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.open(); err != nil {
				return err
			}
			if err := p.dialNode(cmd.Context()); err != nil {
				return err
			}
			lines, err := p.headers(cmd.Context())
			if err != nil {
				return err
			}
			return keyfile.Replace(p.Out, []byte(lines), 0o644)
		},
	}
}
