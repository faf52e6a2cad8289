package integration

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/lossy"
	"github.com/daobank/daobank/settlement"
)

// A transition of a settlement, as settlement.Diagram draws it. What it writes tells
// transitions from one stage apart.
type transition struct {
	from, to settlement.Stage
	event    settlement.Event
	writes   string // "journal cut", "step signed", …
}

func (t transition) String() string { return fmt.Sprintf("%s → %s: %s", t.from, t.to, t.event) }

// transitions are all of them, read off the diagram that is made from the table.
func transitions() (all []transition) {
	line := regexp.MustCompile(`(?m)^    (\S+) --> (\S+): (.+) \((\w+ \w+).*\)$`)
	for _, m := range line.FindAllStringSubmatch(settlement.Diagram(), -1) {
		all = append(all, transition{from: settlement.Stage(m[1]), to: settlement.Stage(m[2]), event: settlement.Event(m[3]), writes: m[4]})
	}
	return all
}

// A boundary is one end of a transition's write: what led to it has happened and
// nothing is written yet; or it is written, and who wrote it does not know yet.
type boundary struct {
	transition
	written bool
}

func (b boundary) String() string {
	if b.written {
		return b.transition.String() + ", written"
	}
	return b.transition.String() + ", not yet written"
}

// writesOf names what a Tx of the bank writes of a settlement; "" for nothing.
func writesOf(w lossy.Write) string {
	if w.Step != "" {
		return "step " + w.Step
	}
	name := ""
	for _, kind := range w.Kinds {
		switch k := ledger.Kind(kind); k {
		case ledger.KindBlock, ledger.KindDeposit, ledger.KindRekey:
		default:
			name = "journal " + strings.ToLower(k.String())
		}
	}
	return name
}

// An arrest is the bank kept at a boundary until somebody has struck.
type arrest struct {
	at     boundary
	victim string
	pass   chan bool
}

// watch follows the settlement by what the bank writes, and keeps the bank at each
// boundary that somebody is to be struck at.
func (s *chaosStory) watch(w lossy.Write, written bool) bool {
	writes := writesOf(w)
	if writes == "" {
		return true
	}
	a := s.arrest(writes, written)
	if a == nil {
		return true
	}
	select {
	case s.arrests <- a:
	case <-s.ctx.Done():
		return true
	}
	select {
	case pass := <-a.pass:
		return pass
	case <-s.ctx.Done():
		return true
	}
}

func (s *chaosStory) arrest(writes string, written bool) *arrest {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range transitions() {
		if t.from != s.stage || t.writes != writes {
			continue
		}
		at := boundary{t, written}
		if written {
			s.stage = t.to
			s.taken[t]++
		}
		if victims := s.wanted[at]; len(victims) > 0 {
			s.wanted[at] = victims[1:]
			return &arrest{at: at, victim: victims[0], pass: make(chan bool, 1)}
		}
		return nil
	}
	s.t.Errorf("a settlement that is %s writes %q: no transition of the table does that", s.stage, writes)
	return nil
}

// wants reports whether anybody is still to be struck at a transition.
func (s *chaosStory) wants(from settlement.Stage, writes string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, victims := range s.wanted {
		if at.from == from && at.writes == writes && len(victims) > 0 {
			return true
		}
	}
	return false
}

// left lists the boundaries that were not reached.
func (s *chaosStory) left() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, victims := range s.wanted {
		if len(victims) > 0 {
			list = append(list, fmt.Sprintf("%s: %s", at, strings.Join(victims, ", ")))
		}
	}
	return list
}
