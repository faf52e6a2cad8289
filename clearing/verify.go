package clearing

import (
	"github.com/daobank/daobank/ledger"
)

// verifyTogether is how many signatures a verifier is given at once, if so many
// wait. It is small because checking one by one gains nothing from more, while
// other cores would idle; a verifier of batches wants hundreds.
const verifyTogether = 4

// A signed is what a verifier judges.
type signed struct {
	key       ledger.Key
	digest    ledger.Hash
	signature ledger.Signature
}

// A verifier says of each signature whether it is good. It may be called by
// several goroutines at once. This is the place for one that checks many
// signatures by one equation.
type verifier func([]signed) []bool

// verifyEach checks one signature after the other.
func verifyEach(list []signed) []bool {
	good := make([]bool, len(list))
	for i := range list {
		good[i] = list[i].key.Verify(list[i].digest, list[i].signature)
	}
	return good
}

// A verdict is what is known of an order's signature.
type verdict byte

const (
	keyUnknown verdict = iota // the account was not open yet when it was looked at
	genuine
	forged
)

// A job is a part of a submission that is verified together.
type job struct {
	sub   *submission
	items []item
}

// verifyStage is run by one goroutine for each core.
func (e *Engine) verifyStage() {
	defer e.stages.Done()
	for {
		select {
		case <-e.stop.Done():
			return
		case j, ok := <-e.verifying:
			if !ok {
				return
			}
			e.verifyJobs(e.gather(j))
		}
	}
}

// gather adds jobs that wait already, so that a verifier of batches gets one.
func (e *Engine) gather(j job) []job {
	jobs, n := []job{j}, len(j.items)
	for n < verifyTogether {
		select {
		case j, ok := <-e.verifying:
			if !ok {
				return jobs
			}
			jobs, n = append(jobs, j), n+len(j.items)
		default:
			return jobs
		}
	}
	return jobs
}

func (e *Engine) verifyJobs(jobs []job) {
	var list []signed
	var judged []*item
	for _, j := range jobs {
		for i := range j.items {
			it := &j.items[i]
			it.prepare()
			if key, ok := e.signer(it.order); ok {
				it.key = key
				judged = append(judged, it)
				list = append(list, signed{key: key, digest: it.digest, signature: it.order.Signature})
			}
		}
	}
	for i, good := range e.verify(list) {
		judged[i].verdict = forged
		if good {
			judged[i].verdict = genuine
		}
	}
	for _, j := range jobs {
		if j.sub.unverified.Add(-int64(len(j.items))) == 0 {
			close(j.sub.verified)
		}
	}
}

// prepare computes what the later stages need, while it can be done on all cores.
func (it *item) prepare() {
	it.bytes = it.order.Bytes()
	it.digest = it.order.Digest()
	it.leaf = ledger.EntryLeaf(it.bytes)
}

// signer is the key that must have signed an order, if it is known yet.
func (e *Engine) signer(o *ledger.Order) (ledger.Key, bool) {
	if open, ok := o.Body.(*ledger.Open); ok {
		return open.Key, true
	}
	return e.directory.key(o.Payer)
}
