package clearing

import (
	"sync"
	"time"

	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
)

// How many signatures are verified by one equation. A call's orders are split into
// parts, so that more than one core gets some; parts that wait are put together, and
// past gatherMax a signature costs hardly less.
const (
	partMax   = 256
	gatherMax = 1024
	// gatherMin is fewer than which one verifier looks at while the others wait:
	// more will have come when it is done.
	gatherMin = 64
	// gatherFew are so few that nobody waits for more, unless a commit is under way,
	// after which alone they can go on.
	gatherFew = 8
	// gatherGap is how long after the last ones orders that are neither few nor many
	// are looked at: fewer commits and larger equations leave the cores idle for what
	// comes next.
	gatherGap = 2 * time.Millisecond
)

// knownKeys is about how many accounts' public keys the verifier remembers as points,
// at 32 bytes each: those that it has seen a signature of.
const knownKeys = 1 << 20

// A verdict is what is known of an order's signature.
type verdict byte

const (
	keyUnknown verdict = iota // the account was not open yet when it was looked at
	genuine
	forged
	unjudged // nobody looked: it came with bad ones when too many of those waited
)

// A job is a part of a submission.
type job struct {
	sub   *submission
	items []item
}

// passOn hands the submission to the sequencer when this was the last part of it.
func (e *Engine) passOn(j job) {
	if j.sub.unverified.Add(-int64(len(j.items))) == 0 {
		e.verified <- j.sub // never full: it holds as many as orders may wait anywhere
	}
}

// verifyStages runs the verifiers, and whoever looks into what they put aside, and
// ends when all is verified.
func (e *Engine) verifyStages() {
	defer close(e.verified)
	var aside, verifiers sync.WaitGroup
	aside.Go(e.judgeSuspects)
	for range e.config.Verifiers {
		verifiers.Go(e.verifyStage)
	}
	verifiers.Wait()
	close(e.suspects.jobs)
	aside.Wait()
}

func (e *Engine) verifyStage() {
	w := verifyWork{verifier: e.verifier}
	for {
		e.gathering.Lock()
		n := e.gather(&w)
		e.gathered = time.Now()
		if n >= gatherMin {
			e.gathering.Unlock()
		}
		e.verifyJobs(&w)
		if n < gatherMin {
			e.gathering.Unlock()
		}
		if n == 0 {
			return
		}
	}
}

// verifyWork is what one goroutine verifies at a time. Its memory is used again.
type verifyWork struct {
	verifier *bip340.Verifier
	jobs     []job
	items    []bip340.Item
	judged   []*item // by index of items
}

// gather waits for a job and adds what comes until it is worth it. It returns how
// many orders there are, 0 when there will be no more.
func (e *Engine) gather(w *verifyWork) (n int) {
	w.jobs = w.jobs[:0]
	for n < gatherMax {
		j, ok := e.next(n)
		if !ok {
			break
		}
		w.jobs, n = append(w.jobs, j), n+len(j.items)
	}
	return n
}

// next returns a job to be verified together with the n orders that were gathered.
// It returns false when these are enough, or when there will be no more.
func (e *Engine) next(n int) (j job, ok bool) {
	select {
	case j, ok = <-e.verifying: // whatever waits
		return j, ok
	default:
	}
	for {
		var gap <-chan time.Time
		switch {
		case n == 0, n < gatherMin && len(e.slot) == 0: // the committer is at work
		case n < gatherFew, n >= gatherMin:
			return job{}, false
		default:
			gap = time.After(time.Until(e.gathered.Add(gatherGap)))
		}
		select {
		case j, ok = <-e.verifying:
			return j, ok
		case <-e.idle: // look again
		case <-gap:
			return job{}, false
		case <-e.stop.Done():
			return job{}, false
		}
	}
}

// verifyJobs passes the parts whose signatures are all good. If not all together
// are, it looks at each part alone: what one caller forged costs the others one
// more equation, and whoever sent it has to wait until it is found.
func (e *Engine) verifyJobs(w *verifyWork) {
	for _, j := range w.jobs {
		for i := range j.items {
			e.prepare(&j.items[i])
		}
	}
	good := w.allGood(w.jobs)
	for i, j := range w.jobs {
		if good || len(w.jobs) > 1 && w.allGood(w.jobs[i:i+1]) {
			e.passOn(j)
		} else {
			e.suspect(j)
		}
	}
}

// read lists the signatures of jobs whose keys are known.
func (w *verifyWork) read(jobs []job) {
	w.items, w.judged = w.items[:0], w.judged[:0]
	for _, j := range jobs {
		for i := range j.items {
			if it := &j.items[i]; it.verdict != keyUnknown {
				w.judged = append(w.judged, it)
				w.items = append(w.items, bip340.Item{Key: it.key, Message: it.digest[:], Signature: it.order.Signature})
			}
		}
	}
}

// allGood reports whether each of the signatures whose keys are known is good.
func (w *verifyWork) allGood(jobs []job) bool {
	w.read(jobs)
	return w.verifier.AllGood(w.items)
}

// judge finds the bad signatures of a part.
func (w *verifyWork) judge(j job) {
	w.jobs = append(w.jobs[:0], j)
	w.read(w.jobs)
	for _, i := range w.verifier.Verify(w.items) {
		w.judged[i].verdict = forged
	}
}

// prepare computes what the later stages need, while it can be done on all cores.
// The signature counts as genuine until it is looked at.
func (e *Engine) prepare(it *item) {
	it.bytes = it.order.Bytes()
	it.digest = ledger.OrderDigest(it.bytes)
	it.leaf = ledger.EntryLeaf(it.bytes)
	if key, ok := e.signer(it.order); ok {
		it.key, it.verdict = key, genuine
	}
}

// signer is the key that must have signed an order, if it is known yet.
func (e *Engine) signer(o *ledger.Order) (ledger.Key, bool) {
	if open, ok := o.Body.(*ledger.Open); ok {
		return open.Key, true
	}
	return e.keys.Of(o.Payer)
}
