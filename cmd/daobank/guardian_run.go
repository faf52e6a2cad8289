package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/guardian/keep"
	"github.com/daobank/daobank/guardian/link"
	"github.com/daobank/daobank/guardian/wire"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// guardianRun is a guardian's process.
type guardianRun struct {
	*guardianOptions
	Coordinator string
	Bank        string
	Node        bitcoind.Config
	Limits      guardian.Limits
	KeygenOnly  bool

	keep     *keep.Keep
	founding *guardian.Founding
	host     *chilldkg.HostKey
	log      *slog.Logger
}

func (o *guardianOptions) keygenCommand() *cobra.Command {
	r := &guardianRun{guardianOptions: o, KeygenOnly: true}
	var founding string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Agree to a founding document and make the vault's key with the others",
		Long: `keygen reads the founding document, which you have compared with the other guardians
(its hash is printed; read it out over the telephone), and takes part in the key
generation that the coordinator runs. It ends once your part of the key is safe in
your folder; "guardian run" can be started at once instead and does the same.

Nobody ever holds the key: each guardian ends with a share of its own.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, err := readFounding(founding)
			if err != nil {
				return err
			}
			return r.start(cmd, raw)
		},
	}
	f := cmd.Flags()
	f.StringVar(&founding, "founding", "", "the founding document")
	f.StringVar(&r.Coordinator, "coordinator", envOr("DAOBANK_COORDINATOR", "127.0.0.1:7071"), "where the coordinator waits for guardians (env DAOBANK_COORDINATOR)")
	return cmd
}

func (o *guardianOptions) runCommand() *cobra.Command {
	r := &guardianRun{guardianOptions: o, Limits: guardian.DefaultLimits()}
	var founding string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow the bank, attest what holds, and sign settlements",
		Long: `run follows the bank until it is stopped: it replays every batch, attests what it has
replayed, and signs each settlement that its own books and its own node give.

What it never does: sign bytes that it has not built itself; sign beyond its limits;
sign two transactions for one settlement that could both be mined; go on after the
operator has shown two histories (the proof is kept in the folder's evidence).

With --founding it first takes part in the key generation, when it has no share yet.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Bank == "" || r.Node.URL == "" {
				return errors.New("say where the bank's API and your own Bitcoin node answer: --bank URL --bitcoind URL")
			}
			var raw []byte
			if founding != "" {
				var err error
				if raw, err = readFounding(founding); err != nil {
					return err
				}
			}
			return r.start(cmd, raw)
		},
	}
	f := cmd.Flags()
	f.StringVar(&founding, "founding", "", "the founding document, for a guardian that has no share yet")
	f.StringVar(&r.Coordinator, "coordinator", envOr("DAOBANK_COORDINATOR", "127.0.0.1:7071"), "where the coordinator waits for guardians (env DAOBANK_COORDINATOR)")
	f.StringVar(&r.Bank, "bank", envOr("DAOBANK_BANK", "http://127.0.0.1:7070"), "URL of the bank's API (env DAOBANK_BANK)")
	f.StringVar(&r.Node.URL, "bitcoind", envOr("DAOBANK_BITCOIND", ""), "URL of your own Bitcoin node's RPC (env DAOBANK_BITCOIND)")
	f.StringVar(&r.Node.User, "bitcoind-user", envOr("DAOBANK_BITCOIND_USER", ""), "RPC user (env DAOBANK_BITCOIND_USER)")
	f.StringVar(&r.Node.Password, "bitcoind-password", envOr("DAOBANK_BITCOIND_PASSWORD", ""), "RPC password; prefer the environment (env DAOBANK_BITCOIND_PASSWORD)")
	f.Int64Var(&r.Limits.FeeRateMax, "fee-rate-max", r.Limits.FeeRateMax, "highest fee rate that is signed, in sat per 1,000 vbytes")
	f.Int64Var(&r.Limits.FeeMax, "fee-max", r.Limits.FeeMax, "highest fee of one settlement, in sat")
	f.Int64Var(&r.Limits.PaidMax, "paid-max", r.Limits.PaidMax, "most that one settlement takes out of the vault, in sat")
	f.Int64Var(&r.Limits.PaidDayMax, "paid-day-max", r.Limits.PaidDayMax, "most that leaves the vault in 24 hours, in sat")
	return cmd
}

// start opens the folder, agrees to the founding document if one is given, and
// runs until ctx ends or, for keygen, the share is safe.
func (r *guardianRun) start(cmd *cobra.Command, founding []byte) error {
	if err := r.validate(); err != nil {
		return err
	}
	r.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	var err error
	if r.keep, err = keep.Open(r.Dir); err != nil {
		return err
	}
	defer r.keep.Close()
	if founding != nil {
		f, err := guardian.ParseFounding(founding)
		if err != nil {
			return err
		}
		if err := r.keep.Agree(f); err != nil {
			return err
		}
	}
	if r.founding, err = r.keep.Founding(); err != nil {
		return err
	}
	r.log.Info("agreed to a founding document", "name", r.founding.Name, "hash", r.founding.Hash(),
		"threshold", r.founding.Threshold, "guardians", len(r.founding.Guardians))
	lock, err := r.open(cmd)
	if err != nil {
		return err
	}
	if r.host, err = r.keep.HostKey(lock); err != nil {
		return err
	}
	defer r.host.Wipe()
	return r.run(cmd.Context())
}

func (r *guardianRun) run(ctx context.Context) error {
	end, err := wire.NewGuardian(r.founding, r.host, r.keep)
	if err != nil {
		return err
	}
	succession, err := r.keep.Succession()
	if err != nil {
		return err
	}
	if succession != nil {
		if err := end.Agree(succession); err != nil {
			return err
		}
	}
	coordinator, err := btcec.ParsePubKey(r.founding.Coordinator[:])
	if err != nil {
		return fmt.Errorf("the coordinator's key: %w", err)
	}
	secret, err := r.host.Reveal()
	if err != nil {
		return err
	}
	key, _ := btcec.PrivKeyFromBytes(secret)
	clear(secret)
	defer key.Zero()

	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group.Go(func() error { return link.Serve(ctx, r.Coordinator, coordinator, key, end.Handler(), r.log) })
	group.Go(func() error {
		var result *chilldkg.Result
		select {
		case result = <-end.Made():
		case <-ctx.Done():
			return ctx.Err()
		}
		r.log.Info("the share is safe", "guardian", result.Share.ID(), "vault", result.Group.Key())
		if r.KeygenOnly {
			// The coordinator asks for everyone's acknowledgement; wait until it
			// has had the time to get this one's.
			linger, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			<-linger.Done()
			stop()
			return nil
		}
		return r.guard(ctx, end)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// guard follows the bank and signs, until ctx ends.
func (r *guardianRun) guard(ctx context.Context, end *wire.Guardian) error {
	charter, err := r.founding.Charter()
	if err != nil {
		return err
	}
	founded, err := r.keep.Founded()
	if err != nil {
		return err
	}
	vault, err := taproot.NewVault(founded)
	if err != nil {
		return err
	}
	node, err := r.dial(ctx)
	if err != nil {
		return err
	}
	memory, err := r.keep.Memory()
	if err != nil {
		return err
	}
	defer memory.Close()
	headers, err := r.keep.Headers()
	if err != nil {
		return err
	}
	defer headers.Close()
	evidence, err := r.keep.Evidence()
	if err != nil {
		return err
	}
	bank := api.Dial(r.Bank).Pin(charter.ID())
	consent, err := keep.Consented(r.Dir)
	if err != nil {
		return err
	}
	shares, err := r.keep.Shares(r.host)
	if err != nil {
		return err
	}
	g, err := guardian.New(guardian.Config{Keys: keysOf(shares...), Vault: vault, Charter: charter,
		Journal: bank, Chain: node, Limits: r.Limits, Memory: memory, Headers: headers, Proof: evidence, Consent: consent})
	if err != nil {
		return err
	}
	defer g.Close()
	end.Serve(g)
	status, err := serveSocket(filepath.Join(r.Dir, socketName), end, g, r.keep)
	if err != nil {
		return err
	}
	defer status.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.follow(ctx, g) })
	group.Go(func() error { return r.takeShares(ctx, end, g) })
	return group.Wait()
}

// keysOf are the keys that key generations gave.
func keysOf(results ...*chilldkg.Result) []guardian.Key {
	keys := make([]guardian.Key, len(results))
	for i, result := range results {
		keys[i] = guardian.Key{Share: result.Share, Group: result.Group}
	}
	return keys
}

// takeShares lets the guardian sign with the share of every key generation that
// ends while it runs.
func (r *guardianRun) takeShares(ctx context.Context, end *wire.Guardian, g *guardian.Guardian) error {
	for {
		select {
		case result := <-end.Made():
			r.log.Info("the share is safe", "guardian", result.Share.ID(), "vault", result.Group.Key())
			if err := g.Add(keysOf(result)[0]); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dial waits for the guardian's own node.
func (r *guardianRun) dial(ctx context.Context) (*bitcoind.Client, error) {
	told := false
	for {
		node, err := bitcoind.Dial(ctx, r.Node)
		if err == nil {
			return node, nil
		}
		if !told {
			r.log.Warn("waiting for the Bitcoin node", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// follow replays what is new, every second. A proof that the operator showed two
// histories is kept.
func (r *guardianRun) follow(ctx context.Context, g *guardian.Guardian) error {
	failed, accused := "", false
	for {
		err := g.Sync(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != failed && err != nil {
			r.log.Error("cannot follow the bank", "error", err)
		}
		failed = text
		accused = accused || r.accuse(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// accuse keeps the proof that an error holds, and reports whether there was one
// and it is on disk.
func (r *guardianRun) accuse(seen error) bool {
	var twice *guardian.Equivocation
	if !errors.As(seen, &twice) {
		return false
	}
	charter, err := r.founding.Charter()
	if err != nil {
		return false
	}
	path, err := r.keep.Accuse(&charter, twice)
	r.log.Error("THE OPERATOR SHOWED TWO HISTORIES: this guardian signs no more", "proof", path, "saw", seen, "error", err)
	return err == nil
}
