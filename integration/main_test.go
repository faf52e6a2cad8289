package integration

import (
	"fmt"
	"os"
	"testing"

	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// binaries is where the stories build the program.
var binaries string

func TestMain(m *testing.M) {
	if os.Getenv(mouthOrders) != "" {
		os.Exit(mouthMain(os.Args[1:]))
	}
	os.Exit(inBinaries(m))
}

func inBinaries(m *testing.M) int {
	var err error
	if binaries, err = os.MkdirTemp("", "daobank-stories-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(binaries)
	return cluster.Main(m)
}
