package bitcoind

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCookbookWorks runs every piece of Go in docs/bitcoind.md as a test of its
// own, in a package that exists only for it.
func TestCookbookWorks(t *testing.T) {
	t.Parallel()
	Start(t, local()...).Require(t, CanConnect, CanHoldWallets)
	text, err := os.ReadFile(filepath.Join("..", "docs", "bitcoind.md"))
	if os.IsNotExist(err) {
		t.Skip("the package stands alone, without its documents")
	}
	must(t, err)
	pieces := strings.Split(string(text), "```go\n")[1:]
	if len(pieces) < 10 {
		t.Fatalf("%d pieces of Go in the cookbook", len(pieces))
	}
	var program strings.Builder
	program.WriteString(cookbookHead)
	for i, piece := range pieces {
		body, _, _ := strings.Cut(piece, "```")
		name := fmt.Sprintf("TestPiece%d", i)
		if strings.Contains(body, "WithExternal") {
			name = "compiled" // there is no such node
		}
		fmt.Fprintf(&program, cookbookPiece, name, body)
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "cookbook_test.go")
	must(t, os.WriteFile(source, []byte(program.String()), 0o600))
	here, err := os.Getwd()
	must(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "cookbook", "cookbook_test.go"): source}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	binary := filepath.Join(dir, "cookbook.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-ldflags=-s -w", "-c", "-o", binary, "-overlay", filepath.Join(dir, "overlay.json"), "./cookbook")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), binary)
	run.Dir, run.Env = dir, append(os.Environ(), "BITCOIND="+nodeProgram(local()))
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// nodeProgram is the path that options name, or empty.
func nodeProgram(options []Option) string {
	s := &settings{}
	for _, option := range options {
		option(s)
	}
	return s.binary
}

const cookbookHead = `package cookbook

import (
	"context"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/daobank/daobank/bitcoind"
)

var _ wire.OutPoint
`

const cookbookPiece = `
func %s(t *testing.T) {
	node := bitcoind.Start(t, bitcoind.WithBlocks(120))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	script := node.MinerScript()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, _ = ctx, script, check
	{
%s	}
}
`
