package bitcoind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestReportTellsWhatATestNeeds(t *testing.T) {
	onEachWithCoins(t, func(t *testing.T, node *Node) {
		ctx := t.Context()
		coin, err := node.Fund(ctx, someScript(t), 50_000)
		must(t, err)
		tip, err := node.Tip(ctx)
		must(t, err)
		report := node.Report(ctx)
		for _, want := range []string{node.Info().String(), tip.Hash.String(), coin.Hash.String(), "1 transactions"} {
			if !strings.Contains(report, want) {
				t.Errorf("the report lacks %q:\n%s", want, report)
			}
		}
		must(t, node.Stop(ctx))
		if report := node.Report(ctx); !strings.Contains(report, "end of its log") {
			t.Errorf("of a stopped node: %s", report)
		}
	})
}

func TestChainTips(t *testing.T) {
	t.Parallel()
	node := Start(t, local()...)
	_, err := node.Mine(t.Context(), 5)
	must(t, err)
	result, err := node.Reorg(t.Context(), 3)
	must(t, err)
	tips, err := node.ChainTips(t.Context())
	must(t, err)
	found := make(map[Block]ChainTip)
	for _, tip := range tips {
		found[tip.Block] = tip
	}
	if active := found[result.Connected[3]]; active.Status != "active" {
		t.Errorf("tips %+v, want %v active", tips, result.Connected[3])
	}
	if stale := found[result.Disconnected[0]]; stale.Branch != 3 || stale.Status != "valid-fork" {
		t.Errorf("tips %+v, want %v as a fork of three blocks", tips, result.Disconnected[0])
	}
}

func TestExpectLog(t *testing.T) {
	t.Parallel()
	node := Start(t, local()...)
	ctx := t.Context()
	mine := func() error { _, err := node.Mine(ctx, 1); return err }
	must(t, node.ExpectLog(ctx, `UpdateTip: .*height=1 `, mine))
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	var wait *WaitError
	// What was logged before does not count.
	if err := node.ExpectLog(short, `height=1 `, mine); !errors.As(err, &wait) || !strings.Contains(wait.Last, "height=2") {
		t.Errorf("%v, want a WaitError that shows the log", err)
	}
	// Half a line is none.
	log, err := os.OpenFile(node.Log(), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer log.Close()
	half, stop := context.WithTimeout(ctx, 100*time.Millisecond)
	defer stop()
	write := func(text string) func() error { return func() error { _, err := log.WriteString(text); return err } }
	if err := node.ExpectLog(half, `^half a$`, write("half a")); !errors.As(err, &wait) {
		t.Errorf("half a line: %v, want a WaitError", err)
	}
	must(t, node.ExpectLog(ctx, ` line$`, write(" line\n")))
	if err := node.ExpectLog(ctx, `(`, nil); err == nil {
		t.Error("bad expression: no error")
	}
	failed := errors.New("failed")
	if err := node.ExpectLog(ctx, `.`, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v, want the failure", err)
	}
}

// outcome is a testing.TB that only records how the test ended.
type outcome struct {
	testing.TB
	ended string
}

func (o *outcome) Helper()           {}
func (o *outcome) Skip(args ...any)  { o.ended = "skipped: " + fmt.Sprint(args...); runtime.Goexit() }
func (o *outcome) Fatal(args ...any) { o.ended = "failed: " + fmt.Sprint(args...); runtime.Goexit() }
func (o *outcome) run(do func()) (ended string) {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	<-done
	return o.ended
}

func TestRequireSkipsWithTheReason(t *testing.T) {
	t.Setenv("BITCOIND_REQUIRE", "")
	all := []Capability{
		CanFreezeTime, CanKeepChain, CanControl, CanHoldWallets, CanScan, CanTakePackages,
		CanLimitMempool, CanEstimateFees, CanConnect, CanAnnounce, CanReorganise,
	}
	full := Start(t, local()...)
	poor := Start(t, WithBtcd())
	external, err := Open(t.Context(), WithExternal(full.Config()))
	must(t, err)
	for _, test := range []struct {
		name string
		node *Node
		need []Capability
		want string // the beginning of how the test ended
	}{
		{"bitcoind can do all", full, all, ""},
		{"btcd without", poor, []Capability{CanControl, CanReorganise}, ""},
		{"btcd with", poor, []Capability{CanControl, CanHoldWallets}, "skipped: bitcoind: btcd"},
		{"external", external, []Capability{CanReorganise}, "skipped: bitcoind: node may be shared"},
		{"a typing error", full, []Capability{"wings"}, `failed: bitcoind: capability "wings"`},
	} {
		o := &outcome{TB: t}
		if got := o.run(func() { test.node.Require(o, test.need...) }); !strings.HasPrefix(got, test.want) || (test.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	t.Setenv("BITCOIND_REQUIRE", "1")
	o := &outcome{TB: t}
	if got := o.run(func() { poor.Require(o, CanScan) }); !strings.HasPrefix(got, "failed: ") {
		t.Errorf("strict: %q, want a failure", got)
	}
}
