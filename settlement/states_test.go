package settlement

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/ledger/postgres"
)

var update = flag.Bool("update", false, "write the diagram into docs/settlement.md")

// TestDiagramIsCurrent compares docs/settlement.md with the table of
// transitions. Run with -update to write it.
func TestDiagramIsCurrent(t *testing.T) {
	const path = "../docs/settlement.md"
	const begin, end = "```mermaid\n", "```\n"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(raw), begin)
	drawn, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no Mermaid diagram", path)
	}
	if drawn == Diagram() {
		return
	}
	if !*update {
		t.Fatalf("the diagram in %s is not the table of transitions: go test ./settlement -run Diagram -update", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+Diagram()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wayTo are steps after which a settlement with the newest version "2" is at a stage.
var wayTo = map[Stage]string{
	StageCut:       "signed 1, broadcast 1",
	StageSigned:    "signed 1, broadcast 1, signed 2",
	StageBroadcast: "signed 1, broadcast 1, signed 2, broadcast 2",
	StageMined:     "signed 1, broadcast 1, signed 2, mined 1",
}

// stepsOf reads steps written as "step version, step version".
func stepsOf(text string) (steps []postgres.Step) {
	for _, item := range strings.Split(text, ", ") {
		step, version, ok := strings.Cut(item, " ")
		if ok {
			steps = append(steps, postgres.Step{Step: step, TxID: &ledger.Hash{version[0]}})
		}
	}
	return steps
}

// TestStages walks every transition: the step that makes it durable, written behind
// those that lead to the stage before, is read back as the stage after.
func TestStages(t *testing.T) {
	for _, tr := range transitions {
		if to, err := next(tr.from, tr.on); err != nil || to != tr.to {
			t.Errorf("%s on %q leads to %q, %v; want %s", tr.from, tr.on, to, err, tr.to)
		}
		step, stored := strings.CutPrefix(tr.durable, "step: ")
		if !stored {
			continue
		}
		step, _, _ = strings.Cut(step, ",")
		way := wayTo[tr.from] + ", " + step + " 2"
		if tr.on == EventReturned {
			way = "signed 1, mined 1, returned 2"
		}
		if got, err := stageOf(stepsOf(way), ledger.Hash{'2'}); err != nil || got != tr.to {
			t.Errorf("%s reads as stage %q, %v; want %s", way, got, err, tr.to)
		}
	}
	for way, want := range map[string]Stage{
		"":                                       StageCut,
		"signed 1, broadcast 1, refused 1":       StageCut,
		"signed 1, broadcast 1, waits 1":         StageCut,
		"signed 2, broadcast 2, waits 2":         StageBroadcast,
		"signed 1, mined 1, returned 2, mined 1": StageMined,
		"signed 1, signed 2, broadcast 2, mined 1, returned 2":    StageSigned,
		"signed 1, signed 2, mined 2, mined 1, returned 2":        StageSigned,
		"signed 1, broadcast 1, mined 1, returned 1, broadcast 1": StageCut,
	} {
		if got, err := stageOf(stepsOf(way), ledger.Hash{'2'}); err != nil || got != want {
			t.Errorf("%q reads as stage %q, %v; want %s", way, got, err, want)
		}
	}
	if _, err := next(StageIdle, EventInBlock); err == nil {
		t.Error("an idle desk took a block that holds its settlement")
	}
	if _, err := stageOf(stepsOf("unheard-of 1"), ledger.Hash{'1'}); err == nil {
		t.Error("an unknown step was read as a stage")
	}
}
