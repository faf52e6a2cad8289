package clearing

import (
	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
)

// How many signatures are verified by one equation. A call's orders are split into
// parts, so that more than one core gets some; parts that wait are put together, and
// past gatherMax a signature costs hardly less.
const (
	partMax   = 256
	gatherMax = 1024
)

// knownKeys is how many accounts' public keys the verifier remembers as points, at
// about 100 bytes each: those that it has seen a signature of.
const knownKeys = 1 << 18

// A verifier returns the indices of the items whose signature is bad, ascending.
// Several goroutines call it at once.
type verifier func(items []bip340.Item) (bad []int)

// A verdict is what is known of an order's signature.
type verdict byte

const (
	keyUnknown verdict = iota // the account was not open yet when it was looked at
	genuine
	forged
)

// A job is a part of a submission.
type job struct {
	sub   *submission
	items []item
}

// verifyStage is run by one goroutine for each core.
func (e *Engine) verifyStage() {
	defer e.stages.Done()
	var w verifyWork
	for {
		select {
		case <-e.stop.Done():
			return
		case j, ok := <-e.verifying:
			if !ok {
				return
			}
			e.gather(&w, j)
			e.verifyJobs(&w)
		}
	}
}

// verifyWork is what one goroutine verifies at a time. Its memory is used again.
type verifyWork struct {
	jobs   []job
	items  []bip340.Item
	judged []*item // by index of items
}

// gather adds jobs that wait already: the more signatures, the less one costs.
func (e *Engine) gather(w *verifyWork, j job) {
	w.jobs = append(w.jobs[:0], j)
	for n := len(j.items); n < gatherMax; {
		select {
		case j, ok := <-e.verifying:
			if !ok {
				return
			}
			w.jobs, n = append(w.jobs, j), n+len(j.items)
		default:
			return
		}
	}
}

func (e *Engine) verifyJobs(w *verifyWork) {
	w.items, w.judged = w.items[:0], w.judged[:0]
	for _, j := range w.jobs {
		for i := range j.items {
			it := &j.items[i]
			it.prepare()
			if key, ok := e.signer(it.order); ok {
				it.key, it.verdict = key, genuine
				w.judged = append(w.judged, it)
				w.items = append(w.items, bip340.Item{Key: key, Message: it.digest[:], Signature: it.order.Signature})
			}
		}
	}
	for _, i := range e.verify(w.items) {
		w.judged[i].verdict = forged
	}
	for _, j := range w.jobs {
		if j.sub.unverified.Add(-int64(len(j.items))) == 0 {
			close(j.sub.verified)
		}
	}
}

// prepare computes what the later stages need, while it can be done on all cores.
func (it *item) prepare() {
	it.bytes = it.order.Bytes()
	it.digest = ledger.OrderDigest(it.bytes)
	it.leaf = ledger.EntryLeaf(it.bytes)
}

// signer is the key that must have signed an order, if it is known yet.
func (e *Engine) signer(o *ledger.Order) (ledger.Key, bool) {
	if open, ok := o.Body.(*ledger.Open); ok {
		return open.Key, true
	}
	return e.directory.key(o.Payer)
}
