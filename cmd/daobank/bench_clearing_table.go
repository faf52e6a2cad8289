package main

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// What the project has set itself, and what it is measured with.
const (
	targetPerSecond = 40_000
	targetRatio     = 0.6
	targetHot       = 0.9
	targetForgers   = 0.5
	targetBatch     = 24_000
	targetSingle    = 5_000
	targetPayments  = 150_000
	targetVerify    = 7
	targetQuarter   = 15 // ms
	targetLone      = 5  // ms
	targetMemory    = 250
	targetGrowth    = 1.3

	tablePayees = 100
	tableHot    = 0.8
	tableFew    = 1000 // accounts of the smallest bank
)

func atLeast(name string, value float64, unit string, limit float64) benchTarget {
	return benchTarget{Name: name, Value: value, Unit: unit, AtLeast: &limit, Met: value >= limit}
}

// targets are those that a run with these options can be held against.
func (o *clearingOptions) targets(f *clearingFigures) []benchTarget {
	const unit = "transfers/s"
	switch {
	case o.API == apiBatch:
		return []benchTarget{atLeast("api_batches_of_500", f.PerSecond, unit, targetBatch)}
	case o.API == apiSingle:
		return []benchTarget{atLeast("api_single_64_clients", f.PerSecond, unit, targetSingle)}
	case o.Payees == tablePayees:
		return []benchTarget{atLeast("orders_of_100_payees", f.PerSecond, "payments/s", targetPayments)}
	case o.Payees == 1 && o.Hot == 0 && o.Forgers == 0:
		return []benchTarget{
			atLeast("in_process", f.PerSecond, unit, targetPerSecond),
			atLeast("in_process_of_ceiling", f.Ratio, "of the ceiling", targetRatio),
		}
	}
	return nil
}

func verifyTarget(f *clearingFigures) benchTarget {
	return atLeast("verify_1024_over_btcec", f.Verify/f.BtcecVerify, "times", targetVerify)
}

// measureTable measures every row of the table.
func (b *clearingBench) measureTable(ctx context.Context, bank *clearingBank) (targets []benchTarget, err error) {
	for _, section := range []func(context.Context, *clearingBank) ([]benchTarget, error){
		b.measureRates, b.measureLatency, b.measureOffered, b.measureSizes, b.measureRecovery,
	} {
		met, err := section(ctx, bank)
		if err != nil {
			return nil, err
		}
		targets = append(targets, met...)
	}
	return targets, nil
}

// measureRates is one run for each kind of traffic.
func (b *clearingBench) measureRates(ctx context.Context, bank *clearingBank) ([]benchTarget, error) {
	var targets []benchTarget
	var plain clearingFigures
	for _, row := range []struct {
		name    string
		traffic traffic
		api     string
	}{
		{"in process", traffic{Payees: 1}, ""},
		{"in process, 80 % on 10 accounts", traffic{Payees: 1, Hot: tableHot}, ""},
		{"in process, as many forgers", traffic{Payees: 1, Forgers: engineLanes}, ""},
		{"HTTP, batches of 500", traffic{Payees: 1}, apiBatch},
		{"HTTP, single orders, 64 clients", traffic{Payees: 1}, apiSingle},
		{"in process, 100 payees", traffic{Payees: tablePayees}, ""},
	} {
		o := clearingOptions{traffic: row.traffic, API: row.api, Seconds: b.options.Seconds}
		f, err := b.measure(ctx, bank, row.name, o.run())
		if err != nil {
			return nil, err
		}
		targets = append(targets, o.targets(&f)...)
		switch {
		case row.traffic.Hot > 0:
			targets = append(targets, atLeast("hot_over_even", f.PerSecond/plain.PerSecond, "times", targetHot))
		case row.traffic.Forgers > 0:
			targets = append(targets, atLeast("beside_forgers_over_alone", f.PerSecond/plain.PerSecond, "times", targetForgers))
		case plain.Transfers == 0:
			plain = f
			targets = append(targets, verifyTarget(&f))
		}
	}
	return targets, nil
}

// measureSizes compares banks of few and of many accounts: the memory of an
// account, and the processor time of a transfer.
func (b *clearingBench) measureSizes(ctx context.Context, _ *clearingBank) ([]benchTarget, error) {
	few, err := openClearingBank(ctx, b.pg, min(tableFew, b.options.Many), b.say)
	if err != nil {
		return nil, err
	}
	defer few.close()
	before := heapBytes()
	many, err := openClearingBank(ctx, b.pg, b.options.Many, b.say)
	if err != nil {
		return nil, err
	}
	defer many.close()
	b.Memory = float64(heapBytes()-before) / float64(b.options.Many)

	o := clearingOptions{traffic: traffic{Payees: 1}, Seconds: b.options.Seconds}
	// The same traffic in both: no call has two orders of one payer, whose signatures
	// and balances would be put together in the small bank and not in the large one.
	run := o.run()
	run.atATime = max(1, few.accounts/run.lanes)
	small, err := b.measure(ctx, few, "in process, few accounts", run)
	if err != nil {
		return nil, err
	}
	large, err := b.measure(ctx, many, "in process, many accounts", run)
	if err != nil {
		return nil, err
	}
	return []benchTarget{
		atMost("memory_per_account", b.Memory, "bytes", targetMemory),
		atMost("cost_many_over_few_accounts", large.cost()/small.cost(), "times", targetGrowth),
	}, nil
}

// heapBytes is what the live objects of this process take.
func heapBytes() int64 {
	runtime.GC()
	runtime.GC() // the first one only empties the pools halfway
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// measureRecovery times how long a bank with a long journal takes to open.
func (b *clearingBench) measureRecovery(ctx context.Context, _ *clearingBank) ([]benchTarget, error) {
	size := recoveryTarget
	size.Transfers = b.options.Past
	size.Accounts, size.Age = min(size.Accounts, size.Transfers/10), min(size.Age, size.Transfers/10)
	url, err := newDatabase(ctx, b.pg)
	if err != nil {
		return nil, err
	}
	if b.Recovery, err = measureRecovery(ctx, url, size, b.say); err != nil {
		return nil, err
	}
	return []benchTarget{atMost("recovery", b.Recovery.Seconds, "seconds", recoverySecondsMax)}, nil
}

// latencyFigure is how long acknowledgements took, in milliseconds.
type latencyFigure struct {
	Orders int     `json:"orders"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
}

// offeredLoad is what happened at a rate of orders that came one by one.
type offeredLoad struct {
	Offered  float64 `json:"offered_per_second"`
	Answered float64 `json:"per_second"`
	latencyFigure
}

// lonePayments is how many payments are made one by one on an idle bank.
const lonePayments = 200

// measureLatency makes lone payments, and then offers a quarter of the peak.
func (b *clearingBench) measureLatency(ctx context.Context, bank *clearingBank) ([]benchTarget, error) {
	if err := errors.Join(bank.settle(ctx), bank.checkpoint(ctx)); err != nil {
		return nil, err
	}
	lanes, err := bank.sign(ctx, traffic{Payees: 1}, 1, lonePayments)
	if err != nil {
		return nil, err
	}
	l := &lanes[0]
	for i := range l.orders {
		time.Sleep(2 * time.Millisecond) // idle means idle
		if l.answers, err = bank.engineTeller(ctx, l.orders[i:i+1], l.answers); err != nil {
			return nil, err
		}
	}
	b.Lone = latencyOf(lanes)
	// The first one brings the pages that a checkpoint has to see again into the log.
	var load offeredLoad
	for range 2 {
		if load, err = b.offerLoad(ctx, bank, b.Runs[0].PerSecond/4); err != nil {
			return nil, err
		}
	}
	b.Quarter = load.latencyFigure
	return []benchTarget{
		atMost("quarter_of_peak_p99", b.Quarter.P99, "ms", targetQuarter),
		atMost("lone_payment_p50", b.Lone.P50, "ms", targetLone),
	}, nil
}

// offeredShares of the peak are drawn.
var offeredShares = []float64{0.1, 0.25, 0.5, 0.75, 0.9, 1.1}

func (b *clearingBench) measureOffered(ctx context.Context, bank *clearingBank) ([]benchTarget, error) {
	for _, share := range offeredShares {
		load, err := b.offerLoad(ctx, bank, share*b.Runs[0].PerSecond)
		if err != nil {
			return nil, err
		}
		b.Offered = append(b.Offered, load)
	}
	return nil, nil
}

// offerLoad hands in orders one by one at a rate.
func (b *clearingBench) offerLoad(ctx context.Context, bank *clearingBank, rate float64) (offeredLoad, error) {
	// An account's next order must not overtake the one before it.
	n := min(max(int(rate*b.options.Seconds/2), 1), bank.accounts)
	lanes, err := bank.sign(ctx, traffic{Payees: 1}, 1, n)
	if err != nil {
		return offeredLoad{}, err
	}
	if err := bank.settle(ctx); err != nil {
		return offeredLoad{}, err
	}
	elapsed := bank.offer(ctx, &lanes[0], rate)
	load := offeredLoad{Offered: rate, latencyFigure: latencyOf(lanes)}
	load.Answered = float64(load.Orders) / elapsed.Seconds()
	b.say("offered %.0f a second: %.0f answered, p50 %.1f ms, p99 %.1f ms", rate, load.Answered, load.P50, load.P99)
	return load, ctx.Err()
}

func latencyOf(lanes []lane) latencyFigure {
	sorted := latencies(lanes)
	return latencyFigure{Orders: len(sorted), P50: quantile(sorted, 0.5), P99: quantile(sorted, 0.99)}
}
