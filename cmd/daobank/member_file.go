package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// privateFileMax bounds what is read of a key, passphrase, order or receipt file.
const privateFileMax = 1 << 20

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

// createFile writes a file that must not exist yet, for its owner alone. Others
// see all of it or nothing, and when it returns nil it is on disk. The error
// wraps fs.ErrExist when there is one already.
func createFile(path string, data []byte) error {
	return placeFile(path, data, os.Link)
}

// replaceFile puts new content in the place of a file, all of it or none.
func replaceFile(path string, data []byte) error {
	return placeFile(path, data, os.Rename)
}

// placeFile writes a file under another name and then gives it its own.
func placeFile(path string, data []byte, place func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // a rename has taken it away already
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// readPrivate reads a file and refuses one that others may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read or written by others (mode %04o): allow only yourself with: chmod 600 %s", path, mode, path)
	}
	return readLimited(f)
}

func readLimited(f *os.File) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(f, privateFileMax+1))
	if err == nil && len(data) > privateFileMax {
		err = fmt.Errorf("%s has more than %d bytes", f.Name(), privateFileMax)
	}
	return data, err
}
