package bitcoind_test

import (
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
)

func TestSmoke(t *testing.T) {
	for _, o := range []bitcoind.Option{bitcoind.WithLogf(t.Logf), bitcoind.WithBtcd()} {
		t0 := time.Now()
		n := bitcoind.Start(t, o)
		t.Log(n.Info(), time.Since(t0))
		t0 = time.Now()
		op, err := n.Fund(t.Context(), n.MinerScript(), 1e8)
		t.Log(op, err, time.Since(t0))
		t0 = time.Now()
		hs, err := n.Mine(t.Context(), 1)
		t.Log(hs, err, time.Since(t0))
		t.Log(n.Tx(t.Context(), op.Hash))
		t0 = time.Now()
		t.Log(n.Kill(), n.Restart(t.Context()), time.Since(t0))
		t.Log(n.Tip(t.Context()))
		t0 = time.Now()
		t.Log(n.Close(), time.Since(t0))
	}
}
