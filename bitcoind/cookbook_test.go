package bitcoind

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestCookbookWorks runs every piece of Go in docs/bitcoind.md as a test of its
// own, in a package that exists only for them.
func TestCookbookWorks(t *testing.T) {
	t.Parallel()
	Start(t, local()...).Require(t, CanConnect, CanHoldWallets)
	binary, err := cookbook()
	if os.IsNotExist(err) {
		t.Skip("the package stands alone, without its documents")
	}
	must(t, err)
	run := exec.CommandContext(t.Context(), binary)
	run.Dir, run.Env = t.TempDir(), append(os.Environ(), "BITCOIND="+nodeProgram(local()))
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDocumentNamesTestsThatAreThere looks for each test that docs/bitcoind.md
// says shows a promise.
func TestDocumentNamesTestsThatAreThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "bitcoind.md"))
	if os.IsNotExist(err) {
		t.Skip("the package stands alone, without its documents")
	}
	must(t, err)
	var code strings.Builder
	for _, pattern := range []string{"*_test.go", filepath.Join("..", "cmd", "daobank", "*_test.go")} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			must(t, err)
			code.Write(content)
		}
	}
	names := regexp.MustCompile("`(Test[A-Z][A-Za-z]{6,})`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 50 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, name := range names {
		if !strings.Contains(code.String(), "func "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// buildDir is what TestMain removes at the end.
var buildDir string

// cookbook compiles the pieces, once for all repeats of the test.
var cookbook = sync.OnceValues(func() (binary string, err error) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "bitcoind.md"))
	if err != nil {
		return "", err
	}
	pieces := strings.Split(string(text), "```go\n")[1:]
	if len(pieces) < 10 {
		return "", fmt.Errorf("%d pieces of Go in the cookbook", len(pieces))
	}
	var program strings.Builder
	program.WriteString(cookbookHead)
	for i, piece := range pieces {
		body, _, _ := strings.Cut(piece, "```")
		if strings.HasPrefix(body, "package ") { // a whole file, whose imports are among those above
			_, body, _ = strings.Cut(body, "\n)\n")
			program.WriteString(body)
			continue
		}
		name := fmt.Sprintf("TestPiece%d", i)
		if strings.Contains(body, "WithExternal") {
			name = "compiled" // there is no such node
		}
		start := "node := bitcoind.Start(t, bitcoind.WithBlocks(120))\n\tscript := node.MinerScript()"
		if strings.Contains(body, "node := ") || strings.Contains(body, "node, err := ") { // one of its own
			start = "script := []byte{0x51, 2, 0x4e, 0x73} // P2A"
		}
		fmt.Fprintf(&program, cookbookPiece, name, start, body)
	}
	if buildDir, err = os.MkdirTemp("", "cookbook-"); err != nil {
		return "", err
	}
	source, overlay := filepath.Join(buildDir, "cookbook_test.go"), filepath.Join(buildDir, "overlay.json")
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "cookbook", "cookbook_test.go"): source}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(source, []byte(program.String()), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	binary = filepath.Join(buildDir, "cookbook.test")
	build := exec.Command("go", "test", "-vet=off", "-ldflags=-s -w", "-c", "-o", binary, "-overlay", overlay, "./cookbook")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return binary, nil
})

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
	%s
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
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
