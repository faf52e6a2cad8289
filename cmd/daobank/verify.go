package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/taproot"
)

// Exit statuses of verify: 0 when every file proves what it says.
const (
	statusInvalid = 1 // a file proves nothing
	statusNeeded  = 2 // a file cannot be judged: more has to be given, or it cannot be read
)

// verifyOptions are what a proof is verified against.
type verifyOptions struct {
	Bank    string // path of the public file
	BankID  string
	Headers string // path
	Block   string
	Node    bitcoind.Config // no URL for none
	JSON    bool
}

func newVerifyCommand() *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Verify proofs offline, against block headers and the bank's public file",
		Long: `verify checks proofs about a bank and asks nobody but, if you say so, your own node. It
says in words what each file proves, whom it accuses, and what must not be read into it.

You bring what you know without the file:

  --bank      the bank's public file, bank.json. Get it once and keep it; "member
              open" writes one beside your key. Or --bank-id, the bank's id, which is
              enough for receipts, equivocations and double orders.
  --headers   the chain's block headers from the bank's birth on, one a line in hex:
              "daobank prove headers" writes them from your node, and so does a loop
              around "bitcoin-cli getblockheader HASH false". Or --block, the hash of
              the block that the proof names, once you have looked it up yourself.
  --bitcoind  your own Bitcoin node, for proofs of reserves: whether their coins were
              unspent is not in headers. It needs the blocks since the proof's.

Nothing in a file is believed because it stands there, not even whose it is.

Exit status: 0 every file proves what it says; 1 a file proves nothing, the reason is
named; 2 a file cannot be judged: it is none, or you have to bring more. Of several
files the worst decides, and 1 is the worst.`,
		Example: `  daobank verify --bank bank.json receipt.json
  daobank verify --bank bank.json --headers headers.txt balance.json payment.json
  daobank verify --bank bank.json --bitcoind http://127.0.0.1:8332 reserves.json
  daobank verify --bank-id 5f0c… --json receipt.json | jq .proves`,
		Args: func(cmd *cobra.Command, args []string) error {
			return withStatus(statusNeeded, cobra.MinimumNArgs(1)(cmd, args))
		},
		RunE: func(cmd *cobra.Command, files []string) error {
			trust, err := o.trust()
			if err != nil {
				return withStatus(statusNeeded, err)
			}
			return o.verify(cmd.Context(), cmd.OutOrStdout(), files, trust)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return withStatus(statusNeeded, err) })
	f := cmd.Flags()
	f.StringVar(&o.Bank, "bank", envOr("DAOBANK_BANK_FILE", ""), "the bank's public file, bank.json (env DAOBANK_BANK_FILE)")
	f.StringVar(&o.BankID, "bank-id", "", "the bank's id, 64 hex digits; beside --bank, both must agree")
	f.StringVar(&o.Headers, "headers", envOr("DAOBANK_HEADERS", ""), "file of block headers (env DAOBANK_HEADERS)")
	f.StringVar(&o.Block, "block", "", "hash of a block that you have looked up, instead of --headers")
	registerNode(f, &o.Node)
	f.BoolVar(&o.JSON, "json", false, "print one JSON object for each file")
	return cmd
}

// withStatus gives an error an exit status.
func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{status: status, message: err.Error()}
}

// trust reads what the verifier brings.
func (o *verifyOptions) trust() (*proof.Trust, error) {
	t := &proof.Trust{}
	if o.Bank == "" && o.BankID == "" {
		return nil, errors.New("say which bank you mean: --bank bank.json, its public file, or --bank-id")
	}
	if o.Headers != "" && o.Block != "" {
		return nil, errors.New("give --headers or --block, not both")
	}
	var charter *ledger.Charter
	if o.Bank != "" {
		file, err := readBankFile(o.Bank)
		if err != nil {
			return nil, err
		}
		if t.Vaults, err = file.vaults(); err != nil {
			return nil, err
		}
		charter, t.Bank = &file.Charter, file.Charter.ID()
	}
	if o.BankID != "" {
		var id ledger.BankID
		if err := id.UnmarshalText([]byte(o.BankID)); err != nil {
			return nil, fmt.Errorf("--bank-id: %w", err)
		}
		if charter != nil && id != t.Bank {
			return nil, fmt.Errorf("%s is of the bank %s, not of %s", o.Bank, t.Bank, id)
		}
		t.Bank = id
	}
	var err error
	switch {
	case o.Block != "":
		hash, err := chainhash.NewHashFromStr(o.Block)
		if err != nil {
			return nil, fmt.Errorf("--block: %w", err)
		}
		t.Chain = proof.KnownBlock(*hash)
	case o.Headers != "" && charter == nil:
		return nil, errors.New("headers begin at the bank's birth, which its public file tells: give --bank")
	case o.Headers != "":
		t.Chain, err = readHeaders(o.Headers, charter)
	}
	return t, err
}

func readHeaders(path string, charter *ledger.Charter) (*proof.Chain, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	chain, err := proof.ReadHeaders(f, charter)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return chain, nil
}

// vaults are the bank's, by generation of the key.
func (f *bankFile) vaults() ([]*taproot.Vault, error) {
	var list []*taproot.Vault
	for _, policy := range f.policies() {
		vault, err := taproot.NewVault(policy)
		if err != nil {
			return nil, err
		}
		list = append(list, vault)
	}
	return list, nil
}

// verified is what verify says of a file.
type verified struct {
	File string `json:"file"`
	OK   bool   `json:"ok"`
	*proof.Finding
	Error string `json:"error,omitempty"`
}

// verify checks files one by one. Each has its answer on out.
func (o *verifyOptions) verify(ctx context.Context, out io.Writer, files []string, trust *proof.Trust) error {
	worst := 0
	for _, file := range files {
		v := verified{File: file}
		found, err := o.verifyFile(ctx, file, *trust)
		v.Finding, v.OK = found, err == nil
		if err != nil {
			v.Error = err.Error()
		}
		var invalid *proof.InvalidError
		switch {
		case errors.As(err, &invalid):
			worst = statusInvalid
		case err != nil && worst == 0:
			worst = statusNeeded
		}
		if o.JSON {
			if err := json.NewEncoder(out).Encode(v); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(out, v.text())
	}
	if worst != 0 {
		return &exitError{status: worst}
	}
	return nil
}

// verifyFile checks one file.
func (o *verifyOptions) verifyFile(ctx context.Context, path string, trust proof.Trust) (*proof.Finding, error) {
	p, err := readProof(path)
	if err != nil {
		return nil, err
	}
	found, err := p.Verify(trust)
	reserves, ok := p.Body.(*proof.Reserves)
	if err != nil || !ok || o.Node.URL == "" {
		return found, err
	}
	// The signatures hold: only now the node is asked about the coins.
	node, err := bitcoind.Dial(ctx, o.Node)
	if err != nil {
		return nil, fmt.Errorf("bitcoin node: %w", err)
	}
	if trust.Unspent, err = unspentAt(ctx, node, reserves); err != nil {
		return nil, err
	}
	return p.Verify(trust)
}

// readProof reads a proof's file. It verifies nothing.
func readProof(path string) (*proof.Proof, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, proof.MaxSize+1))
	if err != nil {
		return nil, err
	}
	p, err := proof.Decode(bytes.TrimRight(text, "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// text is what people read. Everything in it that comes from the file is made
// harmless for a terminal.
func (v *verified) text() string {
	var b strings.Builder
	if !v.OK {
		fmt.Fprintf(&b, "%s: NOT PROVED\n  %s", v.File, printable(v.Error))
		return b.String()
	}
	fmt.Fprintf(&b, "%s: HOLDS (%s, bank %q)\n  proves: %s", v.File, v.Kind, v.BankName, printable(v.Proves))
	if v.Against != "" {
		fmt.Fprintf(&b, "\n  against: %s", printable(v.Against))
	}
	for _, a := range v.Anchors {
		fmt.Fprintf(&b, "\n  on chain: transaction %s in block %s", a.TxID, a.Block)
		if a.Height > 0 {
			fmt.Fprintf(&b, ", height %d, %d deep in the headers given", a.Height, a.Confirmations)
		}
	}
	for _, not := range v.NotProved {
		fmt.Fprintf(&b, "\n  does not prove: %s", printable(not))
	}
	return b.String()
}
