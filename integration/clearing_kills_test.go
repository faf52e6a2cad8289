package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/api"
	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
)

var (
	killsSeed  = flag.Uint64("kills.seed", 0, "seed of the story of kills; 0 takes a new one")
	killsCount = flag.Int("kills.count", 10, "how often the story of kills kills the bank or PostgreSQL")
)

// TestKills lets members send as much as the bank takes, and kills, at random
// moments, the bank, PostgreSQL, or one of PostgreSQL's processes, or starts a
// second bank on the same database. After it, no acknowledged order is lost,
// none is applied twice, and whoever sends an order again gets the first answer.
func TestKills(t *testing.T) {
	seed := *killsSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./integration -run TestKills -args -kills.seed=%d -kills.count=%d", seed, *killsCount)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(*killsCount)*20*time.Second)
	defer cancel()
	s := newKillsStory(ctx, t, seed)
	s.fund()
	for n := range *killsCount {
		s.round(n, s.draw())
	}
	s.freeze()
	s.finish()
	s.judge()
}

const (
	loadPerMember  = 200 // orders in a round
	loadPerRequest = 50
)

// killsStory is the story of crash_test.go on a PostgreSQL of its own.
type killsStory struct {
	*crashStory
	server *cluster.Cluster
	deck   []strike // what is still to come, before it begins anew
}

func newKillsStory(ctx context.Context, t *testing.T, seed uint64) *killsStory {
	t.Setenv("DAOBANK_POSTGRES", "") // only a server of one's own can be killed
	server, err := cluster.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s := &killsStory{server: server, crashStory: &crashStory{t: t, ctx: ctx, random: rand.New(rand.NewPCG(seed, 1)), node: bitcoind.Start(t)}}
	s.database, err = server.CreateDatabase(ctx, "bank")
	s.must(err)
	s.found()
	return s
}

// A strike is what happens to the bank in the middle of a round. When it
// returns, the bank may be dead, or be about to die.
type strike struct {
	name string
	hit  func(*killsStory)
}

var strikes = []strike{
	{"the bank is killed", func(s *killsStory) { s.house.bank.kill() }},
	{"PostgreSQL is killed", (*killsStory).killServer},
	{"a process of PostgreSQL is killed", (*killsStory).killBackend},
	{"a second bank takes over", (*killsStory).takeOver},
}

// draw returns a random strike; each comes once before any comes again.
func (s *killsStory) draw() strike {
	if len(s.deck) == 0 {
		s.deck = slices.Clone(strikes)
		s.random.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	next := s.deck[0]
	s.deck = s.deck[1:]
	return next
}

// killServer kills PostgreSQL whole and starts it again when the bank has ended.
func (s *killsStory) killServer() {
	s.must(s.server.Kill())
	s.awaitEnd()
	s.must(s.server.Restart(s.ctx))
}

// killBackend kills a process of PostgreSQL that serves the bank. PostgreSQL
// then ends all others, since their shared memory may be spoiled, and recovers.
func (s *killsStory) killBackend() {
	conn, err := pgx.Connect(s.ctx, s.database)
	s.must(err)
	defer conn.Close(s.ctx)
	var pids []int
	s.must(conn.QueryRow(s.ctx, `select array_agg(pid order by pid) from pg_stat_activity where application_name = 'daobank'`).Scan(&pids))
	// The server sends the signal itself, so this works wherever it runs. Whether
	// it still answers is a matter of luck: this connection ends too.
	_, _ = conn.Exec(s.ctx, fmt.Sprintf(`copy (select) to program 'kill -KILL %d'`, pids[s.random.IntN(len(pids))]))
	s.wait("PostgreSQL to notice", func() (bool, string) {
		err := conn.Ping(s.ctx)
		return err != nil, "it still answers"
	})
}

// takeOver starts a second bank on the database while the first one works. From
// then on the first can write nothing, and it ends.
func (s *killsStory) takeOver() {
	first := s.house.bank
	second := s.second()
	s.expectFenced(first)
	second.kill()
}

// second starts a bank that listens elsewhere, waits until it is open, and sees
// that it knows what the first one answered.
func (s *killsStory) second() *process {
	s.t.Helper()
	url, address := s.house.url, s.house.address
	s.house.url = ""
	s.house.spawn()
	s.house.url, s.house.address = url, address
	s.sendAgain(api.Dial(s.house.bank.await(s.ctx, "listening")["listening"]))
	return s.house.bank
}

// expectFenced waits until a bank that was replaced has ended, and sees that it
// says why.
func (s *killsStory) expectFenced(first *process) {
	s.t.Helper()
	select {
	case err := <-first.exited:
		first.cmd = nil
		if err == nil {
			s.t.Error("the first bank ended as if nothing had happened")
		}
	case <-time.After(time.Minute):
		s.t.Fatal("the first bank still runs a minute after it was replaced")
	}
	log, err := os.ReadFile(first.log)
	s.must(err)
	if !bytes.Contains(log, []byte(postgres.ErrFenced.Error())) {
		s.t.Error("the first bank does not say why it ended")
	}
}

// freeze stops the bank as a machine that hangs does, lets a second one take its
// place, and wakes it while it has orders to carry out. It carries out none.
func (s *killsStory) freeze() {
	s.t.Helper()
	for _, m := range s.members {
		s.pump(s.ctx, m)
	}
	first := s.house.bank
	s.must(first.cmd.Process.Signal(syscall.SIGSTOP))
	second := s.second()
	var waiting sync.WaitGroup
	for i, m := range s.members {
		s.order(m, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.members[(i+1)%crashMembers].id, Amount: 1}}})
		o := m.orders[m.answered()]
		waiting.Go(func() {
			if a, err := s.client.Submit(s.ctx, o); !api.Unanswered(err) {
				s.t.Errorf("the bank that was replaced answers with batch %d of epoch %d, %v", a.Batch(), a.Receipt.Header.Epoch, err)
			}
		})
	}
	s.must(first.cmd.Process.Signal(syscall.SIGCONT))
	waiting.Wait()
	s.expectFenced(first)
	second.kill()
	s.open()
}

// round signs orders, lets all members send them, strikes when a random number
// of them is answered, and opens the bank again.
func (s *killsStory) round(n int, strike strike) {
	s.t.Helper()
	for _, m := range s.members {
		for range loadPerMember {
			to := s.members[s.random.IntN(crashMembers)]
			for to == m {
				to = s.members[s.random.IntN(crashMembers)]
			}
			s.order(m, &ledger.Transfer{Payments: []ledger.Payment{{Payee: to.id, Amount: s.amount()}}})
		}
	}
	payer := s.members[s.random.IntN(crashMembers)]
	s.order(payer, &ledger.Withdraw{Amount: crashWithdraw, FeeMax: crashFeeMax, Script: s.destination()})
	answered, signed := s.count()
	strikeAt := answered + s.random.IntN((signed-answered)*3/4)
	ctx, cancel := context.WithCancel(s.ctx)
	var senders sync.WaitGroup
	for _, m := range s.members {
		senders.Go(func() { s.pump(ctx, m) })
	}
	_, err := s.node.Mine(s.ctx, 1)
	s.must(err)
	s.wait("traffic", func() (bool, string) {
		now, _ := s.count()
		return now >= strikeAt, fmt.Sprintf("%d of %d answered", now, strikeAt)
	})
	strike.hit(s)
	s.awaitEnd()
	cancel()
	senders.Wait()
	now, _ := s.count()
	s.t.Logf("round %d, %s: %d orders answered, %d of %d in all", n+1, strike.name, now-answered, now, signed)
	s.open()
	s.sendAgain(s.client)
}

// pump is send with larger requests, from a client that does not wait.
func (s *killsStory) pump(ctx context.Context, m *payer) {
	for ctx.Err() == nil && len(m.orders) > m.answered() {
		from := m.answered()
		for _, o := range s.client.SubmitMany(ctx, m.orders[from:min(from+loadPerRequest, len(m.orders))]) {
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

// sendAgain sends orders that were answered before, one of each member, and
// expects the first answer.
func (s *killsStory) sendAgain(client *api.Client) {
	s.t.Helper()
	for _, m := range s.members {
		if m.answered() == 0 {
			continue
		}
		i := s.random.IntN(m.answered())
		m.mu.Lock()
		first := m.answers[i]
		m.mu.Unlock()
		again, err := client.Submit(s.ctx, m.orders[i])
		if err != nil || !again.Repeated || !bytes.Equal(again.Receipt.Bytes(), first.Receipt.Bytes()) {
			s.t.Errorf("account %s order %d, sent again: repeated %v, batch %d, %v; the first answer was batch %d",
				m.id, i+1, again.Repeated, again.Batch(), err, first.Batch())
		}
	}
}

// awaitEnd waits until the bank has ended. One that was struck when it had
// nothing more to do may live until open gives it an order.
func (s *killsStory) awaitEnd() {
	s.t.Helper()
	s.wait("the bank's end", func() (bool, string) {
		now, signed := s.count()
		return s.ended() || now == signed, fmt.Sprintf("%d of %d answered", now, signed)
	})
}

// ended reports whether the bank's process has ended.
func (s *killsStory) ended() bool {
	if s.house.bank.cmd == nil {
		return true
	}
	select {
	case <-s.house.bank.exited:
		s.house.bank.cmd = nil
		return true
	default:
		return false
	}
}

// open starts the bank, as a service manager does, until it has carried out an
// order: one that starts while PostgreSQL recovers ends at once, and one that
// had nothing to do when PostgreSQL was killed ends at its next order.
func (s *killsStory) open() {
	s.t.Helper()
	m := s.members[0]
	s.wait("an order to be carried out", func() (bool, string) {
		if s.ended() {
			s.house.spawn()
		}
		if len(m.orders) == m.answered() {
			s.order(m, &ledger.Transfer{Payments: []ledger.Payment{{Payee: s.members[1].id, Amount: 1}}})
		}
		a, err := s.client.Submit(s.ctx, m.orders[m.answered()])
		if api.Unanswered(err) {
			return false, err.Error()
		}
		s.must(err)
		m.take(a)
		return !a.Repeated, "only orders that were carried out before"
	})
}
