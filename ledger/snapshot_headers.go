package ledger

import (
	"fmt"
	"iter"
	"runtime"
	"sync"

	"github.com/daobank/daobank/bip340"
)

// VerifyHeaders checks a journal's headers without its entries: that they are a
// chain from the first batch on, and that the operator signed each. Signatures
// are verified many at a time and on all cores. It returns the last header,
// the zero Header for none, and the root of the journal tree over all of them.
//
// Errors: *HistoryError for the first batch that is wrong, as Append gives it;
// the sequence's own.
func VerifyHeaders(charter Charter, headers iter.Seq2[SignedHeader, error]) (last Header, journal Hash, err error) {
	s, err := NewState(charter) // of its books only the chain is used
	if err != nil {
		return Header{}, Hash{}, err
	}
	v := newHeaderVerifier(charter.Operator)
	for h, e := range headers {
		if err = e; err == nil {
			err = s.continues(&h.Header)
		}
		if err != nil {
			break
		}
		s.follow(&h.Header)
		v.add(&h, s.head)
	}
	// A bad signature is of an earlier batch than one that breaks the chain.
	if forged := v.finish(); forged != nil {
		err = forged
	}
	if err != nil {
		return Header{}, Hash{}, err
	}
	return s.last, s.JournalRoot(), nil
}

// A headerVerifier verifies the signatures of headers, a part at a time in
// goroutines of their own.
type headerVerifier struct {
	operator Key
	verifier *bip340.Verifier
	part     []signedHash
	cores    chan struct{} // a token for each part under way
	parts    sync.WaitGroup

	mu    sync.Mutex
	first uint64 // number of the first batch with a bad signature, or 0
}

type signedHash struct {
	number    uint64
	hash      Hash
	signature Signature
}

func newHeaderVerifier(operator Key) *headerVerifier {
	return &headerVerifier{operator: operator, verifier: bip340.NewVerifier(1), cores: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

func (v *headerVerifier) add(h *SignedHeader, hash Hash) {
	v.part = append(v.part, signedHash{h.Number, hash, h.Signature})
	if len(v.part) == verifyTogether {
		v.start()
	}
}

// start verifies the part gathered so far; it waits for a core.
func (v *headerVerifier) start() {
	part := v.part
	v.part = make([]signedHash, 0, verifyTogether)
	v.cores <- struct{}{}
	v.parts.Go(func() {
		defer func() { <-v.cores }()
		items := make([]bip340.Item, len(part))
		for i := range part {
			items[i] = bip340.Item{Key: v.operator, Message: part[i].hash[:], Signature: part[i].signature}
		}
		if bad := v.verifier.Verify(items); len(bad) > 0 {
			v.mu.Lock()
			defer v.mu.Unlock()
			if n := part[bad[0]].number; v.first == 0 || n < v.first {
				v.first = n
			}
		}
	})
}

// finish waits for all parts and names the first bad signature.
func (v *headerVerifier) finish() error {
	v.start()
	v.parts.Wait()
	if v.first == 0 {
		return nil
	}
	return &HistoryError{Batch: v.first, Entry: -1, Reason: fmt.Sprintf("its header is not signed by the operator %s", v.operator)}
}
