package settlement

import (
	"fmt"
	"strings"
)

// Stage is where a settlement stands. Each one is durable: it can be read back
// from the journal and the steps after any crash.
type Stage string

// The stages of a settlement, in order.
const (
	StageIdle      Stage = "idle"      // none is in flight
	StageCut       Stage = "cut"       // the journal holds its cut; the transaction is fixed to the byte
	StageSigned    Stage = "signed"    // the signed transaction is stored
	StageBroadcast Stage = "broadcast" // a node accepted it
	StageMined     Stage = "mined"     // a block holds it, not deep enough yet
)

// An Event moves a settlement from one stage to another.
type Event string

// The events.
const (
	EventDue      Event = "payouts or deposits wait"
	EventQuorum   Event = "t guardians signed"
	EventAccepted Event = "node accepts"
	EventRefused  Event = "node refuses"
	EventInBlock  Event = "block holds it"
	EventOutBlock Event = "block left the chain"
	EventDepth    Event = "block reaches the depth"
)

type transition struct {
	from    Stage
	on      Event
	to      Stage
	durable string // what is written, and committed, before the stage is taken
}

// transitions is the whole state machine. Desk.steps has one function for each
// stage; the diagram in docs/settlement.md is made from this table.
var transitions = []transition{
	{StageIdle, EventDue, StageCut, "journal: cut"},
	{StageCut, EventQuorum, StageSigned, "step: signed, with the transaction"},
	{StageSigned, EventAccepted, StageBroadcast, "step: broadcast"},
	{StageSigned, EventRefused, StageSigned, "step: refused, with the reason"},
	{StageSigned, EventInBlock, StageMined, "step: mined, with the height"},
	{StageBroadcast, EventRefused, StageSigned, "step: refused, with the reason"},
	{StageBroadcast, EventInBlock, StageMined, "step: mined, with the height"},
	{StageMined, EventOutBlock, StageSigned, "step: returned"},
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

// The steps that are stored, and the stage that each one means on its own.
const (
	stepSigned    = "signed"
	stepBroadcast = "broadcast"
	stepRefused   = "refused"
	stepMined     = "mined"
	stepReturned  = "returned"
)

// stageOf reads the stage of a settlement in flight off its last step.
func stageOf(lastStep string) (Stage, error) {
	switch lastStep {
	case "":
		return StageCut, nil
	case stepSigned, stepRefused, stepReturned:
		return StageSigned, nil
	case stepBroadcast:
		return StageBroadcast, nil
	case stepMined:
		return StageMined, nil
	}
	return "", fmt.Errorf("step %q is not known here", lastStep)
}
