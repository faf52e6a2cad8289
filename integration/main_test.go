package integration

import (
	"os"
	"testing"

	"github.com/daobank/daobank/ledger/postgres/cluster"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
