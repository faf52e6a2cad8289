package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/proof"
	"github.com/daobank/daobank/settlement/netting"
)

// operatorSocket is the socket in the bank's folder by which its operator talks to the
// running serve. Only the folder's owner can reach it.
var operatorSocket = filepath.Join(filepath.Dir(bankFileName), "operator.sock")

// reservesPause is how long reserves waits before it asks the guardians again.
const reservesPause = 5 * time.Second

// reservesOptions are what a proof of reserves is asked for with.
type reservesOptions struct {
	Data    string
	Message string
	Out     string
	Tx      string // path of the transactions; empty for none
	Wait    time.Duration
}

func newReservesCommand() *cobra.Command {
	o := &reservesOptions{}
	cmd := &cobra.Command{
		Use:   "reserves",
		Short: "Have the guardians sign a proof of reserves with an auditor's message",
		Long: `reserves asks the guardians, through the running "serve", to sign a message with the keys
of all coins of the vault (BIP-127), and writes a proof that "daobank verify" checks. What
they sign is a transaction that spends every coin, but first an output that does not
exist: it can never be mined, and each guardian makes it itself before it signs.

Each guardian's owner consents first, with "daobank guardian consent" and the same message.
As many as must sign are enough, of every generation whose key still has coins.

The proof is as of the last block of the books, and all coins of the books must be
unspent: while a settlement waits for its confirmations they are not. reserves then asks
again, as long as --wait says.

--tx writes the transactions in hex, one a line, for other programs that know BIP-127.
No node takes them.`,
		Example: `  daobank reserves --data ~/bank --message "Example & Co., audit of 28 November 2026, 5f0c2a" --out reserves.json
  daobank verify --bank bank.json --bitcoind http://127.0.0.1:8332 reserves.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			body, err := o.ask(cmd)
			if err != nil {
				return err
			}
			return o.write(cmd, body)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", envOr("DAOBANK_DATA", ""), "data directory of the running bank (env DAOBANK_DATA)")
	f.StringVar(&o.Message, "message", "", "what the auditor asked to be signed")
	f.StringVar(&o.Out, "out", "", "the proof's file; it must not exist")
	f.StringVar(&o.Tx, "tx", "", "write the signed transactions, in hex, to this new file too")
	f.DurationVar(&o.Wait, "wait", 10*time.Minute, "how long to ask again while guardians refuse; 0 asks once")
	return cmd
}

func (o *reservesOptions) validate() error {
	switch {
	case o.Data == "":
		return errors.New("say where the bank's keys and settings live: --data DIR")
	case o.Message == "":
		return errors.New("say what the auditor asked to be signed: --message TEXT")
	case o.Out == "":
		return errors.New("say where to write the proof: --out FILE")
	}
	return netting.CheckStatement(o.Message)
}

// errNotSigned is the bank's answer while its guardians do not sign.
var errNotSigned = errors.New("the guardians have not signed")

// ask asks the running bank until its guardians sign.
func (o *reservesOptions) ask(cmd *cobra.Command) (*proof.Reserves, error) {
	ctx := cmd.Context()
	end := time.Now().Add(o.Wait)
	told := ""
	for {
		body, err := o.askOnce(ctx)
		if !errors.Is(err, errNotSigned) || !time.Now().Add(reservesPause).Before(end) {
			return body, err
		}
		if text := err.Error(); text != told {
			told = text
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\nAsking again until %s.\n", printable(text), end.Format(time.TimeOnly))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(reservesPause):
		}
	}
}

// askOnce asks the running bank once. Errors: errNotSigned; it cannot be reached.
func (o *reservesOptions) askOnce(ctx context.Context) (*proof.Reserves, error) {
	raw, err := json.Marshal(reservesRequest{Message: o.Message})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(o.Data, operatorSocket)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bank/reserves", bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("no bank runs on %s, or it is not open yet: %w", o.Data, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, proof.MaxSize))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusConflict:
		return nil, fmt.Errorf("%w: %s", errNotSigned, bytes.TrimSpace(text))
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the bank does not ask its guardians: %s", bytes.TrimSpace(text))
	}
	body := &proof.Reserves{}
	return body, json.Unmarshal(text, body)
}

// write verifies the proof and writes it.
func (o *reservesOptions) write(cmd *cobra.Command, body *proof.Reserves) error {
	file, err := readBankFile(filepath.Join(o.Data, bankFileName))
	if err != nil {
		return err
	}
	p := &prover{Out: o.Out, file: file}
	if err := p.write(cmd, body); err != nil || o.Tx == "" {
		return err
	}
	vaults, err := file.vaults()
	if err != nil {
		return err
	}
	txs, _, err := body.Transactions(file.Charter.ID(), vaults)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, tx := range txs {
		if err := tx.Serialize(hex.NewEncoder(&lines)); err != nil {
			return err
		}
		lines.WriteByte('\n')
	}
	return keyfile.WriteNew(o.Tx, lines.Bytes(), 0o644)
}

type reservesRequest struct {
	Message string `json:"message"`
}

// serveOperator answers the operator on a socket in the bank's folder, until ctx ends.
// Without it the bank does all else.
func (b *bank) serveOperator(ctx context.Context, path string) error {
	_ = os.Remove(path) // of a process that was killed
	listener, err := net.Listen("unix", path)
	if err != nil {
		b.log.Warn("no proof of reserves can be asked for", "error", err)
		return nil
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // it may be the next process's by then
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reserves", b.answerReserves)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the operator's socket: %w", err)
	}
	return nil
}

func (b *bank) answerReserves(w http.ResponseWriter, r *http.Request) {
	var in reservesRequest
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&in)
	var body *proof.Reserves
	if err == nil {
		body, err = b.reserves(r.Context(), in.Message)
	}
	var unsigned *netting.UnsignedError
	switch {
	case errors.As(err, &unsigned):
		http.Error(w, err.Error(), http.StatusConflict)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// reserves has the guardians sign a message with the keys of all coins of the books.
func (b *bank) reserves(ctx context.Context, text string) (*proof.Reserves, error) {
	s := netting.Statement{Text: text}
	var coins []ledger.Coin
	var last uint64
	err := b.engine.View(ctx, func(books *ledger.State) {
		s.Bank, s.Generation, last, coins = books.Bank(), books.Generation(), books.Last().Number, books.Coins()
		s.Height, s.Block = books.Block()
	})
	if err != nil {
		return nil, err
	}
	// Out of the View: the addresses of many coins take a while to derive.
	r, err := netting.NewReserves(s, coins, b.vaults.Output)
	if err != nil {
		return nil, err
	}
	parts, err := b.quorum.Reserves(ctx, r, last)
	if err != nil {
		return nil, err
	}
	var signatures []ledger.Signature
	for _, part := range parts {
		for _, sig := range part {
			signatures = append(signatures, ledger.Signature(sig))
		}
	}
	b.log.Info("the guardians signed a proof of reserves", "message", text, "coins", len(coins), "sat", r.Total, "block", s.Height)
	return proof.NewReserves(r, signatures)
}
