package daobank_test

import (
	"os"
	"path/filepath"
	"regexp"
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
	alarm := regexp.MustCompile(`(?s)[lL]og\.(?:Warn|Error)\(\s*"([^"]+)"`)
	found := 0
	for _, pattern := range []string{"settlement/*.go", "clearing/*.go", "guardian/*.go", "guardian/*/*.go", "api/*.go", "cmd/daobank/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range alarm.FindAllSubmatch(source, -1) {
				found++
				if !strings.Contains(string(page), string(line[1])) {
					t.Errorf("%s: %q is not in docs/operations.md: say what it means and what to do", path, line[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d alarms were found: the search is broken", found)
	}
}
