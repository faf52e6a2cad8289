package cluster

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

// TB is the part of testing.TB that Test needs; package testing stays out of programs that use this one.
type TB interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// databaseTimeout is generous: a machine that runs a whole test suite may be slow.
const databaseTimeout = 2 * time.Minute

var shared struct {
	sync.Mutex
	cluster *Cluster
}

// Test returns the URL of a fresh database for one test, which is dropped when the test ends. It lies on a server
// without fsync that all tests of the process share; a test of durability opens a cluster of its own.
func Test(t TB) (url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	c, err := sharedCluster(ctx)
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	url, err = c.CreateDatabase(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		if err := c.DropDatabase(ctx, name); err != nil {
			t.Errorf("%v", err)
		}
	})
	return url
}

// Main runs a package's tests and stops the shared server afterwards; its result is for os.Exit. A package without
// it leaves the stopping to the watchdog.
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
func Main(m interface{ Run() int }) int {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.cluster != nil {
			_ = shared.cluster.Close() // the tests' verdict is what counts; the watchdog tries again
			shared.cluster = nil
		}
	}()
	return m.Run()
}

// sharedCluster starts the shared server at its first use; after a failure the next test tries again.
func sharedCluster(ctx context.Context) (*Cluster, error) {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		c, err := Open(ctx, WithoutFsync())
		if err != nil {
			return nil, err
		}
		shared.cluster = c
	}
	return shared.cluster, nil
}
