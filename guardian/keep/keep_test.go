package keep

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/daobank/daobank/guardian"
	"github.com/daobank/daobank/keyfile"
	"github.com/daobank/daobank/ledger"
	"github.com/daobank/daobank/taproot"
	"github.com/daobank/daobank/taproot/chilldkg"
)

func newLock(t *testing.T) keyfile.Lock {
	t.Helper()
	id, err := keyfile.CreateIdentity(filepath.Join(t.TempDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// alone founds a group of one guardian, whose key generation needs nobody else.
func alone(t *testing.T, public Public, host *chilldkg.HostKey) (*guardian.Founding, []byte) {
	t.Helper()
	f := &guardian.Founding{Name: "alone", Network: "regtest", BirthHash: ledger.Hash{1}, Depth: 1, WithdrawalMin: 1000,
		Operator: ledger.Key(public.Recovery), Coordinator: public.Host, Threshold: 1, Guardians: []chilldkg.HostPublicKey{public.Host},
		Recovery: taproot.Recovery{Threshold: 1, Keys: []taproot.XOnlyKey{public.Recovery}, Delay: 10}}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	participant, first, err := chilldkg.NewParticipant(host, f.Params(), nil)
	if err != nil {
		t.Fatal(err)
	}
	coordinator, broadcast, err := chilldkg.NewCoordinator(f.Params(), [][]byte{first})
	if err != nil {
		t.Fatal(err)
	}
	second, err := participant.Step2(host, broadcast, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, certificate, err := coordinator.Finalize([][]byte{second})
	if err != nil {
		t.Fatal(err)
	}
	result, err := participant.Finalize(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return f, result.RecoveryData
}

// TestBackupAndRestore: a blank machine gets the same share from the backup,
// and a damaged backup makes no guardian.
func TestBackupAndRestore(t *testing.T) {
	dir, lock := filepath.Join(t.TempDir(), "g"), newLock(t)
	public, err := Init(dir, lock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Init(dir, lock); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second Init says %v", err)
	}
	k, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process opened the folder: %v", err)
	}
	out := filepath.Join(t.TempDir(), "backup")
	if err := k.Backup(out, lock, lock); !errors.Is(err, ErrNotFounded) {
		t.Errorf("a guardian without a share made a backup: %v", err)
	}
	host, err := k.HostKey(lock)
	if err != nil || host.Public() != public.Host {
		t.Fatalf("host key %v, %v", host, err)
	}
	founding, recovery := alone(t, public, host)
	if err := errors.Join(k.Agree(founding), k.Agree(founding), k.SaveRecovery(founding, recovery), k.SaveRecovery(founding, recovery)); err != nil {
		t.Fatal(err)
	}
	other := *founding
	other.Name = "another"
	if err := k.Agree(&other); !errors.Is(err, ErrOtherFounding) {
		t.Errorf("a second founding document was agreed to: %v", err)
	}
	if err := k.SaveRecovery(founding, []byte("another run's")); err == nil {
		t.Error("the recovery data was overwritten")
	}
	if err := k.Backup(out, lock, lock); err != nil {
		t.Fatal(err)
	}

	blank, newOnes := filepath.Join(t.TempDir(), "blank"), newLock(t)
	restored, err := Restore(blank, out, lock, newOnes)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	again, err := restored.HostKey(newOnes)
	if err != nil || again.Public() != public.Host {
		t.Fatalf("the restored host key is %v, %v", again, err)
	}
	data, err := restored.Recovery(founding)
	if err != nil || !bytes.Equal(data, recovery) {
		t.Errorf("the restored recovery data differs (%v)", err)
	}
	if f, err := restored.Founding(); err != nil || f.Hash() != founding.Hash() {
		t.Errorf("the restored founding document differs (%v)", err)
	}

	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	if _, err := Restore(nowhere, damaged, lock, newOnes); !errors.Is(err, keyfile.ErrDamaged) {
		t.Errorf("a damaged backup was restored: %v", err)
	}
	if _, err := os.Stat(nowhere); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a damaged backup left a folder behind")
	}
	if _, err := Restore(nowhere, out, newOnes, newOnes); !errors.Is(err, keyfile.ErrWrongLock) {
		t.Errorf("the backup opened with another identity: %v", err)
	}
}

// TestNoSecretInTheClear: no file of the folder but the encrypted ones changes
// with the secrets, and the encrypted ones do not show them.
func TestNoSecretInTheClear(t *testing.T) {
	dir, lock := filepath.Join(t.TempDir(), "g"), newLock(t)
	if _, err := Init(dir, lock); err != nil {
		t.Fatal(err)
	}
	k, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	host, err := k.HostKey(lock)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := host.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := keyfile.Open(filepath.Join(dir, "recovery.age"), lock)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range [][]byte{secret, recovery} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, form := range [][]byte{s, []byte(ledger.Hash(s).String())} {
				if bytes.Contains(raw, form) {
					t.Errorf("%s shows a secret", path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
