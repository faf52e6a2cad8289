package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("CLUSTER_TEST_ROLE"); role != "" {
		os.Exit(playRole(role))
	}
	os.Unsetenv("DAOBANK_POSTGRES") // these tests are about servers of our own
	os.Exit(Main(m))
}

var (
	_ TB                     = (testing.TB)(nil)
	_ interface{ Run() int } = (*testing.M)(nil)
)

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	var first, second string
	t.Run("first", func(t *testing.T) {
		first = Test(t)
		query[int](t, first, "CREATE TABLE things (n int); SELECT 1")
	})
	t.Run("second", func(t *testing.T) {
		second = Test(t)
		if n := query[int](t, second, "SELECT count(*)::int FROM pg_tables WHERE tablename = 'things'"); n != 0 {
			t.Error("the second test sees the first one's table")
		}
	})
	for _, url := range []string{first, second} {
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			closeConn(conn)
			t.Errorf("%s is still there after its test", url)
		}
	}
}

func TestTemporaryCluster(t *testing.T) {
	c := open(t)
	dir := c.server.(*private).dir
	if info := c.Info(); !strings.Contains(info, "PostgreSQL ") || !strings.Contains(info, dir) {
		t.Errorf("Info() = %q: want version and folder", info)
	}
	if mode := stat(t, dir).Mode().Perm(); mode != 0o700 {
		t.Errorf("the cluster's folder has mode %o: want 700", mode)
	}
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := query[string](t, c.URL("postgres"), "SELECT current_setting('"+setting+"')"); got != "on" {
			t.Errorf("%s = %s: want on", setting, got)
		}
	}
	if got := query[string](t, c.URL("postgres"), "SELECT current_setting('listen_addresses')"); got != "" {
		t.Errorf("listens on %q: want no address", got)
	}

	for attempt, want := range []error{nil, ErrDatabaseExists} {
		url, err := c.CreateDatabase(t.Context(), `a "quoted" name`)
		if !errors.Is(err, want) {
			t.Fatalf("CreateDatabase, attempt %d: %v: want %v", attempt, err, want)
		}
		query[int](t, url, "SELECT 1")
	}
	for range 2 {
		if err := c.DropDatabase(t.Context(), `a "quoted" name`); err != nil {
			t.Fatal(err)
		}
	}

	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there after Close (%v)", dir, err)
	}
}

func TestOptionsReachTheServer(t *testing.T) {
	c := open(t, WithoutFsync(), WithSetting("work_mem", "1234kB"))
	for setting, want := range map[string]string{"fsync": "off", "synchronous_commit": "on", "work_mem": "1234kB"} {
		if got := query[string](t, c.URL("postgres"), "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %s: want %s", setting, got, want)
		}
	}
}

func TestTCPAsksForThePassword(t *testing.T) {
	c := open(t, WithTCP(), WithoutFsync())
	url := c.URL("postgres")
	query[int](t, url, "SELECT 1")
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "127.0.0.1" {
		t.Errorf("host %s: want 127.0.0.1", config.Host)
	}
	config.Password = "guess"
	if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		closeConn(conn)
		t.Error("a wrong password was accepted")
	}
}

func TestKeptClusterKeepsItsData(t *testing.T) {
	for name, dir := range map[string]string{
		"short path": "bank",
		"path too long for a socket": filepath.Join(strings.Repeat("long", 20), strings.Repeat("path", 20),
			"bank"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(reachableDir(t), dir)
			c := open(t, WithDir(dir))
			query[int](t, c.URL("postgres"), "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7); SELECT 1")

			hurry, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if _, err := Open(hurry, WithDir(dir)); !errors.Is(err, ErrInUse) {
				t.Errorf("second Open of one folder: %v: want ErrInUse", err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}

			c = open(t, WithDir(dir))
			if n := query[int](t, c.URL("postgres"), "SELECT n FROM kept"); n != 7 {
				t.Errorf("read %d: want 7", n)
			}
		})
	}
}

func TestCommittedDataSurvivesKill(t *testing.T) {
	c := open(t)
	url := c.URL("postgres")
	query[int](t, url, "CREATE TABLE kept (n int); SELECT 1")
	for round := 1; round <= 3; round++ {
		query[int](t, url, "INSERT INTO kept VALUES (1) RETURNING n")
		ended := c.Ended()
		select {
		case <-ended:
			t.Fatal("Ended is closed while the server answers")
		default:
		}
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		<-ended
		if conn, err := pgx.Connect(t.Context(), url); err == nil {
			closeConn(conn)
			t.Fatal("the server answers after Kill")
		}
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := query[int](t, url, "SELECT count(*)::int FROM kept"); n != round {
			t.Fatalf("%d rows after kill %d: want %d", n, round, round)
		}
	}
	if err := c.Restart(t.Context()); err != nil { // in order, without a kill
		t.Fatal(err)
	}
	query[int](t, url, "SELECT count(*)::int FROM kept")
}

func TestExternalServer(t *testing.T) {
	ours := open(t, WithTCP(), WithoutFsync())
	t.Setenv("DAOBANK_POSTGRES", ours.URL("postgres"))
	c := open(t)
	url, err := c.CreateDatabase(t.Context(), "guest")
	if err != nil {
		t.Fatal(err)
	}
	if got := query[string](t, url, "SELECT current_database()"); got != "guest" {
		t.Errorf("connected to %s: want guest", got)
	}
	if info := c.Info(); strings.Contains(info, ours.server.(*private).password) {
		t.Errorf("Info() shows the password: %s", info)
	}
	if err := c.Kill(); !errors.Is(err, ErrNotOurs) {
		t.Errorf("Kill: %v: want ErrNotOurs", err)
	}
	if err := c.Restart(t.Context()); !errors.Is(err, ErrNotOurs) {
		t.Errorf("Restart: %v: want ErrNotOurs", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	query[int](t, ours.URL("postgres"), "SELECT 1") // still running
}

func TestExternalServerIsNotReplacedByAnother(t *testing.T) {
	for _, url := range []string{"host=localhost", "http://localhost/", "postgres://%zz", "postgres://127.0.0.1:1/"} {
		t.Setenv("DAOBANK_POSTGRES", url)
		if c, err := Open(t.Context()); err == nil {
			_ = c.Close()
			t.Errorf("Open with DAOBANK_POSTGRES=%s succeeded", url)
		}
	}
}

// needPrograms skips a test of private servers where the ladder ends in Docker, whose story TestDocker tells.
func needPrograms(t *testing.T) {
	t.Helper()
	if found, _ := findPrograms(t.Context()); len(found) > 0 {
		return
	}
	pool, err := dockertest.NewPool("")
	if err != nil || pingEngine(t.Context(), pool) != nil {
		return // Open will tell what is missing
	}
	if image, err := heldImage(pool); err == nil {
		t.Skipf("this machine has PostgreSQL only as the Docker image %s", image)
	}
}

func open(t *testing.T, opts ...Option) *Cluster {
	t.Helper()
	needPrograms(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := Open(ctx, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// query runs statements, the last of which returns one value.
func query[T any](t *testing.T, url, sql string) (value T) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // several statements at once
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	statements := strings.Split(sql, "; ")
	for _, statement := range statements[:len(statements)-1] {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	last := statements[len(statements)-1]
	if err := conn.QueryRow(t.Context(), last).Scan(&value); err != nil {
		t.Fatalf("%s: %v", last, err)
	}
	return value
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// reachableDir is a temporary folder that other users may enter, unlike t.TempDir's.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cluster-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
