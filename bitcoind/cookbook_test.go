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

// TestCookbookCompiles gives every piece of Go in docs/bitcoind.md to the
// compiler, each as a function of its own, in a package that exists only for it.
func TestCookbookCompiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "bitcoind.md"))
	if os.IsNotExist(err) {
		t.Skip("the package stands alone, without its documents")
	}
	must(t, err)
	var program strings.Builder
	program.WriteString(`package cookbook

import (
	"context"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/daobank/daobank/bitcoind"
)

var (
	_ time.Time
	_ wire.OutPoint
)

func check(error) {}

`)
	pieces := strings.Split(string(text), "```go\n")[1:]
	if len(pieces) < 10 {
		t.Fatalf("%d pieces of Go in the cookbook", len(pieces))
	}
	for i, piece := range pieces {
		body, _, _ := strings.Cut(piece, "```")
		fmt.Fprintf(&program, "func piece%d(ctx context.Context, t *testing.T, node *bitcoind.Node, script []byte) {\n{\n%s}\n}\n\n", i, body)
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "cookbook.go")
	must(t, os.WriteFile(source, []byte(program.String()), 0o600))
	here, err := os.Getwd()
	must(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "cookbook", "cookbook.go"): source}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "./cookbook").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
