package migrations_test

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/migrations"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

func TestRunTwiceAndNeverBackwards(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), cluster.Test(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var version int
	for range 2 {
		if version, err = migrations.Run(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	files, err := migrations.FS.ReadDir(".")
	if err != nil || version != len(files) {
		t.Errorf("version %d of %d files (%v)", version, len(files), err)
	}
	// A newer program was here before.
	if _, err := conn.Exec(t.Context(), `update daobank_schema_version set version = version + 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Run(t.Context(), conn); err == nil {
		t.Error("a database newer than the program was taken")
	}
}
