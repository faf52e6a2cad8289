package bitcoind

import (
	"path/filepath"
	"syscall"
	"testing"
)

func TestNodesLieInMemory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if got := tempDir(); got != dir {
		t.Errorf("with TMPDIR=%s: %s", dir, got)
	}
	t.Setenv("TMPDIR", "")
	var shm syscall.Statfs_t
	if syscall.Statfs("/dev/shm", &shm) != nil || shm.Bavail*uint64(shm.Bsize) < 2<<30 {
		t.Skip("no /dev/shm with room for many nodes")
	}
	node := Start(t)
	if got := filepath.Dir(node.home.dir); got != "/dev/shm" {
		t.Errorf("the node lies in %s", got)
	}
}
