package clearing

import (
	"sync/atomic"
	"time"
)

// To find out which signatures of a part are bad costs several times as much as to
// know that all of a part are good. So it is done apart, by one goroutine that takes
// a small part of the time while orders of others are carried out: who forges waits
// for himself, and hardly keeps others waiting.
const (
	suspectShare = 8                // of the time, one part in this many
	suspectPause = time.Second      // at most between two parts
	suspectsMax  = DefaultQueue / 8 // orders that wait for it; more get ErrBusy
)

// suspects are the parts that hold a bad signature. Their orders do not count as
// queued: they take no room from others.
type suspects struct {
	jobs   chan job // never full: it holds suspectsMax
	orders atomic.Int64
}

// suspect puts a part aside, or answers ErrBusy when too many wait there.
func (e *Engine) suspect(j job) {
	n := int64(len(j.items))
	if e.suspects.orders.Add(n) <= suspectsMax {
		e.queued.Add(-n)
		e.suspects.jobs <- j
		return
	}
	e.suspects.orders.Add(-n)
	for i := range j.items {
		j.items[i].verdict = unjudged
	}
	e.passOn(j)
}

// judgeSuspects names the bad signatures of the parts that were put aside.
func (e *Engine) judgeSuspects() {
	w := verifyWork{verifier: e.verifier}
	for j := range e.suspects.jobs {
		began, accepted := time.Now(), e.stats.accepted.Load()
		w.judge(j)
		e.queued.Add(int64(len(j.items)))
		e.suspects.orders.Add(-int64(len(j.items)))
		e.passOn(j)
		others := e.stats.accepted.Load() != accepted
		if others && !pause(e.stop, min((suspectShare-1)*time.Since(began), suspectPause)) {
			return
		}
	}
}
