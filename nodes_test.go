package daobank_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// nodeArgument is how the command line or the settings of a node of one's own
// begin.
var nodeArgument = regexp.MustCompile(`^--?(datadir|conf|configfile|regtest|chain)\b|(^|\n)(regtest|chain)=`)

// bareNode measures package bitcoind against the bare program.
const bareNode = "cmd/daobank/bench_node_raw.go"

// TestOnlyOnePackageStartsNodes keeps every other package, and every test, from
// starting a node in its own way, with the ports and remains of its own.
func TestOnlyOnePackageStartsNodes(t *testing.T) {
	users := make(map[string]bool) // directories that import package bitcoind
	for _, path := range goFiles(t) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		own := dir == "bitcoind" || path == bareNode
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			users[dir] = users[dir] || imported == module+"/bitcoind"
			harness := strings.HasSuffix(imported, "/integration/rpctest") || strings.HasSuffix(imported, "/lntest")
			engine := strings.HasPrefix(imported, "github.com/ory/dockertest/") && dir != "ledger/postgres/cluster"
			if !own && (harness || engine) {
				t.Errorf("%s imports %s: package bitcoind starts nodes, also in containers", path, imported)
			}
		}
		begun := 0
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && nodeArgument.MatchString(text) {
					begun++
				}
			}
			return true
		})
		if begun > 0 && !own && filepath.Base(path) != "nodes_test.go" {
			t.Errorf("%s holds the command line of a node: package bitcoind starts nodes", path)
		}
		if begun == 0 && path == bareNode {
			t.Errorf("%s starts no node, or this test does not see it", path)
		}
	}
	// The stories of settlement and guardians are told there, and in audit.
	for _, dir := range []string{"integration", "audit"} {
		if !users[dir] {
			t.Errorf("%s does not use package bitcoind", dir)
		}
	}
}

// goFiles are the sources of the repository, those of its examples included.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(files, bareNode) {
		t.Fatalf("%s is not among %d files", bareNode, len(files))
	}
	return files
}
