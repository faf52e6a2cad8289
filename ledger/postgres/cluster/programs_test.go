package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspect(t *testing.T) {
	for name, tt := range map[string]struct {
		says    string // what both programs print; nothing written if empty
		version string
		wantErr string
	}{
		"release":       {"postgres (PostgreSQL) 17.5", "17.5", ""},
		"Debian's":      {"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", ""},
		"beta":          {"postgres (PostgreSQL) 19beta1", "19", ""},
		"too old":       {"postgres (PostgreSQL) 14.9", "", "15 or newer is needed"},
		"other program": {"hello", "", "does not state its version"},
		"missing":       {"", "", "no usable initdb"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := fakePrograms(t, tt.says)
			p, err := inspect(t.Context(), dir)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v: want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || p.version != tt.version {
				t.Fatalf("version %q, %v: want %q", p.version, err, tt.version)
			}
		})
	}
}

func TestUnpackedProgramsComeAfterInstalledOnes(t *testing.T) {
	tools := t.TempDir()
	if err := os.Mkdir(filepath.Join(tools, "postgres"), 0o755); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(tools, "postgres", "bin")
	if err := os.Rename(fakePrograms(t, "postgres (PostgreSQL) 99.1"), bin); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DAOBANK_TOOLS", tools)
	found, _ := findPrograms(t.Context())
	last := found[len(found)-1]
	if last.dir != bin || last.unpacked != filepath.Dir(bin) {
		t.Errorf("last is %+v: want the programs in %s", last, bin)
	}
}

func TestKeptClusterNeedsItsOwnMajorVersion(t *testing.T) {
	dir := t.TempDir()
	found := func() []programs { return []programs{{major: 17}, {major: 15}} }
	if got := matching(found(), dir); len(got) != 2 {
		t.Errorf("new folder: %v: want both", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("15\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := matching(found(), dir); len(got) != 1 || got[0].major != 15 {
		t.Errorf("folder of version 15: %v: want 15 only", got)
	}
}

func TestNoServerErrorNamesEachRung(t *testing.T) {
	reason := errors.New("the reason")
	err := &NoServerError{}
	err.add("first rung", reason)
	err.add("second rung", ErrInUse)
	for _, want := range []string{"first rung: the reason", "second rung: ", "scripts/setup postgres"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if !errors.Is(err, reason) || !errors.Is(err, ErrInUse) {
		t.Error("the reasons are hidden from errors.Is")
	}
}

// fakePrograms writes an initdb and a postgres that state a version.
func fakePrograms(t *testing.T, says string) string {
	t.Helper()
	dir := t.TempDir()
	if says == "" {
		return dir
	}
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho '" + says + "'\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
