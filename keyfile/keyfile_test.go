package keyfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// passphrase is a Lock that is quick to open.
func passphrase(text string) Passphrase { return Passphrase{Text: []byte(text), WorkFactor: 10} }

func TestCreateAndOpen(t *testing.T) {
	dir := t.TempDir()
	id, err := CreateIdentity(filepath.Join(dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("the secret of a guardian")
	for name, lock := range map[string]Lock{"passphrase": passphrase("correct horse"), "identity": id} {
		path := filepath.Join(dir, name+".age")
		if err := Create(path, secret, lock); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := Open(path, lock)
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: opened as %q, %v", name, got, err)
		}
		raw, err := os.ReadFile(path)
		if err != nil || bytes.Contains(raw, secret) {
			t.Errorf("%s: the file shows its secret (%v)", name, err)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, want 0600", name, info.Mode())
		}
		if err := Create(path, secret, lock); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: a second Create says %v, want that it exists", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := Create(good, []byte("s"), passphrase("right")); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := bytes.Clone(raw)
	flipped[len(flipped)-1] ^= 1
	for _, row := range []struct {
		name string
		path string
		lock Lock
		want error
	}{
		{"wrong passphrase", good, passphrase("wrong"), ErrWrongLock},
		{"no file", filepath.Join(dir, "none"), passphrase("right"), fs.ErrNotExist},
		{"group may read", write("group", raw, 0o640), passphrase("right"), ErrExposed},
		{"others may read", write("others", raw, 0o604), passphrase("right"), ErrExposed},
		{"one bit flipped", write("flipped", flipped, 0o600), passphrase("right"), ErrDamaged},
		{"cut short", write("short", raw[:len(raw)-1], 0o600), passphrase("right"), ErrDamaged},
		{"empty", write("empty", nil, 0o600), passphrase("right"), ErrDamaged},
		{"identity is none", good, IdentityFile(write("text", []byte("hello"), 0o600)), ErrDamaged},
		{"identity may be read", good, IdentityFile(write("open", []byte("x"), 0o644)), ErrExposed},
	} {
		if secret, err := Open(row.path, row.lock); !errors.Is(err, row.want) || secret != nil {
			t.Errorf("%s: %q, %v; want %v", row.name, secret, err, row.want)
		}
	}
}

// TestNothingHalfWritten: a Create that fails leaves no file, not even a
// temporary one.
func TestNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := Create(path, make([]byte, secretMax+1), passphrase("p")); err == nil {
		t.Error("a secret beyond the limit was written")
	}
	if err := Create(path, []byte("first"), passphrase("p")); err != nil {
		t.Fatal(err)
	}
	if err := Create(path, []byte("second"), passphrase("p")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Create: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the key alone", entries, err)
	}
	if got, err := Open(path, passphrase("p")); err != nil || string(got) != "first" {
		t.Errorf("the first secret is now %q, %v", got, err)
	}
}
