package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/daobank/daobank/bitcoind"
)

// keeperReport is the descriptor on which a keeper says one JSON object to the
// command that started it: that the node is ready, or why not.
const keeperReport = 3

type keeperWord struct {
	Error string `json:"error,omitempty"`
	Taken bool   `json:"taken,omitempty"` // by another keeper
}

// keepCommand is the process behind "up": it holds the node, whose guard ends it
// with this process, and the miner's coins.
func (r *regtest) keepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keep", Short: "Hold the node for the other commands", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			syscall.CloseOnExec(keeperReport) // else the node would hold it open
			report := os.NewFile(keeperReport, "report")
			ready := func() error { return errors.Join(json.NewEncoder(report).Encode(keeperWord{}), report.Close()) }
			err := r.keep(cmd.Context(), cmd.InOrStdin(), ready)
			if err != nil {
				_ = json.NewEncoder(report).Encode(keeperWord{Error: err.Error(), Taken: errors.Is(err, errRegtestTaken)}) // in vain once it was ready
			}
			return err
		},
	}
}

// keep starts the node that input describes, calls ready and serves it until the
// context ends.
func (r *regtest) keep(ctx context.Context, input io.Reader, ready func() error) (err error) {
	var options regtestOptions
	if err := json.NewDecoder(input).Decode(&options); err != nil {
		return fmt.Errorf("options of the node: %w", err)
	}
	lock, err := r.hold()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.Truncate(filepath.Join(r.dir, regtestLog), 0); err != nil {
		return err
	}
	node, err := bitcoind.Open(ctx, append(options.open(), bitcoind.WithLogf(log.Printf))...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close(), r.clear()) }()
	if err := os.Chdir(r.dir); err != nil { // no longer in the way of whoever called
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: keeperHandler(node), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	defer server.Close()
	state := &regtestState{Options: options, Info: node.Info(), Config: node.Config(), Log: node.Log(), Keeper: "http://" + listener.Addr().String()}
	if err := errors.Join(r.save(state), ready()); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// keeperHandler serves the commands that need the miner. Whoever knows the node's
// password may call them, and nobody else.
func keeperHandler(node *bitcoind.Node) http.Handler {
	verbs := http.NewServeMux()
	verbs.Handle("POST /mine", keeperVerb(node, mineRegtest))
	verbs.Handle("POST /reorg", keeperVerb(node, reorgRegtest))
	verbs.Handle("POST /faucet", keeperVerb(node, faucetRegtest))
	verbs.Handle("POST /fill-mempool", keeperVerb(node, fillRegtest))
	config := node.Config()
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, password, _ := q.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(password), []byte(config.Password)) != 1 {
			http.Error(w, "wrong password", http.StatusUnauthorized)
			return
		}
		verbs.ServeHTTP(w, q)
	})
}

// keeperVerb answers with the result of do, or with status 422 and the text of
// its error. A command that is interrupted takes its request with it.
func keeperVerb[Q, A any](node *bitcoind.Node, do func(context.Context, *bitcoind.Node, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		var ask Q
		if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, 32<<20)).Decode(&ask); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := do(q.Context(), node, ask)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // fails when the caller is gone
	}
}

// ask has the keeper carry out a verb.
func (r *regtest) ask(ctx context.Context, verb string, question, answer any) error {
	state, err := r.state(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, state.Keeper+"/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.SetBasicAuth(state.Config.User, state.Config.Password)
	reply, err := (&http.Client{Transport: &http.Transport{}}).Do(q) // no proxy of the environment
	if err != nil {
		return fmt.Errorf("%s: no answer, so it may have been carried out or not: %w", verb, err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(reply.Body, 64<<10))
		return errors.New(string(bytes.TrimSpace(text)))
	}
	return json.NewDecoder(reply.Body).Decode(answer)
}
