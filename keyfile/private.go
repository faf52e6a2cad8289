package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// privateMax bounds what is read of a private file.
const privateMax = 1 << 20

// ReadPrivate reads a file that nobody but its owner may read or write, of at
// most 1 MiB. Errors wrap fs.ErrNotExist, ErrExposed or ErrDamaged.
func ReadPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file: %w", path, ErrDamaged)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s %w (mode %04o); allow only yourself with: chmod 600 %s", path, ErrExposed, info.Mode().Perm(), path)
	}
	data, err := io.ReadAll(io.LimitReader(f, privateMax+1))
	if err == nil && len(data) > privateMax {
		err = fmt.Errorf("%s has more than %d bytes: %w", path, privateMax, ErrDamaged)
	}
	return data, err
}

// WriteNew writes a file that must not exist: others see all of it or nothing,
// and when it returns nil it is on disk. Error: wraps fs.ErrExist.
func WriteNew(path string, data []byte, mode fs.FileMode) error {
	// A link refuses to take a name that is there; a rename would not.
	return place(path, data, mode, os.Link)
}

// Replace puts new content in the place of a file, all of it or none.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return place(path, data, mode, os.Rename)
}

// place writes a file under another name and then gives it its own.
func place(path string, data []byte, mode fs.FileMode, name func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // a rename has taken it away already
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := name(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory durable.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
