package main

import (
	"os"
	"testing"

	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// A small bank is recovered from its snapshot and from genesis. With
// DAOBANK_BENCH_RECOVERY set it is the bank of the target.
func TestMeasureRecovery(t *testing.T) {
	size := recoverySize{Accounts: 1500, Transfers: 9000, Age: 1000}
	if os.Getenv("DAOBANK_BENCH_RECOVERY") != "" {
		size = recoveryTarget
	}
	size.Genesis = true
	c, err := cluster.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	url, err := c.CreateDatabase(t.Context(), "recovery")
	if err != nil {
		t.Fatal(err)
	}
	f, err := measureRecovery(t.Context(), url, size, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	target := atMost("recovery", f.Seconds, "seconds", recoverySecondsMax)
	t.Logf("%+v, target %+v", f, target)
	if f.Batches < 3 || f.SnapshotBytes < int64(93*size.Accounts) || f.Seconds <= 0 || f.GenesisSeconds <= 0 {
		t.Errorf("measured %+v", f)
	}
}
