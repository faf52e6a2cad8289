// Package migrations holds the bank's database schema as numbered SQL and
// brings a database up to date.
//
// The SQL is meant to be read: it is the second guard of the books, and each
// constraint says what it keeps out. Package ledger/postgres runs it when it
// opens a database, and no one else needs to.
//
// Run is safe when several processes start at once: an advisory lock lets one
// migrate while the others wait, and each migration is one Tx, so a crash
// leaves the database at a whole version. A database that is newer than the
// program is refused and left alone.
package migrations

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

// FS holds the migrations, named 001_name.sql and so on without gaps.
//
//go:embed *.sql
var FS embed.FS

// versionTable records the version of the schema.
const versionTable = "public.daobank_schema_version"

// Run brings the database of conn to the newest version and returns that
// version. A second run changes nothing.
func Run(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	m, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return 0, fmt.Errorf("prepare to migrate the database: %w", err)
	}
	if err := m.LoadMigrations(FS); err != nil {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	if err := m.Migrate(ctx); err != nil {
		return 0, fmt.Errorf("migrate the database: %w", err)
	}
	return len(m.Migrations), nil
}
