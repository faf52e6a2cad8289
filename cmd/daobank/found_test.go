package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daobank/daobank/bitcoind"
)

// inProcess runs a command of the program and returns its standard output.
func inProcess(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRootCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// files are the contents of all files below a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSetUpWithoutHands: what docker-compose.yml runs at every start makes the
// guardians and the founding document once, and changes nothing afterwards.
func TestSetUpWithoutHands(t *testing.T) {
	node := bitcoind.Start(t).Config()
	dir := t.TempDir()
	founding := filepath.Join(dir, "ceremony", "founding.json")
	if err := os.Mkdir(filepath.Dir(founding), 0o755); err != nil {
		t.Fatal(err)
	}
	found := []string{"found", "--data", filepath.Join(dir, "data"), "--name", "ours", "--threshold", "2", "--out", founding,
		"--bitcoind", node.URL, "--bitcoind-user", node.User, "--bitcoind-password", node.Password}
	var inits [][]string
	for i := range 3 {
		public := filepath.Join(dir, "ceremony", fmt.Sprintf("guardian-%d.json", i))
		inits = append(inits, []string{"guardian", "init", "--dir", filepath.Join(dir, fmt.Sprint(i)),
			"--identity-file", filepath.Join(dir, fmt.Sprintf("%d.identity", i)), "--out", public})
		found = append(found, "--guardian", public)
	}
	setUp := func() {
		t.Helper()
		for _, args := range append(inits[:len(inits):len(inits)], found) {
			if out, err := inProcess(t, append(args[:len(args):len(args)], "--if-missing")...); err != nil || out == "" {
				t.Fatalf("daobank %s: %q, %v", strings.Join(args, " "), out, err)
			}
		}
	}
	setUp()
	// As "guardian init" advises: the recovery key goes to another place.
	if err := os.Remove(filepath.Join(dir, "0", "recovery.age")); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	if before[founding] == "" || before[founding] != before[filepath.Join(dir, "data", foundingFileName)] {
		t.Errorf("the copy for the guardians is %q", before[founding])
	}
	setUp()
	for _, args := range append(inits, found) {
		if _, err := inProcess(t, args...); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("daobank %s, a second time without --if-missing: %v", args[0], err)
		}
	}
	after := files(t, dir)
	for path, text := range after {
		if before[path] != text {
			t.Errorf("%s was changed or made by the second run", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
}
