package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/daobank/daobank/taproot"
)

// A small run of the custody bench, end to end: every scheme signs, the last
// line of --json holds the targets, and the drawing is XML that names its axes.
func TestBenchCustody(t *testing.T) {
	o := custodyOptions{Sizes: [][2]int{{2, 3}, {3, 5}}, Joins: []int{2, 1000}, Max: 3}
	b, targets, err := runCustodyBench(t.Context(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Schemes) != 4 || len(b.Joining) != 2 {
		t.Fatalf("%d rows of schemes and %d of joining, want 4 and 2", len(b.Schemes), len(b.Joining))
	}
	for _, row := range b.Schemes {
		if row.Not != "" || row.Round2.Microseconds <= 0 || row.Verify.Verifications <= 0 || row.VBytes < 111 || row.SigningBytes <= 0 {
			t.Errorf("%s measured as %+v", row.name(), row)
		}
	}
	var out bytes.Buffer
	if err := writeBenchJSON(&out, b, targets); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last struct{ Targets []benchTarget }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(last.Targets) != 1 || last.Targets[0].Name != "join_1000_over_2" {
		t.Errorf("last line %s, error %v", lines[len(lines)-1], err)
	}
	out.Reset()
	if err := b.writeText(&out, targets); err != nil || !strings.Contains(out.String(), "checksigadd 2-of-3") {
		t.Errorf("text, error %v:\n%s", err, out.String())
	}
	out.Reset()
	if err := b.draw(&out); err != nil {
		t.Fatal(err)
	}
	drawing := out.String()
	for d := xml.NewDecoder(strings.NewReader(drawing)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the drawing is not XML: %v", err)
		}
	}
	for _, label := range []string{"guardians n", "btcec verifications", "size (vB)", "traffic (kB)", "time (µs)"} {
		if !strings.Contains(drawing, label) {
			t.Errorf("the drawing has no axis %q", label)
		}
	}
}

func TestFrostTargets(t *testing.T) {
	row := schemeFigures{Scheme: taproot.FROST.String(), Threshold: 67, Guardians: 100,
		Round2: benchFigure{Verifications: 8}, Aggregate: benchFigure{Verifications: 6.01}}
	targets := frostTargets(row)
	if len(targets) != 2 || !targets[0].Met || targets[1].Met {
		t.Errorf("targets %v, want the first met and the second missed", targets)
	}
	text, err := json.Marshal(targets[1])
	if want := `{"name":"aggregate_verify_67_of_100","value":6.01,"unit":"btcec verifications","at_most":6,"met":false}`; err != nil || string(text) != want {
		t.Errorf("written as %s, error %v, want %s", text, err, want)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		samples []time.Duration
		want    time.Duration
	}{{[]time.Duration{7}, 7}, {[]time.Duration{9, 1, 5}, 5}, {[]time.Duration{9, 1, 5, 3}, 4}} {
		if got := median(c.samples); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.samples, got, c.want)
		}
	}
}
