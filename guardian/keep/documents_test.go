package keep

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/taproot/chilldkg"
)

// folder is a guardian's, with the document of its founding agreed to, and made.
type folder struct {
	*Keep
	t        *testing.T
	dir      string
	lock     keyfile.Lock
	public   Public
	host     *chilldkg.HostKey
	founding *guardian.Founding
	recovery []byte
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	f := &folder{t: t, dir: filepath.Join(t.TempDir(), "g"), lock: newLock(t)}
	var err error
	f.public, err = Init(f.dir, f.lock)
	f.must(err)
	f.Keep, err = Open(f.dir)
	f.must(err)
	t.Cleanup(func() { f.Close() })
	f.host, err = f.HostKey(f.lock)
	f.must(err)
	f.founding, f.recovery = alone(t, f.public, f.host)
	return f
}

func (f *folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// found finishes the founding.
func (f *folder) found() {
	f.t.Helper()
	f.must(errors.Join(f.Agree(f.founding), f.SaveRecovery(f.founding, f.recovery)))
}

// next is a document of the guardians of a generation, and its key generation.
func (f *folder) next(generation uint32, change func(*guardian.Founding)) (*guardian.Founding, []byte) {
	f.t.Helper()
	made, err := chilldkg.RecoverCoordinator(f.recovery)
	f.must(err)
	founded := f.founding.Policy(made.Group.Key())
	_, recovery := alone(f.t, f.public, f.host)
	next := *f.founding
	next.Generation, next.Founded = generation, &founded
	if change != nil {
		change(&next)
	}
	return &next, recovery
}

// TestSucceed: which document takes the place of which.
func TestSucceed(t *testing.T) {
	slower := func(f *guardian.Founding) { f.Recovery.Delay++ }
	for _, tt := range []struct {
		name       string
		generation uint32
		change     func(*guardian.Founding)
		replace    bool
		want       error
		kept       bool // the new one is in force afterwards; else the old one
	}{
		{"the same again", 2, nil, false, nil, true},
		{"the same again, replacing", 2, nil, true, nil, true},
		{"the next", 3, nil, false, nil, true},
		{"the next but one", 4, nil, false, nil, true},
		{"another of the same generation", 2, slower, false, ErrOtherFounding, false},
		{"another of the same generation, replacing", 2, slower, true, nil, true},
		{"one before", 1, nil, false, ErrOtherFounding, false},
		{"one before, replacing", 1, nil, true, nil, true},
		{"the founding's generation", 0, nil, true, ErrOtherFounding, false},
		{"another bank", 3, func(f *guardian.Founding) { f.Name = "another" }, true, ErrOtherFounding, false},
		{"another founding", 3, func(f *guardian.Founding) { f.Founded.Threshold, f.Founded.Guardians = 2, 2 }, true, ErrOtherFounding, false},
		{"no founding", 3, func(f *guardian.Founding) { f.Founded = nil }, true, ErrOtherFounding, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			f.found()
			old, _ := f.next(2, nil)
			f.must(f.Succeed(old, false))
			next, _ := f.next(tt.generation, tt.change)
			if err := f.Succeed(next, tt.replace); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			want := old
			if tt.kept {
				want = next
			}
			if now, err := f.Succession(); err != nil || now == nil || now.Hash() != want.Hash() {
				t.Errorf("in force is %+v, %v", now, err)
			}
			if first, err := f.Founding(); err != nil || first.Hash() != f.founding.Hash() {
				t.Errorf("the first document is %+v, %v", first, err)
			}
		})
	}
}

// TestSucceedWithoutAFounding: there is nothing to which a document could be compared.
func TestSucceedWithoutAFounding(t *testing.T) {
	f := newFolder(t)
	next, _ := f.next(1, nil)
	if err := f.Succeed(next, false); !errors.Is(err, ErrNotFounded) {
		t.Errorf("before the founding: %v", err)
	}
	f.must(f.Agree(f.founding))
	if err := f.Succeed(next, false); !errors.Is(err, ErrNotFounded) {
		t.Errorf("before its key: %v", err)
	}
	if now, err := f.Succession(); now != nil || err != nil {
		t.Errorf("in force is %+v, %v", now, err)
	}
}

// TestSaveRecoveryRefusesAnOldKey: who names the same guardians again must have them
// make another key, whatever the folder has forgotten of the documents between.
func TestSaveRecoveryRefusesAnOldKey(t *testing.T) {
	f := newFolder(t)
	f.found()
	next, recovery := f.next(1, nil)
	if err := f.SaveRecovery(next, f.recovery); !errors.Is(err, ErrOldKey) {
		t.Errorf("the founding's key for generation 1: %v", err)
	}
	if _, err := f.Recovery(next); !errors.Is(err, ErrNotFounded) {
		t.Errorf("it was kept: %v", err)
	}
	f.must(errors.Join(f.SaveRecovery(next, recovery), f.SaveRecovery(next, recovery), f.SaveRecovery(f.founding, f.recovery)))
}

// TestShares: the shares of all key generations come out, or none.
func TestShares(t *testing.T) {
	f := newFolder(t)
	f.found()
	next, recovery := f.next(1, nil)
	f.must(errors.Join(f.Succeed(next, false), f.SaveRecovery(next, recovery)))
	results, err := f.Shares(f.host)
	if err != nil || len(results) != 2 || results[0].Group.Key() == results[1].Group.Key() {
		t.Fatalf("%d shares, %v", len(results), err)
	}
	path := filepath.Join(f.dir, recoveryFile(next))
	f.must(os.WriteFile(path, recovery[:len(recovery)-1], 0o600))
	if results, err := f.Shares(f.host); results != nil || err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
		t.Errorf("with a damaged file: %d shares, %v", len(results), err)
	}
}

// TestBackupOfTwoGenerations: a blank machine gets both shares and both documents.
func TestBackupOfTwoGenerations(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(f *folder) (last *guardian.Founding)
		keys  int
	}{
		{"two keys", func(f *folder) *guardian.Founding {
			f.found()
			next, recovery := f.next(1, nil)
			f.must(errors.Join(f.Succeed(next, false), f.SaveRecovery(next, recovery)))
			return next
		}, 2},
		{"a change that is agreed to and not made", func(f *folder) *guardian.Founding {
			f.found()
			next, _ := f.next(1, nil)
			f.must(f.Succeed(next, false))
			return next
		}, 1},
		{"a newcomer whose first document was taken back", func(f *folder) *guardian.Founding {
			first, _ := f.next(1, nil)
			f.must(f.Agree(first))
			next, recovery := f.next(1, func(d *guardian.Founding) { d.Recovery.Delay++ })
			f.must(errors.Join(f.Succeed(next, true), f.SaveRecovery(next, recovery)))
			return next
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFolder(t)
			last := tt.begin(f)
			out := filepath.Join(t.TempDir(), "backup")
			f.must(f.Backup(out, f.lock, f.lock))
			again, err := Restore(filepath.Join(t.TempDir(), "blank"), out, f.lock, f.lock)
			f.must(err)
			defer again.Close()
			if now, err := again.Succession(); err != nil || now == nil || now.Hash() != last.Hash() {
				t.Errorf("in force is %+v, %v", now, err)
			}
			want, err := f.Founding()
			f.must(err)
			if first, err := again.Founding(); err != nil || first.Hash() != want.Hash() {
				t.Errorf("the first document is %+v, %v", first, err)
			}
			if results, err := again.Shares(f.host); err != nil || len(results) != tt.keys {
				t.Errorf("%d shares, %v", len(results), err)
			}
		})
	}
}

// TestRestoreRefuses: a backup that does not fit together makes no folder.
func TestRestoreRefuses(t *testing.T) {
	f := newFolder(t)
	f.found()
	next, recovery := f.next(1, nil)
	f.must(errors.Join(f.Succeed(next, false), f.SaveRecovery(next, recovery)))
	stranger := newFolder(t)
	first, second := recoveryFile(f.founding), recoveryFile(next)
	for _, tt := range []struct {
		name   string
		change func(b *bundle)
		want   string
	}{
		{"another version", func(b *bundle) { b.Version = 1 }, "version 2"},
		{"no founding", func(b *bundle) { b.Founding = nil }, "version 2"},
		{"no host key", func(b *bundle) { b.Host = nil }, "host"},
		{"the host key of another", func(b *bundle) { b.Host = f.secret(stranger.host) }, "host"},
		{"a path out of the folder", func(b *bundle) { b.Recovery["../"+first] = f.recovery }, "none of a guardian's"},
		{"an absolute path", func(b *bundle) { b.Recovery["/tmp/"+first] = f.recovery }, "none of a guardian's"},
		{"the name of another file", func(b *bundle) { b.Recovery["founding.json"] = f.recovery }, "none of a guardian's"},
		{"no name", func(b *bundle) { b.Recovery[""] = f.recovery }, "none of a guardian's"},
		{"no recovery data", func(b *bundle) { b.Recovery = nil }, "missing"},
		{"no recovery data of the founding", func(b *bundle) { delete(b.Recovery, first) }, "missing"},
		{"damaged recovery data", func(b *bundle) { b.Recovery[second] = b.Recovery[second][1:] }, second},
		{"no recovery data, but a name", func(b *bundle) { b.Recovery[second] = nil }, second},
		{"the recovery data of a stranger", func(b *bundle) { b.Recovery[second] = stranger.recovery }, second},
		{"a founding that cannot be", func(b *bundle) { b.Founding.Depth = 0 }, "depth"},
		{"a succession that cannot be", func(b *bundle) { b.Succession.Threshold = 7 }, "t = 7"},
		{"a succession of another bank", func(b *bundle) { b.Succession.Name = "another" }, ErrOtherFounding.Error()},
		{"a succession of another founding", func(b *bundle) { b.Succession.Founded.Recovery.Delay++ }, ErrOtherFounding.Error()},
		{"a founding in its place", func(b *bundle) { b.Succession = f.founding }, ErrOtherFounding.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "backup")
			f.must(f.Backup(out, f.lock, f.lock))
			raw, err := keyfile.Open(out, f.lock)
			f.must(err)
			var b bundle
			f.must(json.Unmarshal(raw, &b))
			tt.change(&b)
			raw, err = json.Marshal(b)
			f.must(err)
			f.must(os.Remove(out))
			f.must(keyfile.Create(out, raw, f.lock))
			blank := filepath.Join(t.TempDir(), "blank")
			k, err := Restore(blank, out, f.lock, f.lock)
			if k != nil {
				k.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if _, err := os.Stat(blank); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something is left: %v", err)
			}
			if bytes.Contains([]byte(errText(err)), f.secret(f.host)) {
				t.Error("the error shows a secret")
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (f *folder) secret(host *chilldkg.HostKey) []byte {
	f.t.Helper()
	secret, err := host.Reveal()
	f.must(err)
	return secret
}
