package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/migrations"
)

// shard is the clearing shard of every row until there is more than one.
const shard = 0

// Store is one bank's database. It is safe for concurrent use.
type Store struct {
	// Writing has connections of its own, so that no number of readers keeps
	// a batch waiting.
	writes *pgxpool.Pool
	reads  *pgxpool.Pool
}

// Open connects to the database, brings its schema up to date and returns the
// store. The URL is a PostgreSQL connection string.
func Open(ctx context.Context, url string) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "daobank"
	// What is acknowledged is on disk, whatever the server's default is.
	params["synchronous_commit"] = "on"
	// A writer that hangs inside a Tx must not keep a take-over waiting for ever.
	params["idle_in_transaction_session_timeout"] = "15s"
	s := &Store{}
	if s.writes, err = connect(ctx, writing(config), 4); err != nil {
		return nil, err
	}
	if s.reads, err = connect(ctx, config, max(4, 2*runtime.NumCPU())); err != nil {
		s.writes.Close()
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// writing is the configuration of the connections that commit. What they ask for
// is found by a primary key, row for row; statistics that are old or not there
// yet (as in a new bank, or after many accounts were opened) must not lead them to
// read whole tables, or to make a bitmap for each account.
func writing(config *pgxpool.Config) *pgxpool.Config {
	config = config.Copy()
	for _, path := range []string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"} {
		config.ConnConfig.RuntimeParams[path] = "off"
	}
	return config
}

func connect(ctx context.Context, config *pgxpool.Config, conns int) (*pgxpool.Pool, error) {
	config = config.Copy()
	config.MaxConns = int32(conns)
	config.MinConns = 0
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return pool, nil
}

func (s *Store) migrate(ctx context.Context) error {
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Release()
	_, err = migrations.Run(ctx, conn.Conn())
	return err
}

// Close ends all connections; it waits for calls under way.
func (s *Store) Close() {
	s.writes.Close()
	s.reads.Close()
}

// Create makes the bank of this charter with its own five accounts. For a bank
// that exists it changes nothing. Errors: *BankError when the database holds
// another bank; the charter's own when it is not valid.
func (s *Store) Create(ctx context.Context, charter ledger.Charter) error {
	if err := charter.Validate(); err != nil {
		return err
	}
	id := charter.ID()
	text, err := encodeCharter(charter)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.writes, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into bank (shard, id, charter) values ($1, $2, $3) on conflict do nothing`, shard, id[:], text)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		for _, sql := range []string{
			`insert into lease (shard, epoch, holder) values ($1, 0, 'nobody')`,
			`insert into booked (shard, batch) values ($1, 0)`,
			`insert into movement_position (shard, batch) values ($1, 0)`,
			`insert into account (shard, id, balance, last_batch) select $1, id, 0, 0 from generate_series(1, 5) id`,
		} {
			if _, err := tx.Exec(ctx, sql, shard); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create the bank: %w", err)
	}
	stored, err := s.Charter(ctx)
	if err != nil {
		return err
	}
	if stored.ID() != id {
		return &BankError{Want: id, Stored: stored.ID()}
	}
	return nil
}

// encodeCharter makes sure that what is stored for ever reads back as the same
// charter: JSON would replace, for example, a name that is not UTF-8.
func encodeCharter(charter ledger.Charter) ([]byte, error) {
	text, err := json.Marshal(charter)
	if err != nil {
		return nil, fmt.Errorf("encode the charter: %w", err)
	}
	var back ledger.Charter
	if err := json.Unmarshal(text, &back); err != nil || back != charter {
		return nil, fmt.Errorf("the charter does not survive its encoding: is its name %q UTF-8?", charter.Name)
	}
	return text, nil
}

// Charter returns the bank's charter. Error: ErrNoBank.
func (s *Store) Charter(ctx context.Context) (ledger.Charter, error) {
	var text, id []byte
	err := s.reads.QueryRow(ctx, `select charter, id from bank where shard = $1`, shard).Scan(&text, &id)
	if errors.Is(err, pgx.ErrNoRows) {
		return ledger.Charter{}, ErrNoBank
	}
	if err != nil {
		return ledger.Charter{}, fmt.Errorf("read the charter: %w", err)
	}
	var charter ledger.Charter
	if err := json.Unmarshal(text, &charter); err != nil {
		return ledger.Charter{}, fmt.Errorf("read the charter: %w", err)
	}
	if got := charter.ID(); got != ledger.BankID(id) {
		return ledger.Charter{}, fmt.Errorf("the stored charter has the id %s, its bank has %x", got, id)
	}
	return charter, nil
}

// TakeLease makes the caller the bank's only writer and returns its epoch.
// From then on every writer with an older epoch gets ErrFenced. It waits for a
// commit under way. The holder is a note for people. Error: ErrNoBank.
func (s *Store) TakeLease(ctx context.Context, holder string) (epoch uint64, err error) {
	err = s.writes.QueryRow(ctx,
		`update lease set epoch = epoch + 1, holder = $2, taken_at = now() where shard = $1 returning epoch`,
		shard, holder).Scan(&epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, ErrNoBank
	}
	if err != nil {
		return 0, fmt.Errorf("take the lease: %w", err)
	}
	return epoch, nil
}

// Lease returns the epoch of the last take-over and who took it; epoch 0 when
// nobody has yet. Error: ErrNoBank.
func (s *Store) Lease(ctx context.Context) (epoch uint64, holder string, err error) {
	err = s.reads.QueryRow(ctx, `select epoch, holder from lease where shard = $1`, shard).Scan(&epoch, &holder)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", ErrNoBank
	}
	if err != nil {
		return 0, "", fmt.Errorf("read the lease: %w", err)
	}
	return epoch, holder, nil
}
