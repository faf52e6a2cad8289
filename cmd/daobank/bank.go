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
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

// serveOptions are what serve needs to know.
type serveOptions struct {
	Data      string
	Listen    string
	Postgres  string
	Node      bitcoind.Config
	Second    bitcoind.Config // another node that must agree; no URL for none
	Guardians string          // address at which the coordinator waits for guardians
	Policy    settlement.Policy
	// VerifyGenesis replays the whole journal, with every signature, at the start.
	VerifyGenesis bool
	Log           *slog.Logger
	Waiting       func(guardians, api string) // called once guardians can connect
	Ready         func(url string)            // called once the API answers
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
	dir     *bankDir
	store   *postgres.Store
	node    *bitcoind.Client
	engine  *clearing.Engine
	desk    *settlement.Desk
	council *council
	quorum  *guardian.Quorum
	vaults  *netting.Vaults
	log     *slog.Logger

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
	// The address first: guardians are told where the API will answer.
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API: %w", err)
	}
	defer listener.Close()
	second, err := dialSecond(ctx, o, node)
	if err != nil {
		return err
	}
	b, err := openBank(ctx, o, node, url, "http://"+listener.Addr().String())
	if err != nil {
		return err
	}
	defer b.store.Close()
	b.databaseEnded, b.desk.Second = ended, second
	return b.run(ctx, listener, o.Ready)
}

// dialSecond connects to the second node, if there is to be one.
func dialSecond(ctx context.Context, o *serveOptions, first *bitcoind.Client) (settlement.Witness, error) {
	if o.Second.URL == "" {
		return nil, nil
	}
	second, err := bitcoind.Dial(ctx, o.Second)
	if err != nil {
		return nil, fmt.Errorf("second bitcoin node: %w", err)
	}
	if a, b := first.Network().Name, second.Network().Name; a != b {
		return nil, fmt.Errorf("the nodes are of different chains: %s and %s", a, b)
	}
	return second, nil
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

func openBank(ctx context.Context, o *serveOptions, node *bitcoind.Client, database, api string) (_ *bank, err error) {
	b := &bank{node: node, log: o.Log}
	if b.store, err = postgres.Open(ctx, database); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer func() {
		if err != nil {
			b.store.Close()
		}
	}()
	if b.dir, err = openBankDir(ctx, o.Data, b.node); err != nil {
		return nil, err
	}
	if b.council, err = openCouncil(b.dir, o, api); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.council.hub.Close()
		}
	}()
	if err = b.found(ctx); err != nil {
		return nil, fmt.Errorf("found the bank: %w", err)
	}
	if err = b.store.Create(ctx, b.dir.Charter); err != nil {
		return nil, err
	}
	if b.engine, err = clearing.Open(ctx, b.clearing(o)); err != nil {
		return nil, err
	}
	if err = b.resume(ctx); err != nil {
		return nil, err
	}
	b.desk, err = settlement.New(settlement.Config{Engine: b.engine, Store: b.store, Vaults: b.vaults,
		Chain: b.node, Signer: b.quorum, Policy: o.Policy, Log: o.Log})
	return b, err
}

// clearing is the configuration of the engine.
func (b *bank) clearing(o *serveOptions) clearing.Config {
	c := clearing.Config{Store: b.store, Charter: b.dir.Charter, Operator: b.dir.operator, Verifiers: verifiers(), Log: o.Log}
	if o.VerifyGenesis {
		c.VerifyGenesis, c.Checks = true, ledger.CheckAll
	}
	return c
}

// found takes in the founding's guardians. The first time they make the vault's
// key; the bank opens only when each of them has its share safe.
func (b *bank) found(ctx context.Context) error {
	s, err := b.council.seat(b.dir.founding)
	if err != nil {
		return err
	}
	group, err := b.council.makeKey(ctx, b.dir, s)
	if err != nil {
		return err
	}
	if !b.dir.finished() {
		if err := b.dir.finish(group); err != nil {
			return err
		}
		b.log.Info("founded the bank: every guardian has its share safe", "name", b.dir.Charter.Name, "vault", group.Key())
	}
	if group.Key() != b.dir.Policy.GroupKey {
		return fmt.Errorf("%s is of another group than bank.json", b.dir.keyPath(b.dir.founding))
	}
	founding, err := taproot.NewVault(b.dir.Policy)
	if err != nil {
		return err
	}
	b.vaults = netting.NewVaults(b.dir.Charter.ID(), founding)
	b.quorum = guardian.NewQuorum(b.council.signers(s, group), b.log)
	b.council.join(s)
	return nil
}

// errDatabaseEnded says that the PostgreSQL in the data directory is gone.
var errDatabaseEnded = errors.New("the bank's own PostgreSQL has ended: start serve again, which starts it too")

// run serves until ctx ends or a part fails, then stops in order: no new
// requests, what was accepted is answered, the engine closes.
func (b *bank) run(ctx context.Context, listener net.Listener, ready func(string)) error {
	newest, _ := b.vaults.Newest()
	treasury, err := newest.Address(taproot.Deposit, ledger.Treasury.Index())
	if err != nil {
		return err
	}
	server := api.NewServer(listener.Addr().String(), api.NewHandler(api.Config{
		Clearing: b.engine, Desk: b.desk, Journal: b.store, Attestations: b.store, Vaults: b.vaults,
		Charter: b.dir.Charter, Councils: b.council.public, Ready: b.ready, Log: b.log,
	}))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error { return b.desk.Run(ctx) })
	group.Go(func() error { return b.council.watch(ctx, b.dir, b.store) })
	group.Go(func() error { return b.succeed(ctx) })
	group.Go(func() error { return b.serveOperator(ctx, filepath.Join(b.dir.path, filepath.Base(operatorSocket))) })
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
	_ = b.council.hub.Close() // guardians come back to the next process
	b.log.Info("the bank is closed")
	return errors.Join(shut, context.Canceled)
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
