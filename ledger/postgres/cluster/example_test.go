package cluster_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger/postgres/cluster"
)

func ExampleOpen() {
	ctx := context.Background()
	server, err := cluster.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	url, err := server.CreateDatabase(ctx, "bank")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)

	var database string
	if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		log.Fatal(err)
	}
	fmt.Println(database)
	// Output: bank
}
