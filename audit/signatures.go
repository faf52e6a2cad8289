package audit

import (
	"runtime"

	"github.com/daobank/daobank/bip340"
	"github.com/daobank/daobank/ledger"
)

// How many signatures are verified by one equation, of however many batches, and
// how many signers' keys are remembered between them.
const (
	signaturesTogether = 2048
	// entriesTogether bounds the entries that wait for a group to fill, when not
	// every entry has a signature to verify.
	entriesTogether = 8192
	signersKnown    = 1 << 20
)

// signatures verifies what batches were appended without, while the next batches
// are appended. One goroutine uses it. What is known of a batch is released in the
// order of the batches, so that the first difference is the first of the journal.
type signatures struct {
	verifier *bip340.Verifier
	group    *group     // that is being filled
	groups   []*group   // at work, oldest first
	batches  []*waiting // not released yet, oldest first

	entries  int // since the last group was started
	added    int // signatures that were added
	verified int // of these, from the first, that are known to be good
	forged   *ledger.HistoryError
}

// A group of signatures is verified together.
type group struct {
	items []bip340.Item
	bad   chan []int
}

// waiting is a batch that is in the books, and what to do when it is proved.
type waiting struct {
	unverified *ledger.Unverified
	begin, end int // of its signatures among all
	prove      func()
}

func newSignatures() *signatures {
	return &signatures{verifier: bip340.NewVerifier(signersKnown)}
}

// add takes the signatures of a batch. prove is called when they and all before are
// good.
func (s *signatures) add(u *ledger.Unverified, items []bip340.Item, prove func()) {
	begin := s.added
	s.added += len(items)
	for len(items) > 0 {
		if s.group == nil {
			s.group = &group{items: make([]bip340.Item, 0, signaturesTogether), bad: make(chan []int, 1)}
		}
		n := min(len(items), cap(s.group.items)-len(s.group.items))
		s.group.items = append(s.group.items, items[:n]...)
		if items = items[n:]; len(s.group.items) == cap(s.group.items) {
			s.start()
		}
	}
	s.batches = append(s.batches, &waiting{unverified: u, begin: begin, end: s.added, prove: prove})
	if s.entries += len(u.Entries()); s.entries >= entriesTogether && s.group != nil {
		s.start()
	}
	for len(s.groups) > runtime.GOMAXPROCS(0) {
		s.finish()
	}
}

// start verifies the group.
func (s *signatures) start() {
	g := s.group
	s.group, s.groups, s.entries = nil, append(s.groups, g), 0
	go func() { g.bad <- s.verifier.Verify(g.items) }()
}

// finish waits for the oldest group and releases the batches that it proves.
func (s *signatures) finish() {
	g := s.groups[0]
	s.groups = s.groups[1:]
	bad := <-g.bad
	if s.forged != nil {
		return
	}
	good := s.verified + len(g.items)
	if len(bad) > 0 {
		good = s.verified + bad[0]
	}
	for len(s.batches) > 0 && s.batches[0].end <= good {
		s.batches[0].prove()
		s.batches = s.batches[1:]
	}
	s.verified = good
	if len(bad) > 0 {
		s.forged = s.batches[0].unverified.Forged(good - s.batches[0].begin)
	}
}

// flush verifies all that was added and returns the first that is forged, or nil.
func (s *signatures) flush() *ledger.HistoryError {
	if s.group != nil {
		s.start()
	}
	for len(s.groups) > 0 {
		s.finish()
	}
	return s.forged
}
