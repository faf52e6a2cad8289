package main

import (
	"testing"

	"github.com/daobank/daobank/ledger"
)

// serve replays everything, members' signatures included, when it is asked to,
// and only then.
func TestVerifyGenesisReachesTheEngine(t *testing.T) {
	if newServeCommand().Flags().Lookup("verify-genesis") == nil {
		t.Error("serve has no --verify-genesis")
	}
	for _, tt := range []struct {
		flag   bool
		checks ledger.Checks
	}{{false, ledger.CheckChain}, {true, ledger.CheckAll}} {
		b := &bank{dir: &bankDir{}}
		if c := b.clearing(&serveOptions{VerifyGenesis: tt.flag}); c.VerifyGenesis != tt.flag || c.Checks != tt.checks {
			t.Errorf("with the flag %v the engine gets %v and checks %d", tt.flag, c.VerifyGenesis, c.Checks)
		}
	}
}
