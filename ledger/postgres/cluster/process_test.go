package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// playRole is what this test binary does when a test has started it as another process.
func playRole(role string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var opts []Option
	if dir := os.Getenv("CLUSTER_TEST_DIR"); dir != "" {
		opts = append(opts, WithDir(dir))
	}
	if role == "docker" {
		s, err := openDocker(ctx, options{})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Printf("%s\t%d\t%s\n", s.id, 0, s.url("postgres"))
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	c, err := Open(ctx, opts...)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s := c.server.(*private)
	fmt.Printf("%s\t%d\t%s\n", s.dir, s.process.Process.Pid, c.URL("postgres"))
	switch role {
	case "wait": // for our end, by SIGKILL
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "close":
		if err := c.Close(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

// actor is this test binary running as another process, with a cluster open.
type actor struct {
	cmd *exec.Cmd
	dir string
	pid int // of the server
	url string
}

func startActor(t *testing.T, cmd *exec.Cmd, role, dir string) actor {
	t.Helper()
	if role != "docker" {
		needPrograms(t)
	}
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_ROLE="+role, "CLUSTER_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // normally it has ended
	line, _ := bufio.NewReader(out).ReadString('\n')
	fields := strings.Split(strings.TrimSpace(line), "\t")
	if len(fields) != 3 {
		t.Fatalf("the other process says %q", line)
	}
	pid, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return actor{cmd, fields[0], pid, fields[2]}
}

func TestNoServerOutlivesAKilledProcess(t *testing.T) {
	a := startActor(t, exec.Command(os.Args[0]), "wait", "")
	query[int](t, a.url, "SELECT 1")
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait() // "signal: killed"

	eventually(t, func() error {
		if state, _ := processState(fmt.Sprintf("/proc/%d/stat", a.pid)); state != "" && state != "Z" {
			return fmt.Errorf("server %d is in state %s", a.pid, state)
		}
		if _, err := os.Stat(a.dir); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s: %v; want no such folder", a.dir, err)
		}
		return nil
	})
}

func TestKeptClusterOpensAfterItsProcessWasKilled(t *testing.T) {
	dir := filepath.Join(reachableDir(t), "bank")
	a := startActor(t, exec.Command(os.Args[0]), "wait", dir)
	query[int](t, a.url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7) RETURNING n")
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait() // "signal: killed"

	c := open(t, WithDir(dir))
	if n := query[int](t, c.URL("postgres"), "SELECT n FROM kept"); n != 7 {
		t.Errorf("read %d: want 7", n)
	}
}

// TestOrdinaryUser runs when the tests themselves run as root, for otherwise all of them are run by an ordinary user.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	program := filepath.Join(reachableDir(t), "cluster.test")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = filepath.Dir(program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	a := startActor(t, cmd, "close", "")
	if err := a.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there after Close (%v)", a.dir, err)
	}
}

// eventually polls until check returns nil; when time is up, it reports what check said last.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
