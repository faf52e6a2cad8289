package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/taproot"
)

// serveOptions are what serve needs to know.
type serveOptions struct {
	Data     string
	Listen   string
	Postgres string
	Node     bitcoind.Config
	Founding founding
	Policy   settlement.Policy
	Log      *slog.Logger
	Ready    func(url string) // called once the API answers
}

func (o *serveOptions) validate() error {
	if o.Data == "" {
		return errors.New("say where the bank's keys and settings live: --data DIR")
	}
	if o.Node.URL == "" {
		return errors.New("say where the Bitcoin node answers: --bitcoind http://127.0.0.1:18443 (daobank demo brings its own)")
	}
	return o.Policy.Validate()
}

// bank is a running bank: every part, wired.
type bank struct {
	dir       *bankDir
	store     *postgres.Store
	node      *bitcoind.Client
	engine    *clearing.Engine
	desk      *settlement.Desk
	guardians []*guardian.Guardian
	vault     *taproot.Vault
	log       *slog.Logger

	databaseEnded <-chan struct{} // nil when the database is not this process's to watch
}

// serve runs the bank until ctx ends or a part of it must stop.
func serve(ctx context.Context, o *serveOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	// The node first: it takes a moment to ask, a database takes longer to start.
	node, err := bitcoind.Dial(ctx, o.Node)
	if err != nil {
		return fmt.Errorf("bitcoin node: %w", err)
	}
	if err := os.MkdirAll(o.Data, 0o755); err != nil { // open: PostgreSQL may run as another user
		return fmt.Errorf("data directory: %w", err)
	}
	url, ended, stop, err := database(ctx, o)
	if err != nil {
		return err
	}
	defer stop()
	b, err := openBank(ctx, o, node, url)
	if err != nil {
		return err
	}
	defer b.store.Close()
	b.databaseEnded = ended
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	return b.run(ctx, listener, o.Ready)
}

// database is the URL of the bank's database, a channel that closes if a server
// started for it ends, and a function that stops that server.
func database(ctx context.Context, o *serveOptions) (url string, ended <-chan struct{}, stop func(), err error) {
	if o.Postgres != "" {
		return o.Postgres, nil, func() {}, nil
	}
	c, err := cluster.Open(ctx, cluster.WithDir(filepath.Join(o.Data, "postgres")))
	if err != nil {
		return "", nil, nil, err
	}
	o.Log.Info("database", "postgres", c.Info())
	url, err = c.CreateDatabase(ctx, "daobank")
	if err != nil && !errors.Is(err, cluster.ErrDatabaseExists) {
		c.Close()
		return "", nil, nil, err
	}
	return url, c.Ended(), func() { c.Close() }, nil
}

func openBank(ctx context.Context, o *serveOptions, node *bitcoind.Client, url string) (_ *bank, err error) {
	b := &bank{node: node, log: o.Log}
	if b.store, err = postgres.Open(ctx, url); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer func() {
		if err != nil {
			b.store.Close()
		}
	}()
	if b.dir, err = openBankDir(ctx, o.Data, b.node, o.Founding, o.Log); err != nil {
		return nil, err
	}
	if b.vault, err = taproot.NewVault(b.dir.Policy); err != nil {
		return nil, err
	}
	if err = b.store.Create(ctx, b.dir.Charter); err != nil {
		return nil, err
	}
	b.engine, err = clearing.Open(ctx, clearing.Config{Store: b.store, Charter: b.dir.Charter, Operator: b.dir.operator, Log: o.Log})
	if err != nil {
		return nil, err
	}
	signer, err := b.openGuardians()
	if err != nil {
		return nil, err
	}
	b.desk, err = settlement.New(settlement.Config{Engine: b.engine, Store: b.store, Vault: b.vault,
		Chain: b.node, Signer: signer, Policy: o.Policy, Log: o.Log})
	return b, err
}

// openGuardians starts the guardians whose shares are in the data directory.
// One whose share is not there is away.
func (b *bank) openGuardians() (settlement.Signer, error) {
	group, shares, err := b.dir.shares()
	if err != nil {
		return nil, err
	}
	var signers []guardian.Peer
	for _, share := range shares {
		g, err := guardian.New(guardian.Config{Share: share, Group: group, Vault: b.vault, Charter: b.dir.Charter,
			Journal: b.store, Chain: b.node, Limits: guardian.DefaultLimits()})
		if err != nil {
			return nil, err
		}
		b.guardians = append(b.guardians, g)
		signers = append(signers, g)
	}
	b.log.Info("guardians", "present", len(shares), "of", group.Participants(), "needed", group.Threshold())
	return guardian.NewQuorum(group, signers, b.log), nil
}

// errDatabaseEnded says that the PostgreSQL in the data directory is gone.
var errDatabaseEnded = errors.New("the bank's own PostgreSQL has ended: start serve again, which starts it too")

// run serves until ctx ends or a part fails, then stops in order: no new
// requests, what was accepted is answered, the engine closes.
func (b *bank) run(ctx context.Context, listener net.Listener, ready func(string)) error {
	treasury, err := b.vault.Address(taproot.Deposit, ledger.Treasury.Index())
	if err != nil {
		return err
	}
	server := api.NewServer(listener.Addr().String(), api.NewHandler(api.Config{
		Clearing: b.engine, Desk: b.desk, Journal: b.store, Vault: b.vault,
		Charter: b.dir.Charter, Ready: b.ready, Log: b.log,
	}))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error { return b.desk.Run(ctx) })
	group.Go(func() error { return b.follow(ctx) })
	group.Go(func() error { return b.stop(ctx, server) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.databaseEnded:
			return errDatabaseEnded
		}
	})
	url := "http://" + listener.Addr().String()
	b.log.Info("the treasury pays the miner for the bank's own part of a settlement: keep some coins in it", "deposit", treasury)
	b.log.Info("the bank is open", "name", b.dir.Charter.Name, "api", url)
	if ready != nil {
		ready(url)
	}
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		return b.engine.Err()
	}
	return err
}

// stop waits for the end and closes the API and the engine within ten seconds.
func (b *bank) stop(ctx context.Context, server *http.Server) error {
	select {
	case <-ctx.Done():
	case <-b.engine.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	shut := server.Shutdown(grace)
	if err := b.engine.Close(grace); err != nil {
		return err
	}
	b.log.Info("the bank is closed")
	return errors.Join(shut, context.Canceled)
}

// followEvery is how long the guardians rest between two looks at the journal.
const followEvery = time.Second

// follow keeps the guardians' books near the journal's end, so that they have
// little to replay when a settlement is proposed. They share this process's
// cores with the clearing, so they take turns: all at once, they would keep
// every payment and every block waiting.
func (b *bank) follow(ctx context.Context) error {
	failed := make([]string, len(b.guardians))
	for {
		for i, g := range b.guardians {
			err := g.Sync(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				failed[i] = ""
			} else if err.Error() != failed[i] {
				failed[i] = err.Error()
				b.log.Error("guardian cannot follow", "guardian", g.ID(), "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followEvery):
		}
	}
}

// ready reports what keeps the bank from serving.
func (b *bank) ready(ctx context.Context) error {
	select {
	case <-b.engine.Done():
		return errors.New("the clearing engine has stopped")
	default:
	}
	if _, err := b.store.LastBatch(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if _, err := b.node.Height(ctx); err != nil {
		return fmt.Errorf("bitcoin node: %w", err)
	}
	return nil
}
