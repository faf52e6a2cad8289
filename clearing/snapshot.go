package clearing

import (
	"context"
	"io"

	"github.com/daobank/daobank/ledger"
)

// DefaultSnapshotEvery is the work of replaying that a start is spared by a snapshot,
// in entries.
const DefaultSnapshotEvery = 250_000

// headerWork is what a batch costs in a replay besides its entries, in entries:
// one signature verified for itself.
const headerWork = 40

// A snapshotter has the books written down now and then, so that the next start
// replays little. It never keeps a batch waiting:
//
//	sequencer    at the end of a batch, when it is time: copies the books
//	committer    when that batch is on disk: hands the copy on
//	follower     encodes, signs and stores it
//
// Only the copy is made in the sequencer's goroutine. It costs a fraction of what
// the books' hash costs there at every cut. Books that are shared until they
// change would have to be asked on each payment whether they are shared; a second
// State that follows the journal would need as much memory again all the time,
// and a part of a core.
//
// There is one copy at a time: when the next is due and the last is still being
// written, it is put off.
type snapshotter struct {
	work  int           // of a replay, since the last copy; the sequencer's own
	idle  chan struct{} // a token when no copy is under way
	ready chan *ledger.Snapshot
}

func newSnapshotter(work int) snapshotter {
	s := snapshotter{work: work, idle: make(chan struct{}, 1), ready: make(chan *ledger.Snapshot, 1)}
	s.idle <- struct{}{}
	return s
}

// copyBooks adds a copy of the books to a batch that was just sealed, if it is
// time: when a cut or a rekey ended it, and else when enough has happened. With
// many accounts a snapshot is large, so more has to happen.
func (e *Engine) copyBooks(b *batch) {
	e.snapshots.work += len(b.entries) + headerWork
	if !b.closed && e.snapshots.work < max(e.config.SnapshotEvery, int(e.state.Accounts())) {
		return
	}
	select {
	case <-e.snapshots.idle:
	default:
		return
	}
	snapshot, err := e.state.Snapshot()
	if err != nil { // never: the batch was just sealed
		e.log.Error("no snapshot was taken", "batch", b.header.Number, "error", err)
		e.snapshots.idle <- struct{}{}
		return
	}
	b.snapshot, e.snapshots.work = snapshot, 0
}

// saveSnapshots stores the copies. One that cannot be stored costs the next start
// time and nobody anything else.
func (e *Engine) saveSnapshots(ctx context.Context) {
	for {
		select {
		case p := <-e.snapshots.ready:
			header := p.Header()
			err := e.config.Store.SaveSnapshot(ctx, e.epoch, header, func(w io.Writer) error { return p.Encode(w, e.config.Operator) })
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				e.log.Warn("a snapshot was not saved: the next start will take longer", "error", err)
			default:
				e.log.Debug("saved a snapshot of the books", "batch", header.Number)
			}
			e.snapshots.idle <- struct{}{}
		case <-ctx.Done():
			return
		}
	}
}
