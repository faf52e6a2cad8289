package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Each member withdraws after every withdrawEvery transfers; two members out of
// three share a destination with others, as at an exchange.
const (
	withdrawEvery      = 200
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
	for i := range d.Transfers {
		from := i % d.Members
		to := (from + 1 + d.random.IntN(d.Members-1)) % d.Members
		bodies[from] = append(bodies[from], &ledger.Transfer{Payments: []ledger.Payment{{
			Payee: d.members[to].id, Amount: ledger.Amount(1 + d.random.IntN(demoTransferMax))}}})
		if done := i/d.Members + 1; done%withdrawEvery == 0 {
			bodies[from] = append(bodies[from], &ledger.Withdraw{Amount: demoWithdrawal, FeeMax: demoWithdrawFeeMax,
				Script: destinations[d.random.IntN(demoDestinations)]})
		}
	}
	group, _ := errgroup.WithContext(ctx)
	for i, m := range d.members {
		group.Go(func() error {
			for _, body := range bodies[i] {
				if err := d.sign(m, body); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

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
	group, ctx := errgroup.WithContext(ctx)
	ctx, stopBlocks := context.WithCancel(ctx)
	defer stopBlocks()
	group.Go(func() error { return d.blocks(ctx) })
	group.Go(func() error { return d.crash(ctx, &done, int64(total)*2/5) })
	payers, payersCtx := errgroup.WithContext(ctx)
	for _, m := range d.members {
		payers.Go(func() error { return d.send(payersCtx, m, &done) })
	}
	group.Go(func() error { return d.progress(ctx, &done, total) })
	began := time.Now()
	err := payers.Wait()
	stopBlocks()
	if other := group.Wait(); err == nil && !errors.Is(other, context.Canceled) {
		err = other
	}
	if err != nil {
		return err
	}
	d.result.Transfers = d.Transfers
	d.say("All %d orders acknowledged in %.1f s, every receipt verified by its member", total, time.Since(began).Seconds())
	return nil
}

// blocks mines, as the chain would, until ctx ends.
func (d *demo) blocks(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(demoBlockEvery):
		}
		if _, err := d.node.Mine(ctx, 1); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// patience is how long a member goes on asking a bank that does not answer.
const patience = 30 * time.Second

// send submits a member's orders in chunks. When the answer is missing it sends
// the same bytes again until there is one: whatever happened in between, each
// order is carried out once.
func (d *demo) send(ctx context.Context, m *demoMember, done *atomic.Int64) error {
	answered := time.Now()
	for m.accepted < len(m.orders) {
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

// crash kills the bank once enough orders are acknowledged, and starts it again
// without the last guardian.
func (d *demo) crash(ctx context.Context, done *atomic.Int64, after int64) error {
	for done.Load() < after {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	d.bank.kill()
	d.result.Crash.Killed = true
	d.say("SIGKILL: the bank's process is gone after %d acknowledged orders, in the middle of traffic", done.Load())
	away := d.info.Policy.Guardians - 1
	share := filepath.Join(d.dir, "bank", fmt.Sprintf("guardian-%d.share", away))
	if err := os.Rename(share, share+".away"); err != nil {
		return err
	}
	d.say("Guardian %d is away from now on; %d remain, %d are needed", away, away, d.info.Policy.Threshold)
	began := time.Now()
	if err := d.startBank(ctx, d.bank.url[len("http://"):]); err != nil {
		return err
	}
	d.say("Started again in %.2f s: journal replayed, every balance as stored; members send what was not answered once more", time.Since(began).Seconds())
	return nil
}

// progress tells how far the traffic is, every second.
func (d *demo) progress(ctx context.Context, done *atomic.Int64, total int) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var told int64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if n := done.Load(); n > told && n < int64(total) {
				told = n
				d.say("… %d of %d orders acknowledged", n, total)
			}
		}
	}
}
