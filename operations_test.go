package daobank_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestOperationsNamesEveryAlarm: what serve and guardian run can say as a warning or
// an error stands in docs/operations.md, in its own words.
func TestOperationsNamesEveryAlarm(t *testing.T) {
	page, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for path, source := range sources(t) {
		for _, message := range alarms(t, path, source) {
			found++
			if !strings.Contains(string(page), "`"+message+"`") {
				t.Errorf("%s: %q is not in docs/operations.md: say what it means and what to do", path, message)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d alarms were found: the search is broken", found)
	}
}

// sources are the program's files that may log. Package bitcoind logs nothing, and its
// tests' nodes are no part of a bank.
func sources(t *testing.T) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for _, dir := range []string{"ahead", "api", "audit", "clearing", "cmd", "guardian", "keyfile", "ledger", "migrations", "proof", "settlement", "taproot"} {
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			all[path], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// alarms are the messages that a file logs as a warning or an error, or at a level
// that is chosen when it runs.
func alarms(t *testing.T, path string, source []byte) (messages []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		at := messageOf(call)
		if at < 0 || at >= len(call.Args) {
			return true
		}
		literal, ok := call.Args[at].(*ast.BasicLit)
		if !ok {
			t.Errorf("%s: an alarm whose message is put together when it runs: write it out, so that docs/operations.md can name it", path)
			return true
		}
		message, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, message)
		return true
	})
	return messages
}

// messageOf is where among a call's arguments its message stands, if it may be an
// alarm; −1 for anything else.
func messageOf(call *ast.CallExpr) int {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !strings.HasSuffix(strings.ToLower(lastName(selector.X)), "log") {
		return -1
	}
	switch selector.Sel.Name {
	case "Warn", "Error":
		return 0
	case "WarnContext", "ErrorContext":
		return 1
	case "Log", "LogAttrs":
		quiet := []string{"LevelDebug", "LevelInfo"}
		if len(call.Args) > 1 && slices.Contains(quiet, lastName(call.Args[1])) {
			return -1
		}
		return 2
	}
	return -1
}

// lastName is "log" of e.log and of log.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// TestAlarmsAreFound: the search sees an alarm in every form in which it can be
// written.
func TestAlarmsAreFound(t *testing.T) {
	source := `package p
func f() {
	d.Log.Warn("one", "key", 1)
	log.Error(
		"two")
	slog.ErrorContext(ctx, "three")
	k.log.Log(ctx, level, "four")
	log.LogAttrs(ctx, slog.LevelError, "five")
	log.Log(ctx, slog.LevelInfo, "not an alarm")
	log.Info("nor this")
	err.Error()
}`
	if got, want := alarms(t, "p.go", []byte(source)), []string{"one", "two", "three", "four", "five"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
