package ledger_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The page from which a stranger writes a second implementation names every
// code, every tag and every file of vectors that there is.
func TestFormatsPageIsComplete(t *testing.T) {
	data, err := os.ReadFile("../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	var names []string
	for _, code := range literals(t, "errors.go", func(spec *ast.ValueSpec) bool {
		kind, ok := spec.Type.(*ast.Ident)
		return ok && kind.Name == "Code"
	}) {
		names = append(names, "| `"+code+"` |")
	}
	for _, tag := range literals(t, "hash.go", func(*ast.ValueSpec) bool { return true }) {
		names = append(names, `H("`+tag+`", `)
	}
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		names = append(names, "| `"+filepath.Base(file)+"` |")
	}
	if want := 23 + 11 + 11; len(names) != want {
		t.Errorf("found %d codes, tags and files, want %d: %q", len(names), want, names)
	}
	for _, name := range names {
		if !strings.Contains(page, name) {
			t.Errorf("docs/formats.md does not have %s", name)
		}
	}
}

// literals lists the strings in those declarations of constants and variables
// of a Go file that are wanted.
func literals(t *testing.T, file string, wanted func(*ast.ValueSpec) bool) (list []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !wanted(spec) {
			return true
		}
		for _, value := range spec.Values {
			ast.Inspect(value, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, text)
				}
				return true
			})
		}
		return false
	})
	return list
}
