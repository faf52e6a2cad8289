package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/daobank/daobank/bitcoind"
)

// program builds the daobank binary once for all stories.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "daobank-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "daobank")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/daobank").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build daobank: %w\n%s", err, out)
	}
	return path, nil
})

// process is "daobank serve" in a process of its own.
type process struct {
	t      *testing.T
	args   []string
	env    []string
	log    string // path
	cmd    *exec.Cmd
	exited chan error
	url    string
}

// newProcess prepares a bank on a node and a database; start starts it. However
// the test ends, the process is gone after it, and its log is shown on failure.
func newProcess(t *testing.T, node *bitcoind.Node, database string, flags ...string) *process {
	t.Helper()
	dir := t.TempDir()
	c := node.Config()
	p := &process{t: t, log: filepath.Join(dir, "bank.log"),
		args: append([]string{"serve", "--data", dir, "--poll", "20ms", "--depth", fmt.Sprint(depth)}, flags...),
		env: append(os.Environ(), "DAOBANK_POSTGRES="+database, "DAOBANK_BITCOIND="+c.URL,
			"DAOBANK_BITCOIND_USER="+c.User, "DAOBANK_BITCOIND_PASSWORD="+c.Password),
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			raw, _ := os.ReadFile(p.log)
			t.Logf("log of the bank:\n%s", tail(raw, 8000))
		}
	})
	return p
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// start starts the bank and waits until its API answers.
func (p *process) start(ctx context.Context) {
	p.t.Helper()
	ready := p.spawn()
	select {
	case p.url = <-ready:
	case err := <-p.exited:
		p.cmd = nil
		p.t.Fatalf("the bank stopped before its API answered: %v", err)
	case <-ctx.Done():
		p.t.Fatalf("the bank's API does not answer: %v", ctx.Err())
	case <-time.After(time.Minute):
		p.t.Fatal("the bank's API does not answer after a minute")
	}
}

// spawn starts the bank without waiting and returns where it will say what its
// API's URL is. The second time it listens where it did before.
func (p *process) spawn() (ready <-chan string) {
	p.t.Helper()
	binary, err := program()
	if err != nil {
		p.t.Fatal(err)
	}
	listen := "127.0.0.1:0"
	if p.url != "" {
		listen = p.url[len("http://"):]
	}
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(binary, append(p.args, "--listen", listen)...)
	p.cmd.Env, p.cmd.Stderr = p.env, log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	said, exited := make(chan string, 1), make(chan error, 1)
	p.exited = exited
	cmd := p.cmd
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var line struct{ Listening string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Listening != "" {
				said <- line.Listening
			}
		}
		exited <- cmd.Wait()
	}()
	return said
}

// kill ends the process with SIGKILL, at whatever it is doing.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.cmd = nil
}

// stop asks the process to end, as an operator does.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-p.exited:
		if err != nil {
			p.t.Errorf("the bank did not stop cleanly: %v", err)
		}
	case <-time.After(20 * time.Second):
		p.t.Error("the bank did not stop within 20 s")
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	p.cmd = nil
}
