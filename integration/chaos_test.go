package integration

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/bitcoind"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/ledger/postgres/lossy"
	"github.com/daobank/daobank/settlement"
)

var (
	chaosSeed    = flag.Uint64("chaos.seed", 0, "seed of the story of chaos; 0 takes a new one")
	chaosMoments = flag.Int("chaos.moments", 6, "random moments at which the story of chaos strikes, after all boundaries")
	chaosLimit   = flag.Duration("chaos.limit", 0, "how long the random moments may take; 0 is no limit")
	chaosVictims = flag.Int("chaos.victims", 2, "who is struck at each boundary: the bank, and as many less one of the others by turns; 4 strikes all")
)

// TestChaos strikes the bank, its node, its database or a guardian with SIGKILL at
// each boundary between two steps of a settlement, then at random moments together
// with all that a node can do, while deposits, transfers and withdrawals flow. Then
// the judge looks.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./integration -run TestChaos -args -chaos.seed=%d -chaos.moments=%d -chaos.victims=%d", seed, *chaosMoments, *chaosVictims)
	limit := *chaosLimit
	if limit == 0 {
		limit = time.Duration(*chaosMoments) * 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute+limit)
	defer cancel()
	s := newChaosStory(ctx, t, seed)
	s.strikeBoundaries(*chaosVictims)
	s.strikeMoments(*chaosMoments, time.Now().Add(limit))
	s.rest()
	verdicts := s.try(func(e *evidence) {
		e.orders, e.stale, e.returned = append(e.orders, s.refused...), s.stale, s.returned
	})
	t.Log(s.table(seed, verdicts))
}

// chaosDepth lets six blocks be reorganised without touching the books.
const chaosDepth = 7

// chaosStory is a bank behind a connection to PostgreSQL and one to its node that
// fail on order.
type chaosStory struct {
	*killsStory
	proxy  *lossy.Proxy
	rpc    *bitcoind.Proxy
	blocks map[chainhash.Hash]*wire.MsgBlock // that miners showed, for a node that lost them
	tip    chainhash.Hash                    // of those
	// Of reorganisations deeper than the depth: what left the chain, the chain's height
	// when the last was resolved, and withdrawals that the operator gave back.
	stale    []*wire.MsgBlock
	followed int
	returned map[ledger.OrderRef]bool

	arrests chan *arrest
	struck  map[string]int // by what happened
	refused []sentOrder
	senders sync.WaitGroup
	sends   []*bitcoind.Injected // what keeps the node from taking settlements
	reasons int                  // refusals so far, for a new reason each time
	fee     *bitcoind.Injected   // what the node says of fees
	silent  bool                 // too few guardians are there to sign
	seen    []*wire.MsgTx        // versions of settlements that were in the mempool, the newest last

	mu      sync.Mutex
	stage   settlement.Stage // of the settlement in flight, by what the bank writes
	signed  bool             // its newest version is
	pending *transition      // whose write has begun
	begun   time.Time        // when
	done    int              // transitions written since the bank was founded
	taken   map[transition]int
	wanted  map[boundary][]string // who is still to be struck there
}

func newChaosStory(ctx context.Context, t *testing.T, seed uint64) *chaosStory {
	t.Setenv("DAOBANK_POSTGRES", "") // only a server of one's own can be killed
	server, err := cluster.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s := &chaosStory{killsStory: &killsStory{server: server, crashStory: &crashStory{t: t, ctx: ctx, random: rand.New(rand.NewPCG(seed, 1)),
		node: bitcoind.Start(t, bitcoind.WithArgs("-persistmempool=0", "-maxmempool=5"))}},
		blocks: make(map[chainhash.Hash]*wire.MsgBlock), arrests: make(chan *arrest), struck: make(map[string]int),
		returned: make(map[ledger.OrderRef]bool),
		stage:    settlement.StageIdle, taken: make(map[transition]int), wanted: make(map[boundary][]string)}
	s.database, err = server.CreateDatabase(ctx, "bank")
	s.must(err)
	s.found("--depth", fmt.Sprint(chaosDepth))
	s.fund()
	s.house.bank.stop()

	s.rpc = s.node.Proxy(t)
	s.proxy, err = lossy.Start(s.database)
	s.must(err)
	t.Cleanup(s.proxy.Close)
	s.house.bankEnv = []string{"DAOBANK_BITCOIND=" + s.rpc.Config().URL, "DAOBANK_POSTGRES=" + s.proxy.URL()}
	s.house.reopen(ctx)
	s.settleFirst()
	s.done, err = s.written()
	s.must(err)
	s.proxy.Watch(s.watch)
	return s
}

// settleFirst mines until the deposits that the story begins with are swept, and
// lets one more member in, whose whole balance leaves again at once.
func (s *chaosStory) settleFirst() {
	s.drain(func() (bool, string) {
		list, err := s.client.Settlements(s.ctx, 1, 10)
		return err == nil && len(list) > 0 && list[len(list)-1].Stage == "posted", fmt.Sprintf("%+v, %v", list, err)
	})
	s.open()
	m := s.admit()
	_, err := s.node.FundMany(s.ctx, []*wire.TxOut{s.depositTo(m.id, crashDeposit), s.depositTo(ledger.Treasury, 500_000_000)})
	s.must(err)
	s.drain(func() (bool, string) {
		list, err := s.client.Settlements(s.ctx, 2, 10)
		return err == nil && len(list) > 0 && list[0].Stage == "posted", fmt.Sprintf("%+v, %v", list, err)
	})
	s.order(m, &ledger.Withdraw{Amount: crashDeposit - crashFeeMax, FeeMax: crashFeeMax, Script: s.ownScript()})
	s.send(s.ctx, m)
}

// drain mines one block after another, each when the books have the last, until
// done.
func (s *chaosStory) drain(done func() (bool, string)) {
	s.t.Helper()
	for range 100 {
		if ok, _ := done(); ok {
			return
		}
		s.mine(1)
		s.quiet()
	}
	_, seen := done()
	s.t.Fatalf("a hundred blocks have not been enough; last seen: %s", seen)
}

func (s *chaosStory) brief() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, time.Second)
}

// until looks until done. Meanwhile it strikes whoever is to be struck where the bank
// was kept, and starts a bank that has ended, as a service manager does.
func (s *chaosStory) until(what string, look func(ctx context.Context) (done bool, seen string)) {
	s.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		ctx, cancel := s.brief()
		done, seen := look(ctx)
		cancel()
		if done || s.t.Failed() {
			break
		}
		select {
		case a := <-s.arrests:
			s.execute(a)
		case <-time.After(10 * time.Millisecond):
			if s.ended() {
				s.house.bank.start()
			}
		case <-deadline:
			s.t.Fatalf("waited in vain for %s; last seen: %s; the settlement is %s", what, seen, s.now())
		}
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *chaosStory) now() settlement.Stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.begun) > 2*time.Second {
		s.resolve()
	}
	return s.stage
}

// quiet waits until the desk has looked at the chain's tip, and a little more for
// what it does then.
func (s *chaosStory) quiet() {
	s.t.Helper()
	height, err := s.node.Height(s.ctx)
	s.must(err)
	before := s.now()
	var since time.Time
	s.until("the desk", func(ctx context.Context) (bool, string) {
		bank, err := s.client.Bank(ctx)
		if err != nil || int(bank.Height) < int(height)-chaosDepth+1 {
			return false, fmt.Sprintf("books at %d, chain at %d, %v", bank.Height, height, err)
		}
		if since.IsZero() {
			since = time.Now()
		}
		return s.now() != before || time.Since(since) > 150*time.Millisecond, "it rests"
	})
}

func (s *chaosStory) mine(n int, options ...bitcoind.MineOption) {
	s.t.Helper()
	_, err := s.node.Mine(s.ctx, n, options...)
	s.must(err)
}

// strikeBoundaries goes round and round through a settlement's life until, at each
// boundary of each transition, everybody who is to be struck there was.
func (s *chaosStory) strikeBoundaries(victims int) {
	s.t.Helper()
	others := []string{"node", "PostgreSQL", "guardian"}
	s.random.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	s.mu.Lock()
	turn := 0
	all, _ := transitions()
	for _, t := range slices.DeleteFunc(all, elsewhere) {
		for _, written := range []bool{false, true} {
			who := []string{"bank"}
			for range victims - 1 {
				who = append(who, others[turn%len(others)])
				turn++
			}
			s.wanted[boundary{t, written}] = who
		}
	}
	s.mu.Unlock()
	for round := 0; len(s.left()) > 0; round++ {
		if round == 100*victims {
			s.t.Fatalf("after %d rounds these boundaries were not reached:\n%s", round, strings.Join(s.left(), "\n"))
		}
		s.flow()
		s.drive()
		s.quiet()
	}
}

// drive takes the settlement on along a way on which somebody is still to be struck.
func (s *chaosStory) drive() {
	s.t.Helper()
	s.look()
	switch stage := s.now(); stage {
	case settlement.StageIdle:
		s.speak()
		s.prepare()
		s.mine(1)
	case settlement.StageCut: // the version before waits for a block
		if !s.wants(stage, "step mined") {
			s.speak()
		}
		s.mine(1)
	case settlement.StageSigned: // the node refuses it
		switch {
		case s.wants(stage, "step refused"):
			s.refuseSends()
			s.mine(1, bitcoind.MineEmpty())
		case s.wants(stage, "step mined"):
			s.loseReplies()
			s.mine(1)
		case s.wants(stage, "journal cut"):
			s.allowSends()
			s.mine(1, bitcoind.MineEmpty())
		default:
			s.allowSends()
			s.mine(1)
		}
	case settlement.StageBroadcast:
		switch {
		case s.wants(stage, "step refused"):
			s.refuseSends()
			s.house.bank.kill()
			s.house.bank.start() // it sends again what it has sent
			s.open()
		case s.wants(settlement.StageCut, "step mined"):
			s.hush()
			fallthrough
		case s.wants(stage, "journal cut"):
			s.allowSends()
			s.mine(1, bitcoind.MineEmpty())
		default:
			s.allowSends()
			s.mine(1)
		}
	case settlement.StageMined:
		switch {
		case s.wants(stage, "step mined"):
			s.moveUnseen()
		case s.wants(stage, "step returned"):
			s.reorganise(2)
		default: // once it is posted, the next may be cut at once
			s.speak()
			s.prepare()
			s.mine(1)
		}
	}
}

// prepare decides what the node will say to the next settlement.
func (s *chaosStory) prepare() {
	switch {
	case s.wants(settlement.StageSigned, "step mined"):
		s.loseReplies() // the node has it, the bank does not know
	case s.wants(settlement.StageSigned, "step refused"), s.wants(settlement.StageSigned, "journal cut"):
		s.refuseSends()
	default:
		s.allowSends()
	}
}

// hush kills so many guardians that nothing is signed; speak brings them back.
func (s *chaosStory) hush() {
	if !s.silent {
		s.struck["too few guardians left to sign"]++
		for _, g := range s.house.guardians[1:] {
			g.kill()
		}
		s.silent = true
	}
}

func (s *chaosStory) speak() {
	if s.silent {
		for _, g := range s.house.guardians[1:] {
			g.start()
		}
		s.silent = false
	}
}

// moveUnseen lets the settlement stand in another block before the desk looks again.
func (s *chaosStory) moveUnseen() {
	s.t.Helper()
	s.struck["the settlement moves to another block, unseen"]++
	blind := s.rpc.Inject(bitcoind.Fault{Do: bitcoind.HTTPStatus(503)})
	defer blind.Remove()
	s.reorganise(2)
	s.mine(1)
}

// look remembers the version of a settlement that is in the mempool.
func (s *chaosStory) look() {
	if txid, in := s.waiting(); in && !slices.ContainsFunc(s.seen, func(tx *wire.MsgTx) bool { return tx.TxHash() == txid }) {
		if tx, _, _, err := s.node.Tx(s.ctx, txid); err == nil {
			s.seen = append(s.seen, tx)
		}
	}
}

// reorganise replaces some blocks by empty ones.
func (s *chaosStory) reorganise(n int, options ...bitcoind.ReorgOption) {
	s.t.Helper()
	_, err := s.node.Reorg(s.ctx, n, options...)
	s.must(err)
}

// strikeMoments strikes at random moments, until there were enough or the time is up.
func (s *chaosStory) strikeMoments(moments int, until time.Time) {
	s.t.Helper()
	s.allowSends()
	s.speak()
	var deck []chaosFault
	for n := range moments {
		if time.Now().After(until) {
			s.t.Logf("the time was up after %d moments", n)
			return
		}
		s.flow()
		s.drive() // what the desk does now, it is struck in
		s.rush(time.Duration(s.random.IntN(200)) * time.Millisecond)
		if len(deck) == 0 { // each once before any again
			deck = slices.Clone(faults)
			s.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		if deck[0].name != "" {
			s.struck[deck[0].name]++
		}
		deck[0].strike(s)
		deck = deck[1:]
		s.quiet()
	}
}

// rush lets time pass.
func (s *chaosStory) rush(d time.Duration) {
	over := time.Now().Add(d)
	s.until("a moment", func(context.Context) (bool, string) { return time.Now().After(over), "" })
}

// rest ends all faults and lets everything settle.
func (s *chaosStory) rest() {
	s.t.Helper()
	s.allowSends()
	s.speak()
	s.sayFee(1_000)
	s.until("the last orders", func(context.Context) (bool, string) {
		answered, signed := s.count()
		return answered == signed, fmt.Sprintf("%d of %d answered", answered, signed)
	})
	s.senders.Wait()
	s.mu.Lock()
	s.wanted = nil
	s.mu.Unlock()
	s.drain(s.settledAll)
	s.proxy.Watch(nil)
	s.house.bank.stop()
	s.house.reopen(s.ctx, "--verify-genesis")
	s.house.bank.stop()
}

// settledAll reports whether nothing waits and nothing is in flight.
func (s *chaosStory) settledAll() (bool, string) {
	ctx, cancel := s.brief()
	defer cancel()
	for _, m := range s.members {
		if a, err := s.client.Account(ctx, m.id); err != nil || a.Held != 0 {
			return false, fmt.Sprintf("account %s holds %d sat, %v", m.id, a.Held, err)
		}
	}
	waiting, err := s.node.Mempool(ctx)
	return err == nil && len(waiting) == 0 && s.now() == settlement.StageIdle && s.resting() > chaosDepth,
		fmt.Sprintf("%d transactions wait, the settlement is %s, %v", len(waiting), s.now(), err)
}

// resting counts the empty blocks at the end of the chain.
func (s *chaosStory) resting() (n int) {
	height, err := s.node.Height(s.ctx)
	s.must(err)
	for ; n <= chaosDepth; n++ {
		hash, err := s.node.BlockHash(s.ctx, height-int32(n))
		s.must(err)
		block, err := s.node.Block(s.ctx, hash)
		s.must(err)
		if len(block.Transactions) > 1 {
			return n
		}
	}
	return n
}

// table is what the story prints at its end.
func (s *chaosStory) table(seed uint64, verdicts []*verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n\ntransitions taken\n", seed)
	all, _ := transitions()
	for _, t := range all {
		fmt.Fprintf(&b, "  %-88s %8d\n", t, s.taken[t])
	}
	fmt.Fprintf(&b, "\nfaults injected\n")
	for _, name := range slices.Sorted(maps.Keys(s.struck)) {
		fmt.Fprintf(&b, "  %-88s %8d\n", name, s.struck[name])
	}
	fmt.Fprintf(&b, "\norders followed\n")
	kinds := make(map[string]int)
	for _, o := range s.sent() {
		kinds[o.order.Kind().String()+", accepted"]++
	}
	for _, o := range s.refused {
		kinds[o.order.Kind().String()+", refused"]++
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&b, "  %-88s %8d\n", name, kinds[name])
	}
	fmt.Fprintf(&b, "\nchecked by the judge\n%s", tableOf(verdicts))
	return b.String()
}
