package main

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/ledger"
)

// demoMember is a member's wallet: a key and the chain of orders signed with it.
type demoMember struct {
	key      *btcec.PrivateKey
	id       ledger.AccountID
	sequence uint64
	last     ledger.Hash

	orders   []*ledger.Order // signed, in order
	accepted int             // orders that were acknowledged, from the first on
}

func (d *demo) openMember(ctx context.Context) (*demoMember, error) {
	key, err := btcec.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	o := &ledger.Order{Bank: d.info.ID, Body: &ledger.Open{Key: ledger.KeyOf(key)}}
	if err := o.Sign(key); err != nil {
		return nil, err
	}
	accepted, err := d.client.Submit(ctx, o)
	if err != nil {
		return nil, err
	}
	return &demoMember{key: key, id: accepted.Account, last: o.Digest()}, nil
}

func (d *demo) sign(m *demoMember, body ledger.Body) error {
	o := &ledger.Order{Bank: d.info.ID, Payer: m.id, Sequence: m.sequence + 1, Previous: m.last, Body: body}
	if err := o.Sign(m.key); err != nil {
		return err
	}
	m.sequence, m.last = o.Sequence, o.Digest()
	m.orders = append(m.orders, o)
	return nil
}

// Withdrawals go to few destinations, as to exchanges, so that payouts of
// several members share an output.
const (
	demoDestinations   = 7
	demoTransferMax    = 5_000
	demoWithdrawal     = 250_000
	demoWithdrawFeeMax = 5_000
	chunk              = 50 // orders in one request
)

// signTraffic signs every order before the first is sent.
func (d *demo) signTraffic(ctx context.Context) error {
	destinations := make([][]byte, demoDestinations)
	for i := range destinations {
		key, err := btcec.NewPrivateKey()
		if err != nil {
			return err
		}
		x := ledger.KeyOf(key)
		destinations[i] = append([]byte{0x51, 32}, x[:]...) // P2TR
	}
	bodies := make([][]ledger.Body, d.Members)
	every := d.withdrawEvery()
	for i := range d.Transfers {
		from := i % d.Members
		to := (from + 1 + d.random.IntN(d.Members-1)) % d.Members
		bodies[from] = append(bodies[from], &ledger.Transfer{Payments: []ledger.Payment{{
			Payee: d.members[to].id, Amount: ledger.Amount(1 + d.random.IntN(demoTransferMax))}}})
		if (i/d.Members+1+from*every/d.Members)%every == 0 {
			bodies[from] = append(bodies[from], &ledger.Withdraw{Amount: demoWithdrawal, FeeMax: demoWithdrawFeeMax,
				Script: destinations[d.random.IntN(demoDestinations)]})
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, m := range d.members {
		group.Go(func() error {
			for _, body := range bodies[i] {
				if err := cmp.Or(ctx.Err(), d.sign(m, body)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// withdrawEvery is how many transfers a member signs for each withdrawal: two
// or three withdrawals each, and not all members at the same time.
func (d *demo) withdrawEvery() int { return max(1, d.Transfers/d.Members*2/5) }

// traffic lets all members pay at once, while blocks come, and kills the bank
// in the middle.
func (d *demo) traffic(ctx context.Context) error {
	if err := d.signTraffic(ctx); err != nil {
		return err
	}
	total := 0
	for _, m := range d.members {
		total += len(m.orders)
	}
	d.say("%d transfers and %d withdrawals signed by their payers (seed %d)", d.Transfers, total-d.Transfers, d.Seed)

	var done atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.blocks(ctx, &done, total) })
	group.Go(func() error { return d.crash(ctx, &done, total) })
	payers, payersCtx := errgroup.WithContext(ctx)
	for _, m := range d.members {
		payers.Go(func() error { return d.send(payersCtx, m, &done) })
	}
	progressCtx, stopProgress := context.WithCancel(ctx)
	defer stopProgress()
	group.Go(func() error { return d.progress(progressCtx, &done, total) })
	group.Go(func() error {
		defer stopProgress()
		if err := payers.Wait(); err != nil {
			return err
		}
		d.say("All %d orders acknowledged in %.1f s, every receipt verified by its member", total, time.Since(began).Seconds())
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	d.result.Transfers = d.Transfers
	return nil
}

// demoBlocks is how many blocks come in while the members pay. A settlement
// takes demoDepth of them.
const demoBlocks = 8

// blocks mines a block each time a part of the orders is acknowledged, and lets
// the members be at most one part ahead of what the bank has settled: they
// could send all of it before the second block. The clock has no say, so that
// the story is the same on a slow machine.
func (d *demo) blocks(ctx context.Context, done *atomic.Int64, total int) error {
	part := func(i int) int64 { return int64(total) * int64(i) / (demoBlocks + 1) }
	for i := range demoBlocks {
		d.allowed.Store(part(i + 2))
		if err := await(ctx, done, part(i+1)); err != nil {
			return err
		}
		if err := d.mine(ctx, 1); err != nil {
			return err
		}
		d.mined.Add(1)
	}
	d.allowed.Store(int64(total))
	return nil
}

// await waits until counter has reached n.
func await(ctx context.Context, counter *atomic.Int64, n int64) error {
	for counter.Load() < n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// patience is how long a member goes on asking a bank that does not answer.
const patience = 30 * time.Second

// send submits a member's orders in chunks. When the answer is missing it sends
// the same bytes again until there is one: whatever happened in between, each
// order is carried out once.
func (d *demo) send(ctx context.Context, m *demoMember, done *atomic.Int64) error {
	answered := time.Now()
	for m.accepted < len(m.orders) {
		if n := done.Load(); n >= d.allowed.Load() {
			if err := await(ctx, &d.allowed, n+1); err != nil {
				return err
			}
			answered = time.Now()
		}
		part := m.orders[m.accepted:min(m.accepted+chunk, len(m.orders))]
		var err error
		for _, o := range d.client.SubmitMany(ctx, part) {
			if err = o.Err; err != nil {
				break
			}
			m.accepted++
			done.Add(1)
			answered = time.Now()
		}
		if err == nil {
			continue
		}
		if !api.Unanswered(err) || time.Since(answered) > patience {
			return fmt.Errorf("account %s: %w", m.id, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond): // the bank is away: ask again
		}
	}
	return nil
}

// crash kills the bank and the last guardian once enough orders are
// acknowledged, and starts the bank again.
func (d *demo) crash(ctx context.Context, done *atomic.Int64, total int) error {
	if err := await(ctx, done, int64(total)*2/5); err != nil {
		return err
	}
	d.bank.kill()
	d.result.Crash.Killed = true
	d.say("SIGKILL: the bank's process is gone after %d acknowledged orders, in the middle of traffic", done.Load())
	away := d.council.lose()
	d.say("SIGKILL: guardian %d is gone too, and stays away; %d remain, %d are needed", away, away, d.info.Policy.Threshold)
	began := time.Now()
	if err := d.startBank(ctx, d.url[len("http://"):]); err != nil {
		return err
	}
	d.say("Started again in %.2f s: journal replayed, every balance as stored; members send again what was not answered", time.Since(began).Seconds())
	return nil
}

// progress tells every second how far the traffic is, until ctx ends.
func (d *demo) progress(ctx context.Context, done *atomic.Int64, total int) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			d.say("… %d of %d orders acknowledged, %d blocks mined", done.Load(), total, d.mined.Load())
		}
	}
}
