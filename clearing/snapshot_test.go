package clearing_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
)

// warnings counts what is logged as a warning or worse.
type warnings struct {
	slog.Handler
	n atomic.Int64
}

func (w *warnings) Enabled(context.Context, slog.Level) bool { return true }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		w.n.Add(1)
	}
	return nil
}

// always takes a snapshot at the end of every batch, if the last is written.
func always(c *clearing.Config) { c.SnapshotEvery = 1 }

// never takes one, but at cuts.
func never(c *clearing.Config) { c.SnapshotEvery = 1 << 40 }

// digest is of all fields of the books, which must be at the end of a batch.
func (b *bank) digest() (digest ledger.Hash) {
	b.t.Helper()
	var failed error
	err := b.View(b.t.Context(), func(s *ledger.State) {
		snapshot, err := s.Snapshot()
		if failed = err; err == nil {
			digest = snapshot.Digest()
		}
	})
	if err := errors.Join(err, failed); err != nil {
		b.t.Fatal(err)
	}
	return digest
}

func (b *bank) newestSnapshot() uint64 {
	b.t.Helper()
	list, err := b.store.Snapshots(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(list) == 0 {
		return 0
	}
	return list[0].Batch
}

func (b *bank) awaitSnapshot(batch uint64) {
	b.t.Helper()
	b.eventually("the snapshot is stored", func() bool { return b.newestSnapshot() == batch })
}

// cut records a cut that takes the coins of all.
func (b *bank) cut() {
	b.t.Helper()
	cut := &ledger.Cut{Version: 1}
	err := b.View(b.t.Context(), func(s *ledger.State) {
		cut.Settlement = s.Settlements() + 1
		for _, c := range s.Coins() {
			cut.Inputs = append(cut.Inputs, c.OutPoint)
		}
		for _, p := range s.Held() {
			cut.Payouts = append(cut.Payouts, ledger.CutPayout{Payer: p.Payer, Sequence: p.Sequence})
		}
	})
	if err == nil {
		err = b.Record(b.t.Context(), []ledger.Event{cut})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// paid is a bank whose newest snapshot is at its fourth batch of six: a cut.
func paid(t *testing.T, change ...func(*clearing.Config)) (*bank, []*member) {
	b := openBank(t, append(change, never)...)
	m := b.members(2, 10_000)
	b.accept(m[0].withdraw(2000))
	b.cut()
	b.awaitSnapshot(4)
	b.accept(m[0].pay(m[1].id, 100))
	b.accept(m[1].pay(m[0].id, 50))
	return b, m
}

// tamper switches off the guards of the database and does something to it.
func (b *bank) tamper(sql string) {
	b.t.Helper()
	conn := b.connect()
	for _, table := range []string{"account", "entry", "batch", "snapshot", "snapshot_chunk"} {
		b.exec(conn, `alter table `+table+` disable trigger user`)
	}
	b.exec(conn, sql)
}

func TestSnapshotsAtCutsAndAfterEnoughWork(t *testing.T) {
	b, m := paid(t)
	if n := b.newestSnapshot(); n != 4 {
		t.Errorf("the newest snapshot is at batch %d, the cut ended batch 4", n)
	}
	// Two batches of one entry each are 82 of work, and some of it is done.
	b.config.SnapshotEvery = 3 * 41
	b.restart()
	if n := b.newestSnapshot(); n != 4 {
		t.Errorf("the newest snapshot is at batch %d before anything happened", n)
	}
	b.accept(m[0].pay(m[1].id, 1))
	b.awaitSnapshot(7)
}

// Whether the books come from a snapshot or from the journal alone, they are
// equal in every field.
func TestRecoveryWithAndWithoutSnapshot(t *testing.T) {
	b, m := paid(t)
	want := b.digest()
	b.restart()
	if got := b.digest(); got != want {
		t.Errorf("with a snapshot the books have the digest %s, they had %s", got, want)
	}
	b.exec(b.connect(), `delete from snapshot`)
	b.restart()
	if got := b.digest(); got != want {
		t.Errorf("without a snapshot the books have the digest %s, they had %s", got, want)
	}
	b.accept(m[0].pay(m[1].id, 1))
}

// What a start with a snapshot looks at, and what only VerifyGenesis does.
func TestTamperingBeforeTheSnapshot(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		atOnce    bool   // found without VerifyGenesis
		history   uint64 // batch of the *HistoryError, or 0 for a *BalanceError
	}{
		{"an entry changed", `update entry set bytes = set_byte(bytes, 110, get_byte(bytes, 110) # 1) where batch = 3`, false, 3},
		{"a member's signature changed", `update entry set bytes = set_byte(bytes, 180, get_byte(bytes, 180) # 1) where batch = 3`, false, 3},
		{"a header's signature changed", `update batch set header = set_byte(header, 150, get_byte(header, 150) # 1) where number = 2`, true, 2},
		{"a header's root changed", `update batch set header = set_byte(header, 100, get_byte(header, 100) # 1) where number = 3`, true, 3},
		{"an entry after it changed", `update entry set bytes = set_byte(bytes, 110, get_byte(bytes, 110) # 1) where batch = 6`, true, 6},
		{"money moved", `select book(0::smallint, 1000); update account set balance = balance + case id when 16 then -1 else 1 end where id in (16, 17)`, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := paid(t)
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.tamper(c.sql)
			e, err := clearing.Open(t.Context(), b.config)
			if err == nil {
				b.closeEngine(e)
			}
			if found := err != nil; found != c.atOnce {
				t.Errorf("with a snapshot: %v", err)
			}
			b.config.VerifyGenesis = true
			_, err = clearing.Open(t.Context(), b.config)
			var history *ledger.HistoryError
			var balance *clearing.BalanceError
			if c.history != 0 && (!errors.As(err, &history) || history.Batch != c.history) || c.history == 0 && !errors.As(err, &balance) {
				t.Errorf("from genesis: %v", err)
			}
		})
	}
}

// A snapshot that does not fit is ignored with a warning, and the books are what
// the journal says. VerifyGenesis says what is wrong.
func TestUselessSnapshotIsIgnored(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(b *bank)
	}{
		{"a bit flipped", func(b *bank) {
			b.tamper(`update snapshot_chunk set bytes = set_bit(bytes, 12345, 1 - get_bit(bytes, 12345))`)
		}},
		{"cut short", func(b *bank) { b.tamper(`update snapshot_chunk set bytes = substring(bytes from 1 for 500)`) }},
		{"its chunks are gone", func(b *bank) { b.tamper(`delete from snapshot_chunk`) }},
		{"said to be ahead of the journal", func(b *bank) {
			b.tamper(`update snapshot set batch = 7; update snapshot_chunk set batch = 7`)
		}},
		{"said to be of another batch", func(b *bank) {
			b.tamper(`update snapshot set batch = 5, head = (select hash from batch where number = 5); update snapshot_chunk set batch = 5`)
		}},
		{"of another history", func(b *bank) { b.tamper(`update snapshot set head = sha256(head)`) }},
		{"of another bank", func(b *bank) { b.forgeSnapshot(func(body []byte) { body[3] ^= 1 }) }},
		{"of a later version", func(b *bank) { b.forgeSnapshot(func(body []byte) { body[0]++ }) }},
		{"of books that the journal does not give", func(b *bank) {
			// The last two accounts are the members': a satoshi goes from one to the other.
			b.forgeSnapshot(func(body []byte) {
				const account, balance = 93, 72
				first, second := body[len(body)-2*account+balance:], body[len(body)-account+balance:]
				binary.BigEndian.PutUint64(first, binary.BigEndian.Uint64(first)-1)
				binary.BigEndian.PutUint64(second, binary.BigEndian.Uint64(second)+1)
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &warnings{}
			b, m := paid(t, func(c *clearing.Config) { c.Log = slog.New(log) })
			want := b.digest()
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.spoil(b)
			b.config.VerifyGenesis = true
			var wrong *clearing.SnapshotError
			if e, err := clearing.Open(t.Context(), b.config); !errors.As(err, &wrong) {
				t.Errorf("from genesis: %v, want a *SnapshotError", err)
				if err == nil {
					b.closeEngine(e)
				}
			}
			t.Log(wrong)
			b.config.VerifyGenesis = false
			before := log.n.Load()
			b.Engine = b.start()
			if got := b.digest(); got != want {
				t.Errorf("the books have the digest %s, they had %s", got, want)
			}
			if log.n.Load() == before {
				t.Error("no warning was logged")
			}
			b.accept(m[0].pay(m[1].id, 1))
		})
	}
}

// forgeSnapshot changes the stored snapshot and signs it again, as only the
// operator could.
func (b *bank) forgeSnapshot(change func(body []byte)) {
	b.t.Helper()
	data, err := b.store.ReadSnapshot(b.t.Context(), b.newestSnapshot())
	if err != nil {
		b.t.Fatal(err)
	}
	body := bytes.Clone(data[:len(data)-64])
	change(body)
	sig, err := schnorr.Sign(key(0), chainhash.TaggedHash([]byte("daobank/snapshot"), body)[:])
	if err != nil {
		b.t.Fatal(err)
	}
	b.tamper(`select`)
	if _, err := b.connect().Exec(b.t.Context(), `update snapshot_chunk set bytes = $1`, append(body, sig.Serialize()...)); err != nil {
		b.t.Fatal(err)
	}
}

// With a damaged newest snapshot the one before it is used: an entry between
// genesis and it is not looked at.
func TestTheSnapshotBeforeIsUsed(t *testing.T) {
	b, m := paid(t)
	b.config.SnapshotEvery = 1
	b.restart()
	b.accept(m[0].pay(m[1].id, 1))
	b.awaitSnapshot(7)
	want := b.digest()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.tamper(`update snapshot_chunk set bytes = set_bit(bytes, 12345, 1 - get_bit(bytes, 12345)) where batch = 7;
		update entry set bytes = set_byte(bytes, 110, get_byte(bytes, 110) # 1) where batch = 3`)
	b.Engine = b.start()
	if got := b.digest(); got != want {
		t.Errorf("the books have the digest %s, they had %s", got, want)
	}
}

// Snapshots are taken while many pay. Whenever the engine is opened again, its
// books are those that it had.
func TestSnapshotsUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := openBank(t, always, func(c *clearing.Config) { c.BatchMax = 16 })
	m := b.members(20, 100_000)
	for range 5 {
		var orders []*ledger.Order
		for range 50 + random.IntN(200) {
			from, to := m[random.IntN(len(m))], m[random.IntN(len(m))]
			if from == to {
				continue
			}
			if random.IntN(10) == 0 {
				orders = append(orders, from.withdraw(1000))
			} else {
				orders = append(orders, from.pay(to.id, ledger.Amount(1+random.IntN(100))))
			}
		}
		for _, o := range b.SubmitMany(t.Context(), orders) {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		want := b.digest()
		b.restart()
		if got := b.digest(); got != want {
			t.Fatalf("the books have the digest %s, they had %s", got, want)
		}
	}
	if b.newestSnapshot() == 0 {
		t.Error("no snapshot was taken")
	}
	b.config.VerifyGenesis, b.config.Checks = true, ledger.CheckAll
	b.restart()
}
