package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ory/dockertest/v3/docker"
)

// TestDocker tells the story of a server in Docker where an engine holds an image for it, and otherwise that the
// error says what is missing.
func TestDocker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := openDocker(ctx, options{noFsync: true})
	if err != nil {
		if !strings.Contains(err.Error(), "no engine") && !strings.Contains(err.Error(), "holds none of the images") {
			t.Fatal(err)
		}
		t.Logf("without Docker: %v", err)
		return
	}
	c := &Cluster{s}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Log(c.Info())

	url, err := c.CreateDatabase(ctx, "bank")
	if err != nil {
		t.Fatal(err)
	}
	query[int](t, url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7) RETURNING n")
	if got := query[string](t, url, "SELECT current_setting('fsync')"); got != "off" {
		t.Errorf("fsync = %s: want off", got)
	}
	for _, end := range []func() error{c.Kill, func() error { return nil }} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := c.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if n := query[int](t, url, "SELECT n FROM kept"); n != 7 {
			t.Errorf("read %d: want 7", n)
		}
	}

	a := startActor(t, exec.Command(os.Args[0]), "docker", "")
	query[int](t, a.url, "SELECT 1")
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait() // "signal: killed"
	eventually(t, func() error {
		_, err := s.pool.Client.InspectContainerWithContext(a.dir, ctx)
		var gone *docker.NoSuchContainer
		if !errors.As(err, &gone) {
			return fmt.Errorf("container %s of a killed process: %v; want no such container", a.dir, err)
		}
		return nil
	})
}
