package api

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
)

// docs/api.md is what others write clients from.
func TestDocumentNamesEveryRouteAndCode(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for _, heading := range regexp.MustCompile("(?m)^### `([A-Z]+ /.*)`$").FindAllSubmatch(text, -1) {
		written = append(written, string(heading[1]))
	}
	var served []string
	for _, r := range (&bank{}).routes() {
		served = append(served, r.pattern)
	}
	slices.Sort(written)
	slices.Sort(served)
	if !slices.Equal(written, served) {
		t.Errorf("docs/api.md describes %q, served are %q", written, served)
	}

	written, served = nil, nil
	for _, row := range regexp.MustCompile("(?m)^\\| (\\d+) \\| `([a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		written = append(written, fmt.Sprintf("%s %s", row[1], row[2]))
	}
	for code, status := range statuses {
		served = append(served, fmt.Sprintf("%d %s", status, code))
	}
	slices.Sort(written)
	slices.Sort(served)
	if !slices.Equal(written, served) {
		t.Errorf("docs/api.md has the codes %q, the server %q", written, served)
	}
}
