package export_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/daobank/daobank/audit/audittest"
	"github.com/daobank/daobank/audit/export"
)

// Each row spoils a set and says which file the message names, and why.
func TestDamage(t *testing.T) {
	b := history(t)
	journal := *b.Journal
	good := files(t, writeSmall(t, t.TempDir(), b.Charter, journal))

	// The same bank with another end: the operator signed both.
	fork := audittest.New(t)
	ann := fork.Open("ann")
	fork.Open("bob")
	fork.Deposit(ann.ID, 1_000_000)
	fork.Deposit(ann.ID, 2_000_000)
	other := files(t, writeSmall(t, t.TempDir(), fork.Charter, *fork.Journal))

	// Another bank, whose charter differs in the birth.
	chain := audittest.NewChain(5)
	stranger := audittest.NewOn(t, chain, 5)
	for _, name := range []string{"ann", "bob", "carl"} {
		stranger.Open(name)
	}
	strange := files(t, writeSmall(t, t.TempDir(), stranger.Charter, *stranger.Journal))

	const second, third = "batches-000002.seg", "batches-000003.seg"
	last := slices.Max(slices.DeleteFunc(slices.Collect(maps.Keys(good)), func(name string) bool { return !strings.HasSuffix(name, ".seg") }))
	longer := func(raw []byte) []byte { return append(bytes.Clone(raw), make([]byte, 500)...) } // than the index says
	lines := func(files map[string][]byte) [][]byte { return bytes.SplitAfter(files["index.jsonl"], []byte("\n")) }
	for _, tt := range []struct {
		name  string
		spoil func(f map[string][]byte)
		file  string
		want  string
	}{
		{"a file missing", func(f map[string][]byte) { delete(f, second) }, second, "it is missing: the index says that it has batches 2 to 2"},
		{"the last file missing", func(f map[string][]byte) { delete(f, last) }, last, "it is missing"},
		{"a file cut short", func(f map[string][]byte) { f[second] = f[second][:len(f[second])-1] }, second, "it was cut short"},
		{"the last file cut short", func(f map[string][]byte) { f[last] = f[last][:len(f[last])-1] }, last, "it was cut short"},
		{"a file emptied", func(f map[string][]byte) { f[third] = nil }, third, "it was cut short"},
		{"a byte of a batch changed", func(f map[string][]byte) { f[second][len(f[second])-9] ^= 1 }, second, "the record is cut short or damaged"},
		{"a byte of a segment's header changed", func(f map[string][]byte) { f[second][40] ^= 1 }, second, "its header is damaged"},
		{"two files exchanged", func(f map[string][]byte) { f[second], f[third] = longer(f[third]), longer(f[second]) }, second, "it begins with batch 3"},
		{"a file of another bank", func(f map[string][]byte) { f[second] = longer(strange[second]) }, second, "files of two banks were put together"},
		{"the end of another history", func(f map[string][]byte) {
			f["batches-000004.seg"] = other["batches-000004.seg"]
			f["index.jsonl"] = bytes.Join(append(lines(good)[:3:3], lines(other)[3]), nil)
			for name := range f {
				if strings.HasSuffix(name, ".seg") && name > "batches-000004.seg" {
					delete(f, name)
				}
			}
		}, "batches-000004.seg", "it is of another history"},
		{"the index of another history", func(f map[string][]byte) {
			f["index.jsonl"] = bytes.Replace(f["index.jsonl"], lines(good)[3][bytes.Index(lines(good)[3], []byte(`"head"`)):], lines(good)[2][bytes.Index(lines(good)[2], []byte(`"head"`)):], 1)
		}, "batches-000004.seg", "files of two histories were put together"},
		{"a file that nobody knows", func(f map[string][]byte) { f["batches-000099.seg"] = f[second] }, "batches-000099.seg", "the index does not know it"},
		{"the index missing", func(f map[string][]byte) { delete(f, "index.jsonl") }, ".seg", "the index does not know it"},
		{"a line of the index missing", func(f map[string][]byte) {
			f["index.jsonl"] = bytes.Replace(f["index.jsonl"], lines(good)[1], nil, 1)
		}, second, "the index has batches-000003.seg in its place"},
		{"the index taken back", func(f map[string][]byte) {
			f["index.jsonl"] = append(f["index.jsonl"], bytes.Replace(lines(good)[len(lines(good))-2], []byte(`"bytes":`), []byte(`"bytes":1,"was":`), 1)...)
		}, "index.jsonl", "takes back"},
		{"the charter of another bank", func(f map[string][]byte) { f["export.json"] = strange["export.json"] }, "batches-000001.seg", "files of two banks were put together"},
		{"another charter under the bank's id", func(f map[string][]byte) {
			f["export.json"] = bytes.Replace(f["export.json"], []byte("Bank of the Audits"), []byte("Bank of the Frauds"), 1)
		}, "export.json", "its charter is not that of bank"},
		{"a version to come", func(f map[string][]byte) {
			f["export.json"] = bytes.Replace(f["export.json"], []byte(`"version": 1`), []byte(`"version": 2`), 1)
		}, "export.json", "this program reads"},
		{"no text", func(f map[string][]byte) { f["export.json"] = []byte("{") }, "export.json", "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spoilt := make(map[string][]byte)
			for name, raw := range good {
				spoilt[name] = bytes.Clone(raw)
			}
			tt.spoil(spoilt)
			got, _, err := read(t, place(t, spoilt), 1)
			var damage *export.DamageError
			if !errors.As(err, &damage) || !strings.Contains(damage.File, tt.file) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s: %s", err, tt.file, tt.want)
			}
			same(t, got, journal[:len(got)]) // what came before is right
			if len(got) == len(journal) {
				t.Error("every batch was yielded")
			}
		})
	}
}
