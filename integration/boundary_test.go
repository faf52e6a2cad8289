package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres/lossy"
	"github.com/daobank/daobank/settlement"
)

// A transition of a settlement, as settlement.Diagram draws it. Transitions from one
// stage that write the same thing are one here: nobody who sees the write can tell
// them apart.
type transition struct {
	from   settlement.Stage
	writes string // "journal cut", "step signed", …
	events string
}

func (t transition) String() string { return fmt.Sprintf("%s, %s: %s", t.from, t.writes, t.events) }

// transitions are all of them, read off the diagram that is made from the table, and
// where each leads.
func transitions() (all []transition, to map[transition]settlement.Stage) {
	line := regexp.MustCompile(`(?m)^    (\S+) --> (\S+): (.+) \((\w+ \w+).*\)$`)
	to = make(map[transition]settlement.Stage)
	for _, m := range line.FindAllStringSubmatch(settlement.Diagram(), -1) {
		t := transition{from: settlement.Stage(m[1]), writes: m[4], events: m[3]}
		if i := slices.IndexFunc(all, func(o transition) bool { return o.from == t.from && o.writes == t.writes }); i >= 0 {
			t.events = all[i].events + ", or " + m[3]
			delete(to, all[i])
			all = slices.Delete(all, i, i+1)
		}
		all = append(all, t)
		to[t] = settlement.Stage(m[2])
	}
	return all, to
}

// elsewhere is what this bank, whose vault has one key, cannot reach: guardians of an
// old key are gone. rotation_test.go and settlement_test.go tell of those.
func elsewhere(t transition) bool { return t.from == settlement.StageCut && t.writes == "journal cut" }

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
	switch w.Step {
	case "":
	case "waits": // changes no stage
		return ""
	default:
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
	if !written {
		s.resolve()
		all, _ := transitions()
		i := slices.IndexFunc(all, func(t transition) bool { return t.from == s.stage && t.writes == writes })
		if i < 0 {
			s.pending = nil
			s.t.Errorf("a settlement that is %s writes %q: no transition of the table does that", s.stage, writes)
			return nil
		}
		s.pending, s.begun = &all[i], time.Now()
	}
	if s.pending == nil {
		return nil
	}
	at := boundary{*s.pending, written}
	if written {
		s.take()
	}
	if victims := s.wanted[at]; len(victims) > 0 {
		s.wanted[at] = victims[1:]
		return &arrest{at: at, victim: victims[0], pass: make(chan bool, 1)}
	}
	return nil
}

// take notes that the pending transition is written.
func (s *chaosStory) take() {
	_, to := transitions()
	t := *s.pending
	s.taken[t]++
	s.pending = nil
	s.done++
	switch s.stage = to[t]; t.writes {
	case "journal cut":
		s.signed = false
	case "step signed":
		s.signed = true
	case "step returned": // back to where the newest version stands
		if s.stage = settlement.StageCut; s.signed {
			s.stage = settlement.StageSigned
		}
	}
}

// resolve finds out what became of a write whose reply nobody has seen: PostgreSQL may
// have died with it on its lips.
func (s *chaosStory) resolve() {
	if s.pending == nil {
		return
	}
	if n, err := s.written(); err == nil && n > s.done {
		s.take()
	}
}

// written counts the transitions that the database holds.
func (s *chaosStory) written() (n int, err error) {
	conn, err := pgx.Connect(s.ctx, s.database)
	if err != nil {
		return 0, err
	}
	defer conn.Close(s.ctx)
	err = conn.QueryRow(s.ctx, `select (select count(*) from settlement_step where step <> 'waits') + (select count(*) from entry where kind in ($1, $2))`,
		int(ledger.KindCut), int(ledger.KindSettled)).Scan(&n)
	return n, err
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
