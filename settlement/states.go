package settlement

import (
	"fmt"
	"strings"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

// Stage is where a settlement stands. Each one is durable: it can be read back
// from the journal and the steps after any crash.
type Stage string

// The stages of a settlement, in order. All but mined are those of its newest
// version.
const (
	StageIdle      Stage = "idle"      // none is in flight
	StageCut       Stage = "cut"       // the journal holds its cut; the transaction is fixed to the byte
	StageSigned    Stage = "signed"    // the signed transaction is stored
	StageBroadcast Stage = "broadcast" // a node accepted it
	StageMined     Stage = "mined"     // a block holds a version of it, not deep enough yet
)

// An Event moves a settlement from one stage to another.
type Event string

// The events.
const (
	EventDue      Event = "a settlement is due"
	EventQuorum   Event = "t guardians signed"
	EventAway     Event = "guardians of an old key are gone"
	EventLost     Event = "a coin of it left the chain"
	EventAccepted Event = "node accepts"
	EventRefused  Event = "node refuses"
	EventOutbid   Event = "node asks for more"
	EventMissed   Event = "not in the next block"
	EventInBlock  Event = "block holds a version"
	EventOutBlock Event = "block left the chain"
	EventReturned Event = "block left the chain, newest version not signed"
	EventDepth    Event = "block reaches the depth"
)

type transition struct {
	from    Stage
	on      Event
	to      Stage
	durable string // what is written, and committed, before the stage is taken
}

// transitions is the whole state machine. Desk.step has one function for each
// stage; the diagram in docs/settlement.md is made from this table.
var transitions = []transition{
	{StageIdle, EventDue, StageCut, "journal: cut, version 1"},
	{StageCut, EventQuorum, StageSigned, "step: signed, with the transaction"},
	{StageCut, EventAway, StageCut, "journal: cut, next version"},
	{StageCut, EventLost, StageCut, "journal: cut, next version"},
	{StageCut, EventInBlock, StageMined, "step: mined, with version and height"},
	{StageSigned, EventAccepted, StageBroadcast, "step: broadcast"},
	{StageSigned, EventRefused, StageSigned, "step: refused, with the reason"},
	{StageSigned, EventOutbid, StageCut, "journal: cut, next version"},
	{StageSigned, EventMissed, StageCut, "journal: cut, next version"},
	{StageSigned, EventInBlock, StageMined, "step: mined, with version and height"},
	{StageBroadcast, EventRefused, StageSigned, "step: refused, with the reason"},
	{StageBroadcast, EventMissed, StageCut, "journal: cut, next version"},
	{StageBroadcast, EventInBlock, StageMined, "step: mined, with version and height"},
	{StageMined, EventInBlock, StageMined, "step: mined, with version and height"},
	{StageMined, EventOutBlock, StageSigned, "step: returned"},
	{StageMined, EventReturned, StageCut, "step: returned"},
	{StageMined, EventDepth, StageIdle, "journal: settled"},
}

// Diagram writes the state machine as a Mermaid state diagram.
func Diagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> idle\n")
	for _, t := range transitions {
		fmt.Fprintf(&b, "    %s --> %s: %s (%s)\n", t.from, t.to, t.on, strings.ReplaceAll(t.durable, ":", ""))
	}
	return b.String()
}

// next returns the stage that an event leads to.
func next(from Stage, on Event) (Stage, error) {
	for _, t := range transitions {
		if t.from == from && t.on == on {
			return t.to, nil
		}
	}
	return "", fmt.Errorf("a settlement that is %s cannot take %q", from, on)
}

// The steps that are stored.
const (
	stepSigned    = "signed"    // with the version's transaction
	stepBroadcast = "broadcast" // a node accepted it
	stepRefused   = "refused"   // a node refused it, with the reason
	stepWaits     = "waits"     // why no next version is made; changes no stage
	stepMined     = "mined"     // a block holds that version
	stepReturned  = "returned"  // none does any more
)

// stageOf reads the stage of a settlement in flight off its steps. newest is the txid
// of its newest version.
func stageOf(steps []postgres.Step, newest ledger.Hash) (Stage, error) {
	stage, mined := StageCut, false
	for _, s := range steps {
		ofNewest := s.TxID != nil && *s.TxID == newest
		switch s.Step {
		case stepMined:
			mined = true
		case stepReturned:
			mined = false
			if stage == StageBroadcast {
				stage = StageSigned
			}
		case stepSigned, stepRefused:
			if ofNewest {
				stage = StageSigned
			}
		case stepBroadcast:
			if ofNewest {
				stage = StageBroadcast
			}
		case stepWaits:
		default:
			return "", fmt.Errorf("step %q is not known here", s.Step)
		}
	}
	if mined {
		return StageMined, nil
	}
	return stage, nil
}
