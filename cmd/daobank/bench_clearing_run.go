package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/daobank/daobank/ledger"
)

// clearingFigures are the result of one run. Rates are per second.
type clearingFigures struct {
	Transfers    int     `json:"transfers"` // payments; an order has as many as payees
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	P50          float64 `json:"p50_ms"` // from handing in to answer
	P99          float64 `json:"p99_ms"`
	Verify       float64 `json:"verify_per_second"`       // signatures, one core
	BtcecVerify  float64 `json:"btcec_verify_per_second"` // one by one, one core
	Copy         float64 `json:"copy_per_second"`         // rows, one core
	Ceiling      float64 `json:"ceiling_per_second"`      // transfers, with the cores used
	Ratio        float64 `json:"ratio"`                   // of per_second to the ceiling
	Acknowledged int     `json:"acknowledged"`            // orders
	Found        int     `json:"found"`                   // of them, in the journal
	Lost         int     `json:"lost"`
	RSS          int64   `json:"rss_bytes"` // of this process, load included
	Accounts     int     `json:"accounts"`
	Deferred     float64 `json:"deferred_us"` // processor time of a transfer's history and balances, which comes later

	cpu     float64 // seconds of processor time that this process and the server used
	refused int     // forged orders, of those that were handed in beside
}

// cost is the processor time of one transfer, in microseconds.
func (f *clearingFigures) cost() float64 { return 1e6 * f.cpu / float64(f.Transfers) }

// A clearingRun is what one measurement does.
type clearingRun struct {
	traffic
	lanes   int
	atATime int // orders in one call
	limit   time.Duration
	rate    float64 // orders per second to expect; the load is sized by it
	// clients returns what each lane hands its orders to.
	clients func(*clearingBank, int) ([]teller, func(), error)
}

// Lanes and calls of the runs in this process. Ten lanes put each hot account into
// a lane of its own.
const (
	engineLanes   = hotAccounts
	engineAtATime = 1024
)

// beside hands orders to the engine in this process.
func beside(b *clearingBank, lanes int) ([]teller, func(), error) {
	tellers := make([]teller, lanes)
	for i := range tellers {
		tellers[i] = b.engineTeller
	}
	return tellers, func() {}, nil
}

// measure signs a load, warms up with a tenth of it and measures the rest.
func (b *clearingBank) measure(ctx context.Context, r clearingRun, say func(string, ...any)) (f clearingFigures, err error) {
	f.Accounts = b.accounts
	tellers, hangUp, err := r.clients(b, min(r.lanes, b.accounts))
	if err != nil {
		return f, err
	}
	defer hangUp()
	rate, err := b.warmUp(ctx, r, tellers)
	if err != nil {
		return f, fmt.Errorf("warm up: %w", err)
	}
	n := max(int(1.2*rate*r.limit.Seconds()), r.lanes)
	say("signing %d orders for %.0f s", n, r.limit.Seconds())
	lanes, err := b.sign(ctx, r.traffic, r.lanes, n)
	if err != nil {
		return f, err
	}
	if f.Verify, f.BtcecVerify, err = verifyCeiling(ctx, lanes[0].orders, memberKey); err != nil {
		return f, err
	}
	if err := errors.Join(b.settle(ctx), b.checkpoint(ctx)); err != nil {
		return f, err
	}
	after, err := b.store.LastBatch(ctx)
	if err != nil {
		return f, err
	}
	debug.FreeOSMemory()
	before, err := b.readCPU(ctx)
	if err != nil {
		return f, err
	}
	stop := b.forge(ctx, r.Forgers, r.atATime, lanes)
	elapsed, err := drive(ctx, lanes, r.atATime, r.limit, tellers)
	refused, failed := stop()
	if err := errors.Join(err, failed); err != nil {
		return f, err
	}
	f.refused = refused
	f.RSS = residentBytes()
	now, err := b.readCPU(ctx)
	if err != nil {
		return f, err
	}
	f.cpu = now.since(before).Seconds()
	if err := b.settle(ctx); err != nil {
		return f, err
	}
	later, err := b.readCPU(ctx)
	if err != nil {
		return f, err
	}
	f.Deferred = later.since(now).Seconds()
	return f, b.account(ctx, &f, lanes, after, elapsed, r.Payees)
}

// warmUp hands in a small load and returns how many orders a second were answered.
func (b *clearingBank) warmUp(ctx context.Context, r clearingRun, tellers []teller) (float64, error) {
	n := max(int(r.rate*min(r.limit.Seconds()/5, 1)), r.lanes)
	lanes, err := b.sign(ctx, r.traffic, r.lanes, n)
	if err != nil {
		return 0, err
	}
	elapsed, err := drive(ctx, lanes, max(1, min(r.atATime, n/len(lanes)/4)), r.limit, tellers)
	return float64(len(latencies(lanes))) / elapsed.Seconds(), err
}

// account fills in what follows from the answers and the journal.
func (b *clearingBank) account(ctx context.Context, f *clearingFigures, lanes []lane, after uint64, elapsed time.Duration, payees int) (err error) {
	if f.Acknowledged, f.Found, err = b.lookUp(ctx, lanes, after); err != nil {
		return err
	}
	f.Lost = f.Acknowledged - f.Found
	f.Transfers, f.Seconds = f.Acknowledged*payees, elapsed.Seconds()
	f.PerSecond = float64(f.Transfers) / f.Seconds
	sorted := latencies(lanes)
	f.P50, f.P99 = quantile(sorted, 0.5), quantile(sorted, 0.99)
	f.Deferred *= 1e6 / float64(f.Transfers)
	if f.Copy, err = b.copyCeiling(ctx, after); err != nil {
		return err
	}
	cores := f.cpu / f.Seconds
	f.Ceiling = cores * float64(payees) / (1/f.Verify + 1/f.Copy)
	f.Ratio = f.PerSecond / f.Ceiling
	return nil
}

func memberKey(id ledger.AccountID) ledger.Key {
	return ledger.KeyOf(benchKey(firstKey + int(id-ledger.FirstMember)))
}

// residentBytes is the memory that the process has in use, 0 where /proc does not
// tell (proc(5)).
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
