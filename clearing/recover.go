package clearing

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// A recovery rebuilds the books from what is stored. The lease is taken already,
// so nobody writes meanwhile.
type recovery struct {
	*Config
	state *ledger.State
	from  uint64 // batch of the snapshot begun with; 0 for the journal's beginning
	work  int    // of the replay, as the snapshotter counts it
}

// recoverBooks begins with the newest snapshot that fits, or with the first batch
// when there is none or VerifyGenesis asks for it. The journal decides: books from
// a snapshot that contradict it, or the stored balances, are thrown away.
func recoverBooks(ctx context.Context, config *Config) (*recovery, error) {
	r := &recovery{Config: config}
	found, err := false, error(nil)
	if !config.VerifyGenesis {
		found, err = r.fromSnapshot(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		r.Log.Warn("the books from a snapshot are not those of the journal: replaying all of it", "snapshot", r.from, "error", err)
		err = r.fromGenesis(ctx)
	case !found:
		err = r.fromGenesis(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.Log.Info("rebuilt the books", "snapshot", r.from, "batch", r.state.Last().Number)
	return r, nil
}

// fromSnapshot begins with the newest snapshot that fits, and reports whether
// there is one. Of the batches before it only the headers are verified, meanwhile.
func (r *recovery) fromSnapshot(ctx context.Context) (found bool, err error) {
	if found, err = r.readSnapshot(ctx); !found || err != nil {
		return found, err
	}
	start, journal := r.state.Last(), r.state.JournalRoot()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		last, root, err := ledger.VerifyHeaders(r.Charter, r.Store.Headers(ctx, start.Number))
		if err == nil && (last != start || root != journal) {
			err = &SnapshotError{Batch: start.Number, Reason: "the chain of headers does not lead to it"}
		}
		return err
	})
	group.Go(func() error { return r.replay(ctx, nil) })
	return true, group.Wait()
}

// readSnapshot sets the state from the newest snapshot that fits.
func (r *recovery) readSnapshot(ctx context.Context) (found bool, err error) {
	list, err := r.Store.Snapshots(ctx)
	if err != nil {
		return false, err
	}
	for _, at := range list {
		r.state, err = r.openSnapshot(ctx, at)
		if err == nil {
			r.from, r.work = at.Batch, 0
			return true, nil
		}
		if ctx.Err() != nil {
			return false, err
		}
		r.Log.Warn("a snapshot of the books is ignored", "error", err)
	}
	return false, nil
}

// openSnapshot reads the books of a stored snapshot, which must be at a batch of
// the journal. Error: *SnapshotError when it is not, or is damaged.
func (r *recovery) openSnapshot(ctx context.Context, at postgres.Snapshot) (*ledger.State, error) {
	bad := func(reason string, err error) error {
		return &SnapshotError{Batch: at.Batch, Reason: reason, Err: err}
	}
	header, err := r.Store.Header(ctx, at.Batch)
	switch {
	case errors.Is(err, postgres.ErrNotFound):
		return nil, bad("it is ahead of the journal", nil)
	case err != nil:
		return nil, err
	case header.Hash() != at.Head:
		return nil, bad("it is of another history", nil)
	}
	data, err := r.Store.ReadSnapshot(ctx, at.Batch)
	switch {
	case errors.Is(err, postgres.ErrNotFound):
		return nil, bad("its bytes are gone", nil)
	case err != nil:
		return nil, err
	}
	state, err := ledger.DecodeSnapshot(r.Charter, data)
	if err != nil {
		return nil, bad("it cannot be used", err)
	}
	if state.Head() != at.Head {
		return nil, bad("it is of another batch", nil)
	}
	return state, nil
}

// fromGenesis replays the whole journal. With VerifyGenesis each snapshot is
// compared with the books at its batch.
func (r *recovery) fromGenesis(ctx context.Context) (err error) {
	r.from, r.work = 0, 0
	if r.state, err = ledger.NewState(r.Charter); err != nil {
		return err
	}
	if !r.VerifyGenesis {
		return r.replay(ctx, nil)
	}
	list, err := r.Store.Snapshots(ctx)
	if err != nil {
		return err
	}
	stored := make(map[uint64]postgres.Snapshot, len(list))
	for _, at := range list {
		stored[at.Batch] = at
	}
	err = r.replay(ctx, func(batch uint64) error {
		at, ok := stored[batch]
		if !ok {
			return nil
		}
		delete(stored, batch)
		return r.compareSnapshot(ctx, at)
	})
	for batch := range stored {
		if err == nil {
			err = &SnapshotError{Batch: batch, Reason: "it is ahead of the journal"}
		}
	}
	return err
}

// compareSnapshot compares a stored snapshot with the replayed books at its batch.
func (r *recovery) compareSnapshot(ctx context.Context, at postgres.Snapshot) error {
	stored, err := r.openSnapshot(ctx, at)
	if err != nil {
		return err
	}
	got, err := stored.Snapshot()
	if err != nil {
		return err
	}
	want, err := r.state.Snapshot()
	if err != nil {
		return err
	}
	if got.Digest() != want.Digest() {
		return &SnapshotError{Batch: at.Batch, Reason: "its books are not those that the journal gives"}
	}
	return nil
}

// replay appends the batches that the state lacks and compares the balances that
// come out with those that PostgreSQL has added up. It calls each, if there is
// one, after every batch.
func (r *recovery) replay(ctx context.Context, each func(batch uint64) error) error {
	for b, err := range r.Store.Batches(ctx, r.state.Last().Number+1) {
		if err != nil {
			return err
		}
		if err := r.state.Append(b, r.Checks); err != nil {
			return err
		}
		r.work += len(b.Entries) + headerWork
		if each != nil {
			if err := each(b.Header.Number); err != nil {
				return err
			}
		}
	}
	if err := r.state.CheckInvariants(); err != nil {
		return err
	}
	return r.compareBalances(ctx)
}

// compareBalances walks over both sets of accounts in the order of their
// numbers. Error: *BalanceError for the first difference.
func (r *recovery) compareBalances(ctx context.Context) error {
	state := r.state
	next := ledger.AccountID(1)
	for stored, err := range r.Store.Balances(ctx) {
		if err != nil {
			return err
		}
		replayed, ok := state.Account(stored.Account)
		switch {
		case !ok:
			return &BalanceError{Account: stored.Account, Stored: stored.Amount, Reason: "the database has it, the journal never opened it"}
		case stored.Account != next:
			return missing(next, state)
		case stored.Key != replayed.Key:
			return &BalanceError{Account: stored.Account, Stored: stored.Amount, Replayed: replayed.Balance,
				Reason: fmt.Sprintf("the database has the key %s, the journal %s", stored.Key, replayed.Key)}
		case stored.Amount != replayed.Balance:
			return &BalanceError{Account: stored.Account, Stored: stored.Amount, Replayed: replayed.Balance}
		}
		if next++; next == ledger.Suspense+1 {
			next = ledger.FirstMember
		}
	}
	if next < ledger.AccountID(state.Accounts()) || next < ledger.FirstMember {
		return missing(next, state)
	}
	return nil
}

func missing(id ledger.AccountID, state *ledger.State) error {
	return &BalanceError{Account: id, Replayed: state.Balance(id), Reason: "the journal opened it, the database lacks it"}
}
