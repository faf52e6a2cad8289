package settlement

import (
	"flag"
	"os"
	"strings"
	"testing"
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

// TestStages walks every transition and checks that the stored step of each
// stage is read back as that stage.
func TestStages(t *testing.T) {
	for _, tr := range transitions {
		if to, err := next(tr.from, tr.on); err != nil || to != tr.to {
			t.Errorf("%s on %q leads to %q, %v; want %s", tr.from, tr.on, to, err, tr.to)
		}
		if step, stored := strings.CutPrefix(tr.durable, "step: "); stored {
			step, _, _ = strings.Cut(step, ",")
			if got, err := stageOf(step); err != nil || got != tr.to {
				t.Errorf("step %s reads as stage %q, %v; want %s", step, got, err, tr.to)
			}
		}
	}
	if _, err := next(StageIdle, EventInBlock); err == nil {
		t.Error("an idle desk took a block that holds its settlement")
	}
	if _, err := stageOf("unheard of"); err == nil {
		t.Error("an unknown step was read as a stage")
	}
}
