package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// orderFile names the file of one order of the key in a folder that several keys
// may share.
func (m *member) orderFile(dir string, sequence uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%012d.json", m.stateName(), sequence))
}

// orderFiles lists the key's order files in a folder, by sequence number. A
// folder that is not there has none.
func (m *member) orderFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name, ours := strings.CutPrefix(entry.Name(), m.stateName()+"-")
		digits, isJSON := strings.CutSuffix(name, ".json")
		if ours && isJSON && strings.Trim(digits, "0123456789") == "" {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, nil
}
