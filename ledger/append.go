package ledger

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/daobank/daobank/bip340"
)

// Checks says how much Append verifies beyond what the books themselves refuse.
type Checks int

const (
	// CheckChain verifies the operator's signature, the hash chain and the
	// Merkle root of each batch.
	CheckChain Checks = iota
	// CheckAll verifies besides every member's signature, on all cores.
	CheckAll
)

// Append replays a finished batch: decodes its entries, checks it as far as
// asked, applies it and seals it. Error: *HistoryError; the State is then of no
// further use.
func (s *State) Append(b *Batch, checks Checks) error { return s.AppendPrepared(Prepare(b), checks) }

// AppendPrepared is Append for a batch that is prepared already.
func (s *State) AppendPrepared(p *Prepared, checks Checks) error {
	h := &p.Batch.Header
	if err := s.continues(&h.Header); err != nil {
		return err
	}
	if why := p.tampered(s.charter.Operator); why != "" {
		return &HistoryError{Batch: h.Number, Entry: -1, Reason: why}
	}
	if err := s.applyPrepared(p); err != nil {
		return err
	}
	if checks == CheckAll {
		if i := s.firstForged(p); i >= 0 {
			return &HistoryError{Batch: h.Number, Entry: i, Reason: notSigned(p.entries[i].Order)}
		}
	}
	return s.Seal(&h.Header)
}

// Apply applies an order or an event.
func (s *State) Apply(e Entry) (Effects, error) {
	if e.Order != nil {
		return s.ApplyOrder(e.Order)
	}
	return s.ApplyEvent(e.Event)
}

// verifyTogether is how many signatures a core gets at a time.
const verifyTogether = 1024

// knownKeys is how many accounts' keys are remembered from one batch to the next.
const knownKeys = 1 << 20

// firstForged returns the index of the first order that was applied and is not
// signed by its account's key, or -1. Of the books it only reads.
func (s *State) firstForged(p *Prepared) int {
	if s.verifier == nil {
		s.verifier = bip340.NewVerifier(knownKeys)
	}
	items := s.signatures(p)[1:] // the header's is verified
	if i := firstBad(s.verifier, items); i >= 0 {
		for at, entry := range p.entries {
			if entry.Order == nil {
				continue
			}
			if i--; i < 0 {
				return at
			}
		}
	}
	return -1
}

// firstBad verifies on all cores and returns the first index that is bad, or -1.
func firstBad(verifier *bip340.Verifier, items []bip340.Item) int {
	var first atomic.Int64
	first.Store(int64(len(items)))
	var next atomic.Int64
	var wg sync.WaitGroup
	parts := (len(items) + verifyTogether - 1) / verifyTogether
	for range min(runtime.GOMAXPROCS(0), parts) {
		wg.Go(func() {
			for part := next.Add(1) - 1; part < int64(parts); part = next.Add(1) - 1 {
				from := int(part) * verifyTogether
				bad := verifier.Verify(items[from:min(from+verifyTogether, len(items))])
				if len(bad) == 0 {
					continue
				}
				found := int64(from + bad[0])
				for old := first.Load(); found < old && !first.CompareAndSwap(old, found); old = first.Load() {
				}
			}
		})
	}
	wg.Wait()
	if i := first.Load(); i < int64(len(items)) {
		return int(i)
	}
	return -1
}
