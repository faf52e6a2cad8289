package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrInUse says that another process has the cluster's folder open.
	ErrInUse = errors.New("the folder is in use by another process")
	// ErrDatabaseExists says that a database of that name is there already.
	ErrDatabaseExists = errors.New("the database exists already")
	// ErrNotOurs says that a server which this package did not start cannot be killed or restarted by it.
	ErrNotOurs = errors.New("the server was not started by this process")
)

// oldestMajor is the first version of PostgreSQL that the bank's SQL is written for.
const oldestMajor = 15

// Cluster is a running PostgreSQL server. Its methods may be used by several goroutines, except that Kill, Restart
// and Close must not run at the same time.
type Cluster struct {
	server server
}

// server is one way of having a PostgreSQL: an external one, a private one, or one in Docker.
type server interface {
	url(database string) string
	describe() string
	ended() <-chan struct{} // nil when nobody here can know
	kill() error
	restart(context.Context) error
	close() error
}

type options struct {
	dir      string
	tcp      bool
	noFsync  bool
	settings []string // "name=value"
}

// An Option changes how a private server is started. None has an effect on an external server.
type Option func(*options)

// WithDir keeps the cluster in a folder, which is created if need be and left in place by Close. Without it the
// cluster is temporary.
func WithDir(dir string) Option { return func(o *options) { o.dir = dir } }

// WithTCP makes the server listen on a free port of 127.0.0.1 as well; the URL then goes there, with a password.
func WithTCP() Option { return func(o *options) { o.tcp = true } }

// WithoutFsync lets COMMIT return before the disk has the data. What was committed survives a kill of the server,
// but not of the machine: for tests that do not test durability.
func WithoutFsync() Option { return func(o *options) { o.noFsync = true } }

// WithSetting adds a PostgreSQL setting, for instance WithSetting("shared_buffers", "512MB").
func WithSetting(name, value string) Option {
	return func(o *options) { o.settings = append(o.settings, name+"="+value) }
}

// Open finds a PostgreSQL as the package comment says, starts it if need be, and returns when it answers. The
// context limits only the start. Errors: [*NoServerError], [ErrInUse], or that of the external server.
func Open(ctx context.Context, opts ...Option) (*Cluster, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if url := os.Getenv("DAOBANK_POSTGRES"); url != "" {
		s, err := openExternal(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("cluster: the server that DAOBANK_POSTGRES names: %w", err)
		}
		return &Cluster{s}, nil
	}
	s, err := openOwn(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Cluster{s}, nil
}

// openOwn goes down the ladder below the external server.
func openOwn(ctx context.Context, o options) (server, error) {
	failed := &NoServerError{}
	failed.add("DAOBANK_POSTGRES", errors.New("not set"))

	found, missing := findPrograms(ctx)
	if o.dir != "" {
		found = matching(found, o.dir)
	}
	failed.Tried = append(failed.Tried, missing...)
	for _, p := range found {
		s, err := openPrivate(ctx, p, o)
		if err == nil {
			return s, nil
		}
		if errors.Is(err, ErrInUse) || ctx.Err() != nil {
			return nil, err
		}
		failed.add(p.dir, err)
	}
	if o.dir != "" {
		failed.add("Docker", errors.New("not used for a cluster that is kept in a folder"))
		return nil, failed
	}
	s, err := openDocker(ctx, o)
	if err != nil {
		failed.add("Docker", err)
		return nil, failed
	}
	return s, nil
}

// Info is one line for people: version, where it runs, where its programs are from.
func (c *Cluster) Info() string { return c.server.describe() }

// URL is the address of a database on the server, whether it exists or not.
func (c *Cluster) URL(database string) string { return c.server.url(database) }

// Kill ends the server and all its processes by SIGKILL, as a crash would, and returns when they are gone.
func (c *Cluster) Kill() error { return c.server.kill() }

// Restart starts the server after Kill, or stops it in order and starts it again, and returns when it answers. Its
// URLs stay the same, except with WithTCP, where the port changes.
func (c *Cluster) Restart(ctx context.Context) error { return c.server.restart(ctx) }

// Close stops a server that Open started, and removes it if it was temporary. It may be called twice.
func (c *Cluster) Close() error { return c.server.close() }

// Ended is closed when the private server that runs now has ended, whoever ended it. For a server in Docker or one
// that somebody else runs it is nil, which is never ready.
func (c *Cluster) Ended() <-chan struct{} { return c.server.ended() }

// CreateDatabase creates an empty database and returns its URL. The URL is valid also with [ErrDatabaseExists].
func (c *Cluster) CreateDatabase(ctx context.Context, name string) (string, error) {
	err := c.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42P04" { // duplicate_database
		return c.URL(name), fmt.Errorf("cluster: create %q: %w", name, ErrDatabaseExists)
	}
	if err != nil {
		return "", fmt.Errorf("cluster: create database %q: %w", name, err)
	}
	return c.URL(name), nil
}

// DropDatabase removes a database, disconnecting whoever uses it; a missing one is no error.
func (c *Cluster) DropDatabase(ctx context.Context, name string) error {
	err := c.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	if err != nil {
		return fmt.Errorf("cluster: drop database %q: %w", name, err)
	}
	return nil
}

// exec runs one statement in the maintenance database.
func (c *Cluster) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	defer closeConn(conn)
	_, err = conn.Exec(ctx, sql)
	return err
}

// serverVersion connects once and returns the version the server states, for instance "15.18".
func serverVersion(ctx context.Context, url string) (version string, major int, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", 0, err
	}
	defer closeConn(conn)
	var number int
	err = conn.QueryRow(ctx, `SELECT split_part(current_setting('server_version'), ' ', 1),
		current_setting('server_version_num')::int`).Scan(&version, &number)
	return version, number / 10000, err
}

// awaitServer polls until the server answers, the context ends, or exited is closed. The error tells the last
// state seen.
func awaitServer(ctx context.Context, url string, exited <-chan struct{}) (version string, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		version, _, err = serverVersion(ctx, url)
		if err == nil {
			return version, nil
		}
		select {
		case <-exited:
			return "", errors.New("the server ended while starting")
		case <-ctx.Done():
			return "", fmt.Errorf("the server does not answer: %w; last: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the server forgets it either way
}
