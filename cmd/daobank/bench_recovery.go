package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/clearing"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// recoverySize is the bank that is recovered.
type recoverySize struct {
	Accounts  int  `json:"accounts"`
	Transfers int  `json:"transfers"` // since genesis
	Age       int  `json:"age"`       // transfers since the snapshot
	Genesis   bool `json:"-"`         // recover it without the snapshot too
}

// recoveryTarget is the size for which a target is set.
var recoveryTarget = recoverySize{Accounts: 100_000, Transfers: 5_000_000, Age: 100_000}

// recoverySecondsMax is the target: from an open database to an open engine.
const recoverySecondsMax = 5

// recoveryFigures is how long a bank takes to open.
type recoveryFigures struct {
	recoverySize
	Batches        uint64  `json:"batches"`
	SnapshotBytes  int64   `json:"snapshot_bytes"`
	CopySeconds    float64 `json:"copy_seconds"`    // for which the sequencer stops to copy the books
	SaveSeconds    float64 `json:"save_seconds"`    // to encode and store them, beside it
	Seconds        float64 `json:"seconds"`         // to open with the snapshot
	GenesisSeconds float64 `json:"genesis_seconds"` // to open without; 0 when it was not measured
}

// measureRecovery fills the empty database at url with a bank of that size and
// opens it. The members' signatures are left out, at which a start does not look;
// all else is as a bank writes it.
func measureRecovery(ctx context.Context, url string, size recoverySize, say func(format string, args ...any)) (figures recoveryFigures, err error) {
	b, err := newRecoveryBank(ctx, url, size)
	if err != nil {
		return figures, fmt.Errorf("recovery: %w", err)
	}
	defer b.store.Close()
	if err := b.fill(ctx, say); err != nil {
		return figures, fmt.Errorf("recovery: fill the database: %w", err)
	}
	if b.figures.Seconds, err = b.open(ctx, false); err != nil {
		return figures, fmt.Errorf("recovery: %w", err)
	}
	say("opened in %.2f s with a snapshot %d transfers old", b.figures.Seconds, size.Age)
	if size.Genesis {
		if b.figures.GenesisSeconds, err = b.open(ctx, true); err != nil {
			return figures, fmt.Errorf("recovery from genesis: %w", err)
		}
		say("opened in %.2f s from genesis", b.figures.GenesisSeconds)
	}
	return b.figures, nil
}

// A recoveryBank is a bank without an engine: its books, and what is to be written.
type recoveryBank struct {
	figures  recoveryFigures
	store    *postgres.Store
	charter  ledger.Charter
	operator *btcec.PrivateKey
	epoch    uint64
	state    *ledger.State
	next     recoveryBatch
	leaves   []ledger.Hash
	batches  chan recoveryBatch
}

// A recoveryBatch is what is written next, and the snapshot that is taken then.
type recoveryBatch struct {
	postgres.Commit
	snapshot *ledger.Snapshot
}

func newRecoveryBank(ctx context.Context, url string, size recoverySize) (*recoveryBank, error) {
	b := &recoveryBank{figures: recoveryFigures{recoverySize: size}, batches: make(chan recoveryBatch, 2)}
	var err error
	if b.operator, err = btcec.NewPrivateKey(); err != nil {
		return nil, err
	}
	b.charter = ledger.Charter{Name: "bench", Chain: ledger.Hash{1}, Operator: ledger.KeyOf(b.operator), Depth: 1, WithdrawalMin: 1000}
	if b.state, err = ledger.NewState(b.charter); err != nil {
		return nil, err
	}
	if b.store, err = postgres.Open(ctx, url); err != nil {
		return nil, err
	}
	if err = b.store.Create(ctx, b.charter); err == nil {
		b.epoch, err = b.store.TakeLease(ctx, "bench")
	}
	if err != nil {
		b.store.Close()
	}
	return b, err
}

// fill makes the journal in one goroutine and writes it in another.
func (b *recoveryBank) fill(ctx context.Context, say func(format string, args ...any)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(b.batches)
		return b.make(ctx, say)
	})
	group.Go(func() error {
		for batch := range b.batches {
			if err := b.write(ctx, &batch); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

func (b *recoveryBank) write(ctx context.Context, batch *recoveryBatch) error {
	if err := b.store.Commit(ctx, batch.Commit); err != nil || batch.snapshot == nil {
		return err
	}
	start := time.Now()
	err := b.store.SaveSnapshot(ctx, b.epoch, batch.snapshot.Header(), func(w io.Writer) error { return batch.snapshot.Encode(w, b.operator) })
	b.figures.SaveSeconds = time.Since(start).Seconds()
	if err != nil {
		return err
	}
	list, err := b.store.Snapshots(ctx)
	if err == nil {
		b.figures.SnapshotBytes = list[0].Size
	}
	return err
}

// make opens the accounts, gives each a million satoshis, and lets them pay each
// other. What all that adds to the balances is booked with the last batch, since
// it is the journal that a recovery reads.
func (b *recoveryBank) make(ctx context.Context, say func(format string, args ...any)) error {
	const funds = 1_000_000
	if err := b.openAccounts(ctx); err != nil {
		return err
	}
	if err := b.fund(ctx, funds); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 1)) // the same bank each time
	size := &b.figures.recoverySize
	for i := range size.Transfers {
		payer, payee := random.IntN(size.Accounts), random.IntN(size.Accounts-1)
		if payee >= payer {
			payee++
		}
		body := &ledger.Transfer{Payments: []ledger.Payment{{Payee: recoveryMember(payee), Amount: 1}}}
		if err := b.order(ctx, recoveryMember(payer), body); err != nil {
			return err
		}
		if i+1 == size.Transfers-size.Age {
			if err := b.seal(ctx, true); err != nil {
				return err
			}
		}
		if (i+1)%1_000_000 == 0 {
			say("made %d transfers", i+1)
		}
	}
	for id := ledger.AccountID(1); id < ledger.AccountID(b.state.Accounts()); id++ {
		if amount := b.state.Balance(id); amount != 0 {
			b.next.Deltas = append(b.next.Deltas, postgres.Delta{Account: id, Amount: amount, Balance: amount})
		}
	}
	return b.seal(ctx, false)
}

func recoveryMember(i int) ledger.AccountID { return ledger.FirstMember + ledger.AccountID(i) }

func (b *recoveryBank) openAccounts(ctx context.Context) error {
	for i, seed := 0, uint64(0); i < b.figures.Accounts; seed++ {
		key := ledger.Key(sha256.Sum256(binary.BigEndian.AppendUint64(nil, seed)))
		if key.Validate() != nil { // half of all x belong to no point
			continue
		}
		i++
		order := &ledger.Order{Bank: b.state.Bank(), Body: &ledger.Open{Key: key}}
		if err := b.add(ctx, ledger.Entry{Order: order}); err != nil {
			return err
		}
	}
	return nil
}

// fund deposits everything to the first member, who gives each other a share.
func (b *recoveryBank) fund(ctx context.Context, funds ledger.Amount) error {
	height, hash := b.state.Block()
	all := funds * ledger.Amount(b.figures.Accounts)
	for _, e := range []ledger.Event{
		&ledger.Block{Height: height + 1, Hash: ledger.Hash{1}, Previous: hash},
		&ledger.Deposit{Amount: all, Index: ledger.FirstMember.Index(), Height: height + 1, TxIndex: 1},
	} {
		if err := b.add(ctx, ledger.Entry{Event: e}); err != nil {
			return err
		}
	}
	for i := 1; i < b.figures.Accounts; i += ledger.MaxPayees {
		body := &ledger.Transfer{}
		for j := i; j < min(i+ledger.MaxPayees, b.figures.Accounts); j++ {
			body.Payments = append(body.Payments, ledger.Payment{Payee: recoveryMember(j), Amount: funds})
		}
		if err := b.order(ctx, ledger.FirstMember, body); err != nil {
			return err
		}
	}
	return nil
}

func (b *recoveryBank) order(ctx context.Context, payer ledger.AccountID, body ledger.Body) error {
	a, _ := b.state.Account(payer)
	return b.add(ctx, ledger.Entry{Order: &ledger.Order{Bank: b.state.Bank(), Payer: payer, Sequence: a.Sequence + 1, Previous: a.Last, Body: body}})
}

// add applies an entry to the books. A full batch goes to the writer before.
func (b *recoveryBank) add(ctx context.Context, e ledger.Entry) error {
	if len(b.leaves) == clearing.DefaultBatch {
		if err := b.seal(ctx, false); err != nil {
			return err
		}
	}
	effects, err := b.state.Apply(e)
	if err != nil {
		return err
	}
	var ref ledger.OrderRef
	if e.Order != nil {
		ref = ledger.OrderRef{Payer: e.Order.Payer, Sequence: e.Order.Sequence}
	}
	if effects.Opened != 0 {
		ref.Payer = effects.Opened
		b.next.Opened = append(b.next.Opened, postgres.Opened{ID: effects.Opened, Key: e.Order.Body.(*ledger.Open).Key})
	}
	if b.next.Batch == nil {
		b.next.Batch = &ledger.Batch{}
	}
	if e.Event != nil {
		for line, p := range effects.Postings {
			b.next.Postings = append(b.next.Postings, postgres.Posting{Index: len(b.next.Refs), Line: line, Posting: p})
		}
	}
	bytes := e.Bytes()
	b.next.Batch.Entries = append(b.next.Batch.Entries, bytes)
	b.next.Refs = append(b.next.Refs, ref)
	b.leaves = append(b.leaves, ledger.EntryLeaf(bytes))
	return nil
}

// seal hands the batch, which has entries, to the writer.
func (b *recoveryBank) seal(ctx context.Context, snapshot bool) error {
	h := b.state.Next(ledger.MerkleRoot(b.leaves), uint32(len(b.leaves)), b.epoch, 0)
	if err := b.state.Seal(&h); err != nil {
		return err
	}
	var err error
	if b.next.Batch.Header, err = h.Sign(b.operator); err != nil {
		return err
	}
	if snapshot {
		start := time.Now()
		if b.next.snapshot, err = b.state.Snapshot(); err != nil {
			return err
		}
		b.figures.CopySeconds = time.Since(start).Seconds()
	}
	b.figures.Batches = h.Number
	select {
	case b.batches <- b.next:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b.next, b.leaves = recoveryBatch{}, b.leaves[:0]
	return nil
}

// open times a start of the engine.
func (b *recoveryBank) open(ctx context.Context, genesis bool) (seconds float64, err error) {
	start := time.Now()
	engine, err := clearing.Open(ctx, clearing.Config{Store: b.store, Charter: b.charter, Operator: b.operator,
		Log: slog.New(slog.DiscardHandler), VerifyGenesis: genesis})
	if err != nil {
		return 0, err
	}
	seconds = time.Since(start).Seconds()
	return seconds, engine.Close(ctx)
}
