package clearing

import (
	"runtime"
	"sync"

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

// verifyStages runs the verifiers, one for each core, and whoever looks into what
// they put aside, and ends when all is verified.
func (e *Engine) verifyStages() {
	defer close(e.verified)
	var aside, verifiers sync.WaitGroup
	aside.Go(e.judgeSuspects)
	for range runtime.GOMAXPROCS(0) {
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

// gather waits for a job and adds all that wait already: the more signatures, the
// less one costs. It returns how many there are, 0 when there will be no more.
func (e *Engine) gather(w *verifyWork) (n int) {
	w.jobs = w.jobs[:0]
	select {
	case <-e.stop.Done():
		return 0
	case j, ok := <-e.verifying:
		if !ok {
			return 0
		}
		w.jobs, n = append(w.jobs, j), len(j.items)
	}
	for n < gatherMax {
		select {
		case j, ok := <-e.verifying:
			if !ok {
				return n
			}
			w.jobs, n = append(w.jobs, j), n+len(j.items)
		default:
			return n
		}
	}
	return n
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
