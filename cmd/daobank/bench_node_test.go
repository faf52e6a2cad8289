package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/daobank/daobank/bitcoind"
)

// A small run of the node bench, end to end: each step is timed, the last line of
// --json holds the targets, and what cannot be measured has a reason.
func TestBenchNode(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // the bench sets it for the rest of its process
	if kind := bitcoind.Start(t).Info().Kind; kind != "bitcoind" {
		t.Skipf("the node here is of kind %s, and the bench wants a local bitcoind", kind)
	}
	b, err := runNodeBench(t.Context(), nodeBenchOptions{Rounds: 1, Parallel: 3, Repeats: 2}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeBenchJSON(&out, b, b.targets); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last struct{ Targets []benchTarget }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, target := range last.Targets {
		names = append(names, target.Name)
	}
	for _, l := range b.LeftOut {
		if l.Reason == "" {
			t.Errorf("%s is left out for no reason", l.Name)
		}
		names = append(names, l.Name)
	}
	want := []string{"start_101_blocks_over_raw_process", "warm_node", "mine_1", "reorg_6_keeping_20",
		"3_nodes_at_once_slowest", "port_clashes_in_2_repeats", "start_under_dockertest"}
	if !slices.Equal(names, want) {
		t.Errorf("targets and what is left out: %v, want %v", names, want)
	}
	if clashes := last.Targets[5]; clashes.Value != 0 || !clashes.Met {
		t.Errorf("%+v", clashes)
	}
	out.Reset()
	if err := b.writeText(&out); err != nil || !strings.Contains(out.String(), "raw_process") {
		t.Errorf("text, error %v:\n%s", err, out.String())
	}
}

// A program that is no node is reported, not waited for.
func TestRawStartOfNoNode(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	program, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	if _, err := timeRawStart(t.Context(), program); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("error %v, want its exit status", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}
