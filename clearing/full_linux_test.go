package clearing_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/daobank/daobank/ledger/postgres/cluster"
)

// diskFull is SQLSTATE 53100 (PostgreSQL's manual, "PostgreSQL Error Codes").
const diskFull = "53100"

// The disk of the database gets full under traffic. The engine stops and says
// so, it has answered nothing that is not stored, and when there is room again
// the next one goes on.
func TestFullDisk(t *testing.T) {
	disk := smallDisk(t, 192<<20)
	t.Setenv("DAOBANK_POSTGRES", "") // only a server of one's own can be on it
	server, err := cluster.Open(t.Context(), cluster.WithDir(filepath.Join(disk, "postgres")),
		cluster.WithSetting("max_wal_size", "32MB"), cluster.WithSetting("min_wal_size", "32MB"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	url, err := server.CreateDatabase(t.Context(), "bank")
	if err != nil {
		t.Fatal(err)
	}
	b := openBankAt(t, url)
	members := b.members(12, 100_000)
	for round := range uint64(2) {
		outcome := b.inTraffic(members, round, 50)
		ballast := fill(t, disk)
		err := b.awaitStop(b.Engine)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != diskFull {
			t.Errorf("the engine stopped for %v; want it to say that the disk is full", err)
		}
		acked, unknown := outcome()
		t.Logf("round %d: %d acknowledged, %d unknown; %v", round, len(acked), len(unknown), err)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		b.Engine = b.startWhenReady()
		b.audit(acked, unknown)
	}
}

// smallDisk mounts a file system of that many bytes in memory.
func smallDisk(t *testing.T, size int) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "daobank-disk-") // the server's user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size="+strconv.Itoa(size)); err != nil {
		t.Skipf("a small disk can be mounted here by root only: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file until there is no room on its disk, and returns its path.
func fill(t *testing.T, dir string) (path string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	return f.Name()
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
