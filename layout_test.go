package daobank_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/daobank/daobank"

// layers are the packages of the module, highest first. A package imports only
// packages that stand below it (ARCHITECTURE.md).
var layers = []string{
	"cmd/daobank",
	"integration",
	"api",
	"settlement",
	"clearing",
	"guardian/wire",
	"guardian/keep",
	"guardian",
	"guardian/link",
	"audit/page",
	"audit",
	"audit/audittest",
	"proof",
	"audit/export",
	"settlement/netting",
	"ledger/postgres/cluster",
	"ledger/postgres/lossy",
	"ledger/postgres",
	"ledger",
	"bip340",
	"bip340/internal/secp256k1",
	"taproot/quorum",
	"taproot",
	"taproot/chilldkg",
	"taproot/roast",
	"taproot/frost",
	"taproot/internal/curve",
	"bitcoind",
	"keyfile",
	"migrations",
	"ahead",
}

// alone are packages that any Go project can use without the rest: all that
// each may import of this module.
var alone = map[string][]string{
	"ledger":           {"bip340"},
	"bip340":           {"bip340/internal/secp256k1"},
	"taproot":          {"taproot/frost"},
	"taproot/chilldkg": {"taproot/frost", "taproot/internal/curve"},
	"taproot/roast":    {"taproot/frost"},
	"taproot/frost":    {"taproot/internal/curve"},
	"bitcoind":         {},
	"keyfile":          {},
	"guardian/link":    {},
	"migrations":       {},
	"ahead":            {},
}

// forbidden are imports that a package must never have, however far down,
// because of where it has to run.
var forbidden = map[string][]string{
	"proof":  {"github.com/jackc/", "database/sql", "net", "net/http", "os", "os/exec", "math/rand"},
	"ledger": {"github.com/jackc/", "database/sql", "net", "net/http", "os/exec", "math/rand", "time"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		at := slices.Index(layers, p.name())
		if at < 0 {
			t.Errorf("package %s has no place in the list of layers", p.name())
			continue
		}
		for _, imported := range p.own(p.Imports) {
			if below := slices.Index(layers, imported); below <= at {
				t.Errorf("%s imports %s, which does not stand below it", p.name(), imported)
			}
			if allowed, ok := alone[p.name()]; ok && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s and must work without it", p.name(), imported)
			}
		}
		for _, imported := range p.Imports {
			for _, bad := range forbidden[p.name()] {
				if imported == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(imported, bad) {
					t.Errorf("%s imports %s: it has no clock, disk, network or database", p.name(), imported)
				}
			}
		}
	}
}

// TestEveryLayerExists keeps the list of layers from naming what is gone.
func TestEveryLayerExists(t *testing.T) {
	var names []string
	for _, p := range packages(t) {
		names = append(names, p.name())
	}
	for _, layer := range layers {
		if !slices.Contains(names, layer) {
			t.Errorf("layer %s is not a package", layer)
		}
	}
}

func (p *pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// own are the imports from this module, by their short names.
func (p *pkg) own(imports []string) []string {
	var own []string
	for _, i := range imports {
		if name, ok := strings.CutPrefix(i, module+"/"); ok {
			own = append(own, name)
		}
	}
	return own
}

// packages lists the module's packages, but for this test's own.
func packages(t *testing.T) []*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var list []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module {
			list = append(list, p)
		}
	}
}
