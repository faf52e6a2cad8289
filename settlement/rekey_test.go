package settlement_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
	"github.com/daobank/daobank/ledger/postgres/cluster"
	"github.com/daobank/daobank/settlement"
	"github.com/daobank/daobank/settlement/netting"
	"github.com/daobank/daobank/taproot"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// town is a desk on a chain and guardians in memory.
type town struct {
	*audittest.Bank
	*audittest.Chain
	engine *clearing.Engine
	desk   *settlement.Desk

	away    []uint32      // generations whose guardians are not there
	refuse  []uint32      // generations whose guardians are there and do not sign
	lost    func(*town)   // called when the next settlement is to be signed
	pool    []*wire.MsgTx // what was broadcast
	signers []uint32      // generations of the inputs of all settlements since it was emptied
}

func newTown(t *testing.T) *town {
	t.Helper()
	b := audittest.New(t)
	w := &town{Bank: b, Chain: b.Chain}
	store, err := postgres.Open(t.Context(), cluster.Test(t))
	w.must(err)
	t.Cleanup(store.Close)
	w.must(store.Create(t.Context(), b.Charter))
	log := slog.New(slog.DiscardHandler)
	w.engine, err = clearing.Open(t.Context(), clearing.Config{Store: store, Charter: b.Charter, Operator: audittest.Key("operator"), Log: log})
	w.must(err)
	t.Cleanup(func() { _ = w.engine.Close(context.Background()) })
	w.desk, err = settlement.New(settlement.Config{Engine: w.engine, Store: store, Vaults: netting.NewVaults(b.Charter.ID(), b.Vault),
		Chain: w, Signer: w, Policy: settlement.DefaultPolicy(), Log: log})
	w.must(err)
	return w
}

func (w *town) must(err error) {
	w.Bank.Helper()
	if err != nil {
		w.Bank.Fatal(err)
	}
}

func (w *town) Broadcast(_ context.Context, tx *wire.MsgTx) error {
	w.pool = []*wire.MsgTx{tx}
	return nil
}

func (w *town) FeeRate(context.Context, int) (int64, error) { return 1_000, nil }

func (w *town) Relay(context.Context) (floor, step int64, err error) { return 1_000, 1_000, nil }

func (w *town) PooledFees(context.Context, chainhash.Hash) (int64, bool, error) { return 0, false, nil }

func (w *town) Reachable(generation uint32) bool { return !slices.Contains(w.away, generation) }

var errAway = errors.New("the guardians are away")

func (w *town) Sign(_ context.Context, t *netting.Transaction, _ uint64) (sigs [][]byte, err error) {
	if w.lost != nil {
		w.lost(w)
		w.lost = nil
	}
	for _, s := range t.Signers {
		if !w.Reachable(s.Generation) || slices.Contains(w.refuse, s.Generation) {
			return nil, &netting.UnsignedError{Settlement: t.Settlement, Generation: s.Generation, Err: errAway}
		}
	}
	for _, s := range t.Signers {
		w.signers = append(w.signers, s.Generation)
	}
	for _, in := range w.Bank.Sign(t).TxIn {
		sigs = append(sigs, in.Witness[0])
	}
	return sigs, nil
}

// deposit pays the treasury at its address of a generation.
func (w *town) deposit(generation uint32, amount ledger.Amount) {
	w.Chain.Mine(w.Payment(w.ToGeneration(generation, taproot.Deposit, ledger.Treasury.Index(), amount)))
}

// settle mines what was broadcast until nothing moves any more.
func (w *town) settle() {
	w.Bank.Helper()
	for range 4 * audittest.Depth {
		w.must(w.desk.Advance(w.Bank.Context()))
		w.Chain.Mine(w.pool...)
		w.pool = nil
	}
}

// coins counts those of the books by generation.
func (w *town) coins() map[uint32]int {
	w.Bank.Helper()
	list := make(chan []ledger.Coin, 1)
	w.must(w.engine.View(w.Bank.Context(), func(s *ledger.State) { list <- s.Coins() }))
	count := make(map[uint32]int)
	for _, c := range <-list {
		count[c.Generation]++
	}
	return count
}

// Coins of the key before wait while their guardians are away, and nothing else waits
// for them; when they are back, every coin moves to the new key.
func TestRekeyWhileOldGuardiansAreAway(t *testing.T) {
	w := newTown(t)
	w.deposit(0, 100_000)
	w.settle()
	w.Rekey(2, 4)
	e := w.Books.Rekeys()[0]
	forged := e
	forged.Signature[9] ^= 1
	var refused *netting.RekeyError
	if err := w.desk.Rekey(t.Context(), &forged); !errors.As(err, &refused) {
		t.Errorf("a forged key: %v", err)
	}
	w.must(w.desk.Rekey(t.Context(), &e))
	if err := w.desk.Rekey(t.Context(), &e); !errors.As(err, &refused) {
		t.Errorf("the same key again: %v", err)
	}
	for _, step := range []struct {
		name    string
		away    []uint32
		deposit uint32   // generation of its address
		signers []uint32 // of all settlements
		coins   [2]int   // afterwards, by generation
	}{
		{"to the old key, its guardians away", []uint32{0}, 0, nil, [2]int{2, 0}},
		{"to the new key, the old guardians away", []uint32{0}, 1, []uint32{1}, [2]int{2, 1}},
		{"to the new key, all there", nil, 1, []uint32{0, 0, 1, 1, 1}, [2]int{0, 1}}, // the old coins move before it is deep,
		{"to the old key, all there", nil, 0, []uint32{0, 1}, [2]int{0, 1}},
	} {
		w.away, w.signers = step.away, nil
		w.deposit(step.deposit, 50_000)
		w.settle()
		slices.Sort(w.signers)
		if got := w.coins(); !slices.Equal(w.signers, step.signers) || got[0] != step.coins[0] || got[1] != step.coins[1] {
			t.Errorf("%s: signed by %v, coins are %v; want %v and %v", step.name, w.signers, got, step.signers, step.coins)
		}
	}
}

// The guardians of the old key are there when the journal is cut, and do not sign. The
// next version goes without their coins and settles what it can; with the guardians of
// the newest key it is no different from before.
func TestOldGuardiansDoNotSignAnOpenCut(t *testing.T) {
	for _, gone := range []struct {
		name string
		lose func(w *town)
	}{
		{"they refuse", func(w *town) { w.refuse = []uint32{0} }},
		{"they are gone", func(w *town) { w.refuse, w.away = []uint32{0}, []uint32{0} }},
	} {
		t.Run(gone.name, func(t *testing.T) {
			w := newTown(t)
			w.deposit(0, 100_000)
			w.settle()
			w.Rekey(2, 4)
			w.must(w.desk.Rekey(t.Context(), &w.Books.Rekeys()[0]))
			w.deposit(1, 60_000)
			w.Chain.Mine()
			w.signers = nil
			w.lose(gone.lose)
			w.settle()
			if got := w.coins(); got[0] != 1 || got[1] != 1 || !slices.Equal(w.signers, []uint32{1}) {
				t.Errorf("signed by %v, coins are %v", w.signers, got)
			}
			status, err := w.desk.Settlements(t.Context(), 2, 9)
			w.must(err)
			if len(status) != 1 || status[0].Stage != string(settlement.StagePosted) || status[0].Version != 2 {
				t.Errorf("settlements %+v", status)
			}
			w.refuse, w.away, w.signers = nil, nil, nil
			for range 150 {
				w.Chain.Mine()
			}
			w.settle()
			if got := w.coins(); got[0] != 0 || got[1] != 1 {
				t.Errorf("when they are back: signed by %v, coins are %v", w.signers, got)
			}
		})
	}
}

// lose makes guardians go between a cut and its signatures.
func (w *town) lose(fn func(*town)) {
	w.Bank.Helper()
	w.lost = fn
}
