package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/ledger/postgres/lossy"
)

func TestEmptyDatabaseHasNoBank(t *testing.T) {
	store := openStore(t, cluster.Test(t))
	if _, err := store.Charter(t.Context()); !errors.Is(err, postgres.ErrNoBank) {
		t.Errorf("Charter: %v", err)
	}
	if _, err := store.TakeLease(t.Context(), "test"); !errors.Is(err, postgres.ErrNoBank) {
		t.Errorf("TakeLease: %v", err)
	}
	if _, _, err := store.Lease(t.Context()); !errors.Is(err, postgres.ErrNoBank) {
		t.Errorf("Lease: %v", err)
	}
}

func TestCreateOneBankOnce(t *testing.T) {
	b := openBank(t)
	if err := b.store.Create(t.Context(), charter()); err != nil {
		t.Errorf("create the same bank again: %v", err)
	}
	if got, err := b.store.Charter(t.Context()); err != nil || got != charter() {
		t.Errorf("Charter: %+v, %v", got, err)
	}
	other := charter()
	other.Name = "Another bank"
	var different *postgres.BankError
	if err := b.store.Create(t.Context(), other); !errors.As(err, &different) || different.Stored != b.state.Bank() {
		t.Errorf("create another bank: %v", err)
	}
}

func TestCreateRefusesWhatWouldReadBackDifferently(t *testing.T) {
	store := openStore(t, cluster.Test(t))
	c := charter()
	c.Name = "Bank \xff"
	if err := store.Create(t.Context(), c); err == nil {
		t.Error("a name that is not UTF-8 was stored")
	}
	if _, err := store.Charter(t.Context()); !errors.Is(err, postgres.ErrNoBank) {
		t.Errorf("afterwards: %v, want no bank", err)
	}
}

func TestOpenManyAtOnceMigratesOnce(t *testing.T) {
	url := cluster.Test(t)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() {
			store, err := postgres.Open(t.Context(), url)
			if err == nil {
				err = store.Create(t.Context(), charter())
				store.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestJournalReadsBackAndReplays(t *testing.T) {
	b := openBank(t)
	b.fund()
	for i := range 30 {
		b.commit(b.pay(2, ledger.Payment{Payee: bob, Amount: 2}), b.pay(3, ledger.Payment{Payee: alice, Amount: ledger.Amount(i%3) + 1}))
	}
	replayed := b.replay(ledger.CheckAll)
	if replayed.Head() != b.state.Head() {
		t.Errorf("replayed to batch %d, want %d", replayed.Last().Number, b.state.Last().Number)
	}
	if last, err := b.store.LastBatch(t.Context()); err != nil || last != b.state.Last().Number {
		t.Errorf("LastBatch: %d, %v", last, err)
	}
	var stored []postgres.Balance
	for balance, err := range b.store.Balances(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := replayed.Balance(balance.Account); balance.Amount != want {
			t.Errorf("account %s: stored %d, replayed %d", balance.Account, balance.Amount, want)
		}
		stored = append(stored, balance)
	}
	if len(stored) != 7 {
		t.Errorf("%d accounts are stored, want 5 of the bank and 2 members", len(stored))
	}
}

// More than one query, and more than one step of the projection, reads at once.
func TestJournalIsReadInChunks(t *testing.T) {
	b := openBank(t)
	const batches, size = 3, 4000
	for range batches {
		height, hash := b.state.Block()
		blocks := make([]ledger.Entry, size)
		for i := range blocks {
			height++
			block := &ledger.Block{Height: height, Hash: ledger.Hash{byte(height), byte(height >> 8)}, Previous: hash}
			blocks[i], hash = ledger.Entry{Event: block}, block.Hash
		}
		b.commit(blocks...)
	}
	next := uint64(1)
	for batch, err := range b.store.Batches(t.Context(), 1) {
		if err != nil || batch.Header.Number != next || len(batch.Entries) != size {
			t.Fatalf("batch %d with %d entries, want batch %d: %v", batch.Header.Number, len(batch.Entries), next, err)
		}
		next++
	}
	if next != batches+1 {
		t.Errorf("%d batches, want %d", next-1, batches)
	}
	for _, want := range [][2]uint64{{1, 3}, {2, 3}, {3, 3}, {3, 3}} {
		position, newest, err := b.store.Project(t.Context())
		if err != nil || [2]uint64{position, newest} != want {
			t.Errorf("Project: %d of %d, %v; want %v", position, newest, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	b := openBank(t)
	b.fund()
	b.commit(b.pay(3, ledger.Payment{Payee: alice, Amount: 1}), b.pay(2, ledger.Payment{Payee: bob, Amount: 2}))
	ctx := t.Context()
	for _, c := range []struct {
		ref   ledger.OrderRef
		batch uint64
		index int
		err   error
	}{
		{ledger.OrderRef{Payer: alice, Sequence: 0}, 1, 0, nil},
		{ledger.OrderRef{Payer: bob, Sequence: 0}, 1, 1, nil},
		{ledger.OrderRef{Payer: alice, Sequence: 1}, 3, 1, nil},
		{ledger.OrderRef{Payer: alice, Sequence: 2}, 0, 0, postgres.ErrNotFound},
		{ledger.OrderRef{Payer: 99, Sequence: 1}, 0, 0, postgres.ErrNotFound},
	} {
		batch, index, err := b.store.FindOrder(ctx, c.ref)
		if batch != c.batch || index != c.index || !errors.Is(err, c.err) {
			t.Errorf("FindOrder %s: batch %d index %d, %v", c.ref, batch, index, err)
		}
	}
	if batch, err := b.store.Batch(ctx, 3); err != nil || batch.Header.Hash() != b.state.Head() || len(batch.Entries) != 2 {
		t.Errorf("Batch 3: %+v, %v", batch, err)
	}
	if header, err := b.store.Header(ctx, 2); err != nil || header.Number != 2 {
		t.Errorf("Header 2: %+v, %v", header, err)
	}
	if _, err := b.store.Batch(ctx, 4); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("Batch 4: %v", err)
	}
}

// waitBlocked returns when a session waits for a lock in the database.
func (b *bank) waitBlocked(conn *pgx.Conn, query string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for {
		var waiting int
		err := conn.QueryRow(ctx, `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like $1`, query+"%").Scan(&waiting)
		if err != nil {
			b.t.Fatalf("nobody waits for a lock in %q: %v", query, err)
		}
		if waiting > 0 {
			return
		}
	}
}

func TestTakeOverWaitsForCommitUnderWay(t *testing.T) {
	b := openBank(t)
	b.fund()
	tx, err := b.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := (&forger{bank: b}).forge(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	type lease struct {
		epoch, seen uint64
		err         error
	}
	taken := make(chan lease, 1)
	go func() {
		epoch, err := b.store.TakeLease(t.Context(), "the next")
		seen, err2 := b.store.LastBatch(t.Context())
		taken <- lease{epoch, seen, errors.Join(err, err2)}
	}()
	b.waitBlocked(b.connect(), "update lease")
	select {
	case got := <-taken:
		t.Fatalf("the lease was taken during a commit: %+v", got)
	default:
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-taken; got != (lease{2, 3, nil}) {
		t.Fatalf("after the commit: %+v, want epoch 2 and batch 3 seen", got)
	}
	tx, err = b.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	old := &forger{bank: b, header: func(h *ledger.Header) { h.Number = 4 }}
	if got := sqlState(old.forge(t.Context(), tx)); got != fenced {
		t.Errorf("the old writer: %s, want %s", got, fenced)
	}
}

func TestCommitWaitsForTakeOverUnderWay(t *testing.T) {
	b := openBank(t)
	b.fund()
	tx, err := b.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `update lease set epoch = epoch + 1`); err != nil {
		t.Fatal(err)
	}
	late := b.prepare(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
	outcome := make(chan error, 1)
	go func() { outcome <- b.store.Commit(t.Context(), late) }()
	b.waitBlocked(b.connect(), "copy batch")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; !errors.Is(err, postgres.ErrFenced) || errors.Is(err, postgres.ErrAmbiguous) {
		t.Errorf("the old writer: %v, want ErrFenced", err)
	}
	if last, err := b.store.LastBatch(t.Context()); err != nil || last != 2 {
		t.Errorf("the newest batch is %d (%v), want 2", last, err)
	}
}

// Writers take the lease from each other as fast as they can. Whoever commits
// must have held it then: epochs never fall along the chain, which the replay checks.
func TestTakeOverRace(t *testing.T) {
	b := openBank(t)
	b.commit(b.block())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for range 15 {
				if err := takeAndWrite(t.Context(), b.store, fmt.Sprint("writer ", w)); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	state := b.replay(ledger.CheckChain)
	if state.Last().Epoch < 2 {
		t.Error("no writer but the first has written")
	}
}

// takeAndWrite takes the lease, replays and writes blocks until it is fenced.
func takeAndWrite(ctx context.Context, store *postgres.Store, holder string) error {
	epoch, err := store.TakeLease(ctx, holder)
	if err != nil {
		return err
	}
	state, err := ledger.NewState(charter())
	if err != nil {
		return err
	}
	for batch, err := range store.Batches(ctx, 1) {
		if err != nil {
			return err
		}
		if err := state.Append(batch, ledger.CheckChain); err != nil {
			return err
		}
	}
	if state.Last().Epoch > epoch {
		return nil // fenced before it wrote anything
	}
	for range 3 {
		height, hash := state.Block()
		entry := ledger.Entry{Event: &ledger.Block{Height: height + 1, Hash: ledger.Hash{byte(height), byte(epoch)}, Previous: hash}}
		if _, err := state.Apply(entry); err != nil {
			return err
		}
		header := state.Next(entry.Leaf(), 1, epoch, 1)
		if err := state.Seal(&header); err != nil {
			return err
		}
		signed, err := header.Sign(key(1))
		if err != nil {
			return err
		}
		err = store.Commit(ctx, postgres.Commit{Batch: &ledger.Batch{Header: signed, Entries: [][]byte{entry.Bytes()}}, Refs: make([]ledger.OrderRef, 1)})
		if errors.Is(err, postgres.ErrFenced) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestCommitWithLostEndIsAmbiguous(t *testing.T) {
	for _, c := range []struct {
		name      string
		lose      func(*lossy.Proxy)
		committed bool
	}{
		{"the reply is lost", (*lossy.Proxy).LoseReply, true},
		{"COMMIT is lost", (*lossy.Proxy).LoseCommit, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := openBank(t)
			b.fund()
			proxy, err := lossy.Start(b.url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Close)
			store := openStore(t, proxy.URL())
			c.lose(proxy)
			commit := b.prepare(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
			if err := store.Commit(t.Context(), commit); !errors.Is(err, postgres.ErrAmbiguous) {
				t.Fatalf("%v, want ErrAmbiguous", err)
			}
			// A take-over waits until the server is done with the lost Tx.
			if _, err := store.TakeLease(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			last, err := store.LastBatch(t.Context())
			if err != nil || (last == 3) != c.committed {
				t.Errorf("the newest batch is %d (%v), committed should be %v", last, err, c.committed)
			}
		})
	}
}

// TestWatchedWrites: a watcher of the connection sees each step and each event
// before and after its COMMIT, knows which it is, and what it cuts before has not
// happened, what it cuts after has.
func TestWatchedWrites(t *testing.T) {
	b := openBank(t)
	b.fund()
	proxy, err := lossy.Start(b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	store, ctx := openStore(t, proxy.URL()), t.Context()
	var mu sync.Mutex // the proxy asks from goroutines of its own
	var seen []string
	cutBefore, cutAfter := false, false
	cut := func(before, after bool) {
		mu.Lock()
		defer mu.Unlock()
		cutBefore, cutAfter = before, after
	}
	proxy.Watch(func(w lossy.Write, done bool) bool {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s%v %t", w.Step, w.Kinds, done))
		return !(done && cutAfter || !done && cutBefore)
	})
	if err := store.AppendStep(ctx, b.epoch, step(1, 1, "signed")); err != nil {
		t.Fatal(err)
	}
	cut(true, false)
	if err := store.AppendStep(ctx, b.epoch, step(1, 2, "broadcast")); !errors.Is(err, postgres.ErrAmbiguous) {
		t.Errorf("cut before COMMIT: %v", err)
	}
	cut(false, true)
	if err := store.AppendStep(ctx, b.epoch, step(1, 2, "mined")); !errors.Is(err, postgres.ErrAmbiguous) {
		t.Errorf("cut after COMMIT: %v", err)
	}
	cut(false, false)
	if err := store.Commit(ctx, b.prepare(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))); err != nil {
		t.Fatal(err) // an order alone is not watched
	}
	before := proxy.RoundTrips()
	if err := store.Commit(ctx, b.prepare(b.block())); err != nil {
		t.Fatal(err)
	}
	if trips := proxy.RoundTrips() - before; trips != 1 {
		t.Errorf("a commit waits for the server %d times, want once", trips)
	}
	refused := b.prepare(b.block())
	refused.Deltas = append(refused.Deltas, postgres.Delta{Account: bob, Amount: 1})
	if err := store.Commit(ctx, refused); err == nil || errors.Is(err, postgres.ErrAmbiguous) {
		t.Errorf("a batch that does not balance: %v", err)
	}
	want := []string{"signed[] false", "signed[] true", "broadcast[] false", "mined[] false", "mined[] true",
		"[64] false", "[64] true", "[64] false"}
	// A server may refuse before the end of the write has come through.
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		mu.Lock()
		enough := len(seen) >= len(want)
		mu.Unlock()
		if enough {
			break
		}
	}
	proxy.Watch(nil)
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(seen, want) {
		t.Errorf("the watcher sees %q, want %q", seen, want)
	}
	if steps, err := b.store.Steps(ctx, 1); err != nil || len(steps) != 2 || steps[1].Step != "mined" {
		t.Errorf("the diary holds %+v, %v", steps, err)
	}
}

func TestCommitRefusedIsNotAmbiguous(t *testing.T) {
	b := openBank(t)
	b.fund()
	commit := b.prepare(b.pay(2, ledger.Payment{Payee: bob, Amount: 1}))
	commit.Deltas = commit.Deltas[:1]
	err := b.store.Commit(t.Context(), commit)
	if err == nil || errors.Is(err, postgres.ErrAmbiguous) || errors.Is(err, postgres.ErrFenced) {
		t.Errorf("a batch that does not balance: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.store.Commit(canceled, commit); !errors.Is(err, context.Canceled) || errors.Is(err, postgres.ErrAmbiguous) {
		t.Errorf("canceled before it began: %v", err)
	}
	if last, err := b.store.LastBatch(t.Context()); err != nil || last != 2 {
		t.Errorf("the newest batch is %d (%v), want 2", last, err)
	}
}

func step(settlement, ordinal uint32, name string) postgres.Step {
	return postgres.Step{Settlement: settlement, Ordinal: ordinal, Step: name}
}

func TestSettlementSteps(t *testing.T) {
	b := openBank(t)
	ctx := t.Context()
	txid, height := ledger.Hash{7}, uint32(120)
	full := step(1, 2, "broadcast")
	full.TxID, full.Tx, full.Height, full.Detail = &txid, []byte{1, 2, 3}, &height, "to one node"
	for _, s := range []postgres.Step{step(1, 1, "cut"), full} {
		if err := b.store.AppendStep(ctx, b.epoch, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.AppendStep(ctx, b.epoch, step(1, 2, "signed")); !errors.Is(err, postgres.ErrStepExists) {
		t.Errorf("an ordinal twice: %v", err)
	}
	if err := b.store.AppendStep(ctx, b.epoch-1, step(1, 3, "confirmed")); !errors.Is(err, postgres.ErrFenced) {
		t.Errorf("an old epoch: %v", err)
	}
	steps, err := b.store.Steps(ctx, 1)
	if err != nil || len(steps) != 2 {
		t.Fatalf("Steps: %+v, %v", steps, err)
	}
	got := steps[1]
	if got.Step != "broadcast" || *got.TxID != txid || !slices.Equal(got.Tx, full.Tx) || *got.Height != height || got.Detail != full.Detail || got.Epoch != b.epoch || got.At.IsZero() {
		t.Errorf("Steps: %+v", got)
	}
	if first := steps[0]; first.TxID != nil || first.Tx != nil || first.Height != nil {
		t.Errorf("a step without a transaction: %+v", first)
	}
	if last, err := b.store.LastSettlement(ctx); err != nil || last != 1 {
		t.Errorf("LastSettlement: %d, %v", last, err)
	}
}
