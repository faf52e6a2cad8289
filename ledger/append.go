package ledger

import (
	"fmt"
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
func (s *State) Append(b *Batch, checks Checks) error {
	h := &b.Header
	bad := func(entry int, err error, format string, args ...any) error {
		return &HistoryError{Batch: h.Number, Entry: entry, Reason: fmt.Sprintf(format, args...), Err: err}
	}
	if err := s.continues(&h.Header); err != nil {
		return err
	}
	if why := b.tampered(s.charter.Operator); why != "" {
		return bad(-1, nil, "%s", why)
	}
	entries := make([]Entry, len(b.Entries))
	for i, raw := range b.Entries {
		entry, err := DecodeEntry(raw)
		if err != nil {
			return bad(i, err, "it cannot be read")
		}
		entries[i] = entry
	}
	for i, entry := range entries {
		if _, err := s.Apply(entry); err != nil {
			return bad(i, err, "the books refuse it")
		}
	}
	if checks == CheckAll {
		if i := s.firstForged(entries); i >= 0 {
			return bad(i, nil, "order %d of account %s is not signed by the account's key", entries[i].Order.Sequence, entries[i].Order.signer())
		}
	}
	return s.Seal(&h.Header)
}

// Verify checks that a batch is what the operator signed: the header's signature,
// the count and the Merkle root of the entries. One that is not says nothing of the
// operator: whoever brought it may have changed it. Error: *TamperedError.
func (b *Batch) Verify(operator Key) error {
	if why := b.tampered(operator); why != "" {
		return &TamperedError{Batch: b.Header.Number, Reason: why}
	}
	return nil
}

// tampered says why a batch is not what the operator signed; "" when it is.
func (b *Batch) tampered(operator Key) string {
	h := &b.Header
	if !h.Verify(operator) {
		return fmt.Sprintf("its header is not signed by the operator %s", operator)
	}
	if int(h.Count) != len(b.Entries) {
		return fmt.Sprintf("its header counts %d entries, it has %d", h.Count, len(b.Entries))
	}
	leaves := make([]Hash, len(b.Entries))
	for i, raw := range b.Entries {
		leaves[i] = EntryLeaf(raw)
	}
	if root := MerkleRoot(leaves); root != h.Root {
		return fmt.Sprintf("its entries have the root %s, its header says %s", root, h.Root)
	}
	return ""
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
func (s *State) firstForged(entries []Entry) int {
	if s.verifier == nil {
		s.verifier = bip340.NewVerifier(knownKeys)
	}
	var items []bip340.Item
	var places []int // in the batch, by index of items
	for i, e := range entries {
		if e.Order != nil {
			digest := e.Order.Digest()
			items = append(items, bip340.Item{Key: s.signerKey(e.Order), Message: digest[:], Signature: e.Order.Signature})
			places = append(places, i)
		}
	}
	var first atomic.Int64
	first.Store(int64(len(entries)))
	var next atomic.Int64
	var wg sync.WaitGroup
	parts := (len(items) + verifyTogether - 1) / verifyTogether
	for range min(runtime.GOMAXPROCS(0), parts) {
		wg.Go(func() {
			for part := next.Add(1) - 1; part < int64(parts); part = next.Add(1) - 1 {
				from := int(part) * verifyTogether
				bad := s.verifier.Verify(items[from:min(from+verifyTogether, len(items))])
				if len(bad) == 0 {
					continue
				}
				found := int64(places[from+bad[0]])
				for old := first.Load(); found < old && !first.CompareAndSwap(old, found); old = first.Load() {
				}
			}
		})
	}
	wg.Wait()
	if i := first.Load(); i < int64(len(entries)) {
		return int(i)
	}
	return -1
}

func (s *State) signerKey(o *Order) Key {
	if open, ok := o.Body.(*Open); ok {
		return open.Key
	}
	return s.accounts.at(o.Payer.Index()).key
}
