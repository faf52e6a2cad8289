package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/audit"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/taproot"
)

var (
	crashSeed  = flag.Uint64("crash.seed", 0, "seed of the crash story; 0 takes a new one")
	crashKills = flag.Int("crash.kills", 20, "how often the crash story kills the bank")
)

// TestCrash kills the bank with SIGKILL at random moments under traffic. After
// it, no acknowledged order is lost, none is applied twice, balances are those
// of a model, and what a replay gives is what the database holds.
func TestCrash(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./integration -run TestCrash -args -crash.seed=%d -crash.kills=%d", seed, *crashKills)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := newCrashStory(ctx, t, seed)
	s.fund()
	for n := range *crashKills {
		s.traffic(n)
	}
	s.finish()
	s.judge()
}

const (
	crashMembers     = 6
	crashDeposit     = 10_000_000
	crashTreasury    = 1_000_000
	crashWithdraw    = 20_000
	crashFeeMax      = 2_000
	ordersPerBurst   = 240
	ordersPerRequest = 8
)

type crashStory struct {
	t        *testing.T
	ctx      context.Context
	random   *rand.Rand
	node     *bitcoind.Node
	database string
	house    *house
	client   *api.Client
	info     api.Bank
	vault    *taproot.Vault
	members  []*payer
}

// payer is a member with the orders it has signed and what was answered.
type payer struct {
	key      *btcec.PrivateKey
	id       ledger.AccountID
	opened   sentOrder
	sequence uint64
	last     ledger.Hash
	orders   []*ledger.Order

	mu      sync.Mutex
	answers []api.Acceptance // of the first orders, in order
}

func newCrashStory(ctx context.Context, t *testing.T, seed uint64) *crashStory {
	s := &crashStory{t: t, ctx: ctx, random: rand.New(rand.NewPCG(seed, 1)),
		node: bitcoind.Start(t), database: cluster.Test(t)}
	s.found()
	return s
}

// found opens a house of three guardians, two of whom sign, with more arguments for
// its founding.
func (s *crashStory) found(more ...string) {
	_, err := s.node.Mine(s.ctx, 101)
	s.must(err)
	s.house = newHouse(s.t, s.node, s.database, 2, 3, more...)
	s.house.open(s.ctx)
	s.client = api.Dial(s.house.url)
	s.info, err = s.client.Bank(s.ctx)
	s.must(err)
	s.vault, err = taproot.NewVault(s.info.Policy)
	s.must(err)
}

func (s *crashStory) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// fund opens the members' accounts and credits each with a deposit.
func (s *crashStory) fund() {
	outs := []*wire.TxOut{s.depositTo(ledger.Treasury, crashTreasury)}
	for range crashMembers {
		outs = append(outs, s.depositTo(s.admit().id, crashDeposit))
	}
	_, err := s.node.FundMany(s.ctx, outs)
	s.must(err)
	_, err = s.node.Mine(s.ctx, int(s.info.Charter.Depth))
	s.must(err)
	s.wait("the last deposit", func() (bool, string) {
		a, err := s.client.Account(s.ctx, s.members[crashMembers-1].id)
		return err == nil && a.Balance == crashDeposit, fmt.Sprintf("balance %v, error %v", a.Balance, err)
	})
}

// admit opens an account.
func (s *crashStory) admit() *payer {
	s.t.Helper()
	key, err := btcec.NewPrivateKey()
	s.must(err)
	open := &ledger.Order{Bank: s.info.ID, Body: &ledger.Open{Key: ledger.KeyOf(key)}}
	s.must(open.Sign(key))
	a, err := s.client.SubmitUntilAnswered(s.ctx, open)
	s.must(err)
	m := &payer{key: key, id: a.Account, last: open.Digest(), opened: sentOrder{order: open, account: a.Account, receipt: &a.Receipt}}
	s.members = append(s.members, m)
	return m
}

func (s *crashStory) depositTo(id ledger.AccountID, amount int64) *wire.TxOut {
	out, err := s.vault.Output(taproot.Deposit, id.Index())
	s.must(err)
	return wire.NewTxOut(amount, out.Script)
}

func (s *crashStory) wait(what string, look func() (done bool, seen string)) {
	s.t.Helper()
	waitFor(s.ctx, s.t, what, look)
}

// traffic signs a burst of orders, sends them from all members at once while a
// block is mined, and kills the bank when a random number of them is answered.
// Every fifth time it kills the bank once more while it starts, and a guardian,
// which is started again.
func (s *crashStory) traffic(n int) {
	for range ordersPerBurst {
		s.sign(s.members[s.random.IntN(crashMembers)])
	}
	answered, signed := s.count()
	killAt := answered + s.random.IntN(signed-answered)
	ctx, cancel := context.WithCancel(s.ctx)
	var wg sync.WaitGroup
	for _, m := range s.members {
		wg.Go(func() { s.send(ctx, m) })
	}
	_, err := s.node.Mine(s.ctx, 1)
	s.must(err)
	s.wait("traffic", func() (bool, string) {
		now, _ := s.count()
		return now >= killAt, fmt.Sprintf("%d of %d answered", now, killAt)
	})
	s.house.bank.kill()
	cancel()
	wg.Wait()
	now, _ := s.count()
	s.t.Logf("kill %d: %d orders answered since the last, %d of %d in all", n+1, now-answered, now, signed)
	if n%5 == 4 {
		s.house.spawn()
		pause(s.ctx, time.Duration(s.random.IntN(300))*time.Millisecond)
		s.house.bank.kill()
		lost := s.house.guardians[s.random.IntN(len(s.house.guardians))]
		lost.kill()
		lost.start()
	}
	s.house.reopen(s.ctx)
}

// sign adds an order to a member's chain: mostly a transfer to one, sometimes
// to all others, sometimes a withdrawal.
func (s *crashStory) sign(m *payer) {
	var body ledger.Body
	switch dice := s.random.IntN(100); {
	case dice < 2:
		body = &ledger.Withdraw{Amount: crashWithdraw, FeeMax: crashFeeMax, Script: s.destination()}
	case dice < 10:
		var all []ledger.Payment
		for _, other := range s.members {
			if other != m {
				all = append(all, ledger.Payment{Payee: other.id, Amount: s.amount()})
			}
		}
		body = &ledger.Transfer{Payments: all}
	default:
		to := s.members[s.random.IntN(crashMembers)]
		for to == m {
			to = s.members[s.random.IntN(crashMembers)]
		}
		body = &ledger.Transfer{Payments: []ledger.Payment{{Payee: to.id, Amount: s.amount()}}}
	}
	s.order(m, body)
}

// order adds an order to a member's chain.
func (s *crashStory) order(m *payer, body ledger.Body) {
	o := &ledger.Order{Bank: s.info.ID, Payer: m.id, Sequence: m.sequence + 1, Previous: m.last, Body: body}
	s.must(o.Sign(m.key))
	m.sequence, m.last = o.Sequence, o.Digest()
	m.orders = append(m.orders, o)
}

func (s *crashStory) amount() ledger.Amount { return ledger.Amount(1 + s.random.IntN(300)) }

// destination is one of three scripts, so that withdrawals share outputs.
func (s *crashStory) destination() []byte {
	script := append([]byte{0x00, 20}, make([]byte, 20)...) // P2WPKH
	script[2] = byte(1 + s.random.IntN(3))
	return script
}

// send submits what is not answered yet, a few orders at a time, until all is
// or ctx ends. What was not answered is sent again, the same bytes.
func (s *crashStory) send(ctx context.Context, m *payer) {
	for ctx.Err() == nil && len(m.orders) > m.answered() {
		from := m.answered()
		part := m.orders[from:min(from+ordersPerRequest, len(m.orders))]
		for _, o := range s.client.SubmitMany(ctx, part) {
			if o.Err != nil {
				if !api.Unanswered(o.Err) && !errors.Is(o.Err, context.Canceled) {
					s.t.Errorf("account %s order %d: %v", m.id, m.answered()+1, o.Err)
					return
				}
				pause(ctx, 10*time.Millisecond) // the bank is away: ask again
				break
			}
			m.take(o.Acceptance)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (m *payer) answered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answers)
}

func (m *payer) take(a api.Acceptance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers = append(m.answers, a)
}

func (s *crashStory) count() (answered, signed int) {
	for _, m := range s.members {
		answered, signed = answered+m.answered(), signed+len(m.orders)
	}
	return answered, signed
}

// finish sends everything that has no answer, and settles every withdrawal.
func (s *crashStory) finish() {
	var wg sync.WaitGroup
	for _, m := range s.members {
		wg.Go(func() { s.send(s.ctx, m) })
	}
	wg.Wait()
	if answered, signed := s.count(); answered != signed {
		s.t.Errorf("%d of %d orders are answered at the end", answered, signed)
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
	for settled := false; !settled; {
		s.withdrawMore()
		tip, err := s.node.Mine(s.ctx, 1)
		s.must(err)
		height, err := s.node.Height(s.ctx)
		s.must(err)
		s.wait("the desk", func() (bool, string) {
			bank, err := s.client.Bank(s.ctx)
			return err == nil && int(bank.Height) >= int(height)-depth+1, fmt.Sprintf("books at %d, chain at %d %s, error %v", bank.Height, height, tip[0], err)
		})
		settled = true
		for _, m := range s.members {
			a, err := s.client.Account(s.ctx, m.id)
			s.must(err)
			settled = settled && a.Held == 0
		}
		list, err := s.client.Settlements(s.ctx, 1, 1000)
		s.must(err)
		for _, one := range list {
			settled = settled && one.Stage == "posted"
		}
	}
	s.house.bank.stop()
	// What banks that were killed wrote down of their books is what the journal
	// says, or this one would not open.
	s.house.reopen(s.ctx, "--verify-genesis")
	s.house.bank.stop()
}

// withdrawMore sees to it that there is a third settlement, however few blocks
// the traffic took.
func (s *crashStory) withdrawMore() {
	bank, err := s.client.Bank(s.ctx)
	s.must(err)
	if bank.Settlements >= 3 {
		return
	}
	m := s.members[0]
	s.order(m, &ledger.Withdraw{Amount: crashWithdraw, FeeMax: crashFeeMax, Script: s.destination()})
	s.send(s.ctx, m)
}

// sent is every order that was answered, with its answer.
func (s *crashStory) sent() (all []sentOrder) {
	for _, m := range s.members {
		all = append(all, m.opened)
		for i := range m.answered() {
			all = append(all, sentOrder{order: m.orders[i], account: m.id, receipt: &m.answers[i].Receipt})
		}
	}
	return all
}

// try lets the judge look at a bank that is at rest, and at what more there is to tell
// it, and returns what it says.
func (s *crashStory) try(more ...func(*evidence)) []*verdict {
	s.t.Helper()
	e, err := gather(s.ctx, s.node.Client, s.database, s.info.Charter, s.vault, s.sent())
	s.must(err)
	for _, tell := range more {
		tell(e)
	}
	verdicts := e.judge()
	for _, v := range verdicts {
		for i, wrong := range v.wrong {
			if i == 10 {
				s.t.Errorf("%s: and %d more", v.what, len(v.wrong)-i)
				break
			}
			s.t.Error(wrong)
		}
	}
	return verdicts
}

// judge lets the judge look, and runs the audit.
func (s *crashStory) judge() {
	store, err := postgres.OpenReadOnly(s.ctx, s.database)
	s.must(err)
	defer store.Close()
	s.try()
	if list, err := store.Snapshots(s.ctx); err != nil || len(list) == 0 {
		s.t.Errorf("%d snapshots are stored (%v): every start replayed all", len(list), err)
	}
	report, err := audit.Run(s.ctx, audit.Config{Charter: s.info.Charter, Vault: s.vault, Journal: store,
		Chain: s.node.Client, Scanner: s.node.Client, Table: func(ctx context.Context) (*audit.Table, error) {
			batch, balances, err := store.BalancesAt(ctx)
			table := &audit.Table{Batch: batch}
			for _, b := range balances {
				table.Balances = append(table.Balances, audit.Balance{Account: b.Account, Key: b.Key, Amount: b.Amount})
			}
			return table, err
		}})
	s.must(err)
	if !report.OK {
		s.t.Errorf("the audit finds: %s", report.First.Text)
	}
	if report.Settlements < 3 {
		s.t.Errorf("only %d settlements were posted: the story shows too little", report.Settlements)
	}
	s.t.Logf("audit: %d batches, %d orders, %d settlements, %d sat in the books, %d sat on chain",
		report.Batches, report.Orders, report.Settlements, report.LedgerSat, report.ChainSat)
}
