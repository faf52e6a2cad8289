package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
)

// TestSettlementSize: a batch is as large as its floor says, to the byte, and what
// owners and treasury pay for it is its price.
func TestSettlementSize(t *testing.T) {
	for _, n := range []int{1, 3, 300} { // counts of one byte and of three
		f, err := settleBatch(n)
		if err != nil {
			t.Fatal(err)
		}
		floor := int64(f.Floor*float64(n) + 0.999)
		if f.Payouts != n || f.VBytes < floor || f.VBytes > floor+2 {
			t.Errorf("%d payouts take %d vbytes, the floor is %d", f.Payouts, f.VBytes, floor)
		}
		if paid := (f.MemberSat + f.TreasurySat) * float64(n); paid < 1.999*float64(f.VBytes) || paid > 2.001*float64(f.VBytes) {
			t.Errorf("%d vbytes cost %.0f sat, want 2 sat each", f.VBytes, paid)
		}
	}
}

// TestSettlementBenchPrints: the last line holds the targets, and the drawing is one.
func TestSettlementBenchPrints(t *testing.T) {
	b, err := runSettlementBench(t.Context(), settlementBenchOptions{Only: []string{"size"}}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out, svg bytes.Buffer
	if err := writeBenchJSON(&out, b, b.targets); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	var last struct{ Targets []benchTarget }
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || len(last.Targets) != 1 || !last.Targets[0].Met {
		t.Errorf("the last line is %s, %v", lines[len(lines)-1], err)
	}
	if err := b.draw(&svg); err != nil || !bytes.Contains(svg.Bytes(), []byte("<svg")) {
		t.Errorf("the drawing: %v", err)
	}
}
